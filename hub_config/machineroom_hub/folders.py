"""Files in a live course folder, which its graders own: no link that somebody put there leads us astray.

Course folders are written by instructors' and TAs' workspaces, and read and written here by root.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def read(root: Path, name: str) -> bytes | None:
    """What the plain file `name` below `root` holds; None when there is none, or a link on the way."""
    with suppress(OSError), _parent(root, name) as parent:
        file = os.open(PurePosixPath(name).name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        with os.fdopen(file, "rb") as stream:
            return stream.read()
    return None


def write(root: Path, name: str, data: bytes) -> None:
    """Make `name` below `root` hold `data`, whole or not at all, with the owner and mode it had.

    Raises:
        OSError: a part of the way is a link or no folder.
    """
    leaf = PurePosixPath(name).name
    part = f".{secrets.token_hex(4)}.part"
    with _parent(root, name, make=True) as parent:
        try:
            old = os.stat(leaf, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            old = os.fstat(parent)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.rename(part, leaf, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(part, dir_fd=parent)
            raise


def remove(root: Path, name: str) -> None:
    """Remove the file `name` below `root`; one that is not there is no error."""
    with suppress(FileNotFoundError), _parent(root, name) as parent:
        os.unlink(PurePosixPath(name).name, dir_fd=parent)


@contextmanager
def _parent(root: Path, name: str, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder that `name` is in, reached from `root` without following links."""
    here = os.open(root, _FOLDER)
    try:
        for folder in PurePosixPath(name).parent.parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o755, dir_fd=here)
                    above = os.fstat(here)
                    os.chown(folder, above.st_uid, above.st_gid, dir_fd=here, follow_symlinks=False)
            below = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)
