"""Gzipped tars from strangers: taken in whole, looked through before they count, stored atomically."""

import gzip
import hashlib
import os
import secrets
import tarfile
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio.to_thread
from fastapi import HTTPException

MAX_BYTES = 64 << 20
"""Of one archive, as it is sent."""
MAX_UNPACKED = 512 << 20
MAX_ENTRIES = 10_000
_MAX_HEADER = 64 << 10
"""Of one tar header; a pax header could claim to be as long as the archive, and is read into memory."""


class Refused(HTTPException):
    """An archive that is not taken, and why."""

    def __init__(self, what: str, status: int = 422) -> None:
        super().__init__(
            status, f"The archive was refused: {what}. Nothing was stored; mend it and send it again."
        )


@dataclass(frozen=True)
class Upload:
    """An archive that has arrived whole and has been looked through; not yet stored."""

    part: Path
    sha256: str
    size: int

    def keep(self, path: Path) -> None:
        """Store it as `path`, to survive a crash. Only a row in the database makes it count."""
        folder = path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.part.replace(path)
        for changed in (folder, folder.parent):
            handle = os.open(changed, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def discard(self) -> None:
        """Forget it, unless it was kept."""
        self.part.unlink(missing_ok=True)


async def take(body: AsyncIterator[bytes], incoming: Path) -> Upload:
    """Write a request's body into a new file in `incoming` and look through it. Raises Refused."""
    upload = incoming / f"{secrets.token_hex(8)}.part"
    digest = hashlib.sha256()
    size = 0
    try:
        with upload.open("xb") as file:
            async for chunk in body:
                size += len(chunk)
                digest.update(chunk)
                await anyio.to_thread.run_sync(file.write, chunk)
            file.flush()
            await anyio.to_thread.run_sync(os.fsync, file.fileno())
        await anyio.to_thread.run_sync(inspect, upload)
    except BaseException:
        upload.unlink(missing_ok=True)
        raise
    return Upload(upload, digest.hexdigest(), size)


def inspect(path: Path) -> None:
    """Refuse an archive that is not a gzipped tar of plain files and folders within bounds."""
    try:
        with gzip.open(path) as unpacked:
            bounded = _Bounded(unpacked)
            with tarfile.TarFile(fileobj=bounded) as archive:  # type: ignore[arg-type]
                _inspect_members(archive)
            bounded.seek(MAX_UNPACKED, strict=False)
    except (tarfile.TarError, zlib.error, OSError, EOFError, UnicodeError, ValueError) as error:
        raise Refused(f"it is not a whole gzipped tar ({error})") from None


def _inspect_members(archive: tarfile.TarFile) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    total = 0
    for number, member in enumerate(archive, 1):
        name = member.name
        path = PurePosixPath(name)
        shown = repr(name[:100])
        if number > MAX_ENTRIES:
            raise Refused(f"it holds more than {MAX_ENTRIES} files")
        if member.size < 0:
            raise Refused("its headers contradict each other")
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise Refused(f"{shown} would lie outside of the folder that it is unpacked into")
        if len(name.encode(errors="surrogateescape")) > 1000 or not name.isprintable():
            raise Refused(f"{shown} is not a readable file name of at most 1000 bytes")
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise Refused(f"{shown} is a link, a device or the like; only files and folders can be sent")
        total += member.size
        if total > MAX_UNPACKED:
            raise Refused(f"unpacked it is larger than {MAX_UNPACKED >> 20} MiB")
        plain = str(path)
        if member.isdir():
            folders.add(plain)
        elif plain in files:
            raise Refused(f"{shown} is in it twice")
        else:
            files.add(plain)
        folders.update(str(parent) for parent in path.parents)
    if clash := files & folders:
        raise Refused(f"{min(clash)!r} is both a file and a folder")
    if not files:
        raise Refused("it holds no file")


class _Bounded:
    """Reads a gzip stream for tarfile, forward only, no further than allowed, and never much at once."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int, *, strict: bool = True) -> int:
        if position > MAX_UNPACKED and strict:
            raise Refused(f"unpacked it is larger than {MAX_UNPACKED >> 20} MiB")
        if position < self._stream.tell():
            raise Refused("its headers contradict each other")
        reached = self._stream.seek(position)
        if not strict and self._stream.read(1):
            raise Refused(f"unpacked it is larger than {MAX_UNPACKED >> 20} MiB")
        return reached

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER:
            raise Refused("one of its headers is larger than any file name needs")
        return self._stream.read(size)
