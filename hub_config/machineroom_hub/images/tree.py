"""Files on their way into an image: what goes where, as a tar archive and as a hash."""

import hashlib
import io
import os
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

Tree = Mapping[str, Path | bytes]
"""Absolute path in the image → a file or folder of the host, or the content itself."""


def pack(tree: Tree) -> IO[bytes]:
    """A tar archive of the tree's files, to be unpacked at `/`.

    Everything belongs to root and may be read by all; what is executable on the host is so in
    the image. Folders are not in the archive, lest it change the mode of those that exist.
    """
    archive = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for target, source in sorted(_leaves(tree), key=lambda leaf: leaf[0]):
            info = tarfile.TarInfo(target.lstrip("/"))
            if isinstance(source, bytes):
                info.size, info.mtime, info.mode = len(source), int(time.time()), 0o644
                tar.addfile(info, io.BytesIO(source))
            elif source.is_symlink():
                info.type, info.linkname = tarfile.SYMTYPE, str(source.readlink())
                tar.addfile(info)
            else:
                status = source.stat()
                info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), _mode(status)
                with source.open("rb") as file:
                    tar.addfile(info, file)
    archive.seek(0)
    return archive


def digest(tree: Tree) -> str:
    """A hash of names, modes and contents."""
    whole = hashlib.sha256()
    for target, source in sorted(_leaves(tree), key=lambda leaf: leaf[0]):
        if isinstance(source, bytes):
            kind, content = "644", source
        elif source.is_symlink():
            kind, content = "link", str(source.readlink()).encode()
        else:
            kind, content = f"{_mode(source.stat()):o}", source.read_bytes()
        whole.update(f"{target}\0{kind}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def _mode(status: os.stat_result) -> int:
    return 0o755 if status.st_mode & stat.S_IXUSR else 0o644


def _leaves(tree: Tree) -> Iterator[tuple[str, Path | bytes]]:
    for target, source in tree.items():
        if isinstance(source, Path) and source.is_dir() and not source.is_symlink():
            inside = {f"{target.rstrip('/')}/{path.name}": path for path in source.iterdir()}
            yield from _leaves({t: s for t, s in inside.items() if s.name not in _NOT_CONTENT})
        else:
            yield target, source


_NOT_CONTENT = {"__pycache__", "node_modules", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache"}
