"""Folders on their way to and from the service: gzipped tars of plain files."""

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

MAX_FILES = 10_000

DATA_FILTER = getattr(tarfile, "data_filter", None)
"""tarfile's own guard. Debian 12's Python does not have it yet, so we look ourselves as well."""


class ArchiveError(Exception):
    """A folder cannot be packed, or an archive holds what it should not."""


Ignore = Callable[[str, list[str]], Iterable[str]]
"""Which names of a folder stay behind, as `shutil.copytree` asks it."""


@contextmanager
def pack(folder: Path, ignore: Ignore, limit: int) -> Iterator[IO[bytes]]:
    """A gzipped tar of the files below `folder`, open for reading.

    Raises:
        ArchiveError: the files are more than `limit` bytes together.
    """
    size = 0
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path in files_of(folder, ignore):
                size += path.stat().st_size
                if size > limit:
                    raise ArchiveError(
                        f"{folder} holds more than {limit // 1_000_000} MB. "
                        "Move what does not belong to the assignment out of it, and try again."
                    )
                tar.add(path, path.relative_to(folder).as_posix(), filter=anonymous)
        file.seek(0)
        yield file


def files_of(folder: Path, ignore: Ignore) -> Iterator[Path]:
    """The plain files below `folder` but those that stay behind."""
    names = sorted(path.name for path in folder.iterdir())
    ignored = set(ignore(str(folder), names))
    for name in names:
        path = folder / name
        if name in ignored or path.is_symlink():
            continue
        if path.is_dir():
            yield from files_of(path, ignore)
        elif path.is_file():
            yield path


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """For tar: nobody's file."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


@contextmanager
def unpacked(chunks: Iterable[bytes], beside: Path, limit: int) -> Iterator[Path]:
    """A fresh folder beside `beside` with the archive's files; move it away, or it is removed.

    Raises:
        ArchiveError: not an archive, more than `limit` bytes, or anything in it but files and folders.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}-", dir=beside.parent))
    folder.chmod(0o755)
    try:
        with tempfile.TemporaryFile() as file:
            for chunk in chunks:
                file.write(chunk)
            file.seek(0)
            with tempfile.TemporaryFile() as plain:
                _gunzip(file, plain, limit)
                plain.seek(0)
                _extract(plain, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace(folder: Path, dest: Path) -> None:
    """Put `folder` in the place of `dest`, whatever was there: at no moment is there a half of it."""
    old = folder.with_name(folder.name + "-old")
    if dest.exists():
        dest.rename(old)
    folder.rename(dest)
    shutil.rmtree(old, ignore_errors=True)


def _gunzip(source: IO[bytes], dest: IO[bytes], limit: int) -> None:
    """Decompress at most `limit` bytes of content, with room for headers: bombs stop here."""
    left = limit + MAX_FILES * 1024
    try:
        with gzip.open(source) as stream:
            while chunk := stream.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise ArchiveError(f"The archive holds more than {limit // 1_000_000} MB.")
                dest.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"The archive is damaged: {error}") from error


def _extract(plain: IO[bytes], folder: Path) -> None:
    try:
        with tarfile.open(fileobj=plain, mode="r:") as tar:
            tar.extraction_filter = DATA_FILTER
            for count, member in enumerate(tar):
                if count >= MAX_FILES:
                    raise ArchiveError(f"The archive holds more than {MAX_FILES} files.")
                if not (member.isfile() or member.isdir()):
                    raise ArchiveError(f"The archive holds '{member.name}', which is not a plain file.")
                if member.name.startswith("/") or ".." in PurePosixPath(member.name).parts:
                    raise ArchiveError(f"The archive holds '{member.name}', which lies outside of it.")
                tar.extract(_tame(member), folder)
    except (tarfile.TarError, OSError) as error:
        raise ArchiveError(f"The archive cannot be unpacked: {error}") from error


def _tame(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's, and neither setuid nor writable by others."""
    member.mode = member.mode & 0o755 | (0o700 if member.isdir() else 0o600)
    return anonymous(member)
