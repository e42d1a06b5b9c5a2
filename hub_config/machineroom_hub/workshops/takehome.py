"""What a guest takes home: the files of their home, and a report, as one zip.

The home is read from its volume, whether or not anything runs. No link that a guest put there is
followed, and what a guest may make without end (sizes, folders in folders, names) is bounded.
"""

import itertools
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import docker
from docker.errors import DockerException, NotFound
from jinja2 import Environment, FileSystemLoader
from machineroom_spawners import names

from ..host import HostError
from ..room import Room
from .models import Guest, Seat, Workshop

MOST_BYTES = 128 << 20
"""How much a take-home holds; what is too large is named in the report."""
MOST_FILE = 32 << 20
MOST_ENTRIES, DEEPEST = 20_000, 30
"""How many files and folders are looked at, and how deep."""

_pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
_UNFIT = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|\ud800-\udfff]')
"""What some system takes for something else in a file's name."""


@dataclass(frozen=True)
class Task:
    """A task as the report tells it; `report` is its last verdict, without evidence, or None."""

    assignment: str
    title: str
    points: float
    report: dict[str, Any] | None


def pack(
    room: Room, workshop: Workshop, guest: Guest, seat: Seat, title: str, tasks: list[Task]
) -> IO[bytes]:
    """The zip, in a file without a name, at its beginning. Raises HostError."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller's to close
    folder = PurePosixPath(workshop.id)
    left_out: list[str] = []
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            with _home(room, seat.name) as home:
                for name, content in _files(home, left_out) if home is not None else ():
                    archive.writestr(str(folder / "files" / name), content)
            page = _pages.get_template("report.html").render(
                title=title, workshop=workshop, guest=guest, tasks=tasks, left_out=left_out
            )
            archive.writestr(str(folder / "report.html"), page)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _files(home: int, left_out: list[str]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The plain files in a folder that somebody made, and no program for itself (`.cache`, `.local`, …)."""
    kept = 0
    for path, folder, name, size in _walk(home, PurePosixPath(), itertools.count(1)):
        shown = PurePosixPath(*(_UNFIT.sub("_", part) for part in (path / name).parts))
        if size > MOST_FILE or kept + size > MOST_BYTES:
            left_out.append(f"{shown} ({size >> 20} MB)")
            continue
        with suppress(OSError):  # it is gone, or is something else by now
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    content = file.read(size)
                    kept += len(content)
                    yield shown, content


def _walk(
    folder: int, path: PurePosixPath, seen: Iterator[int]
) -> Iterator[tuple[PurePosixPath, int, str, int]]:
    """Every plain file below an open folder: where, in which folder, its name and its size."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if next(seen) > MOST_ENTRIES:
                return
            if entry.name.startswith("."):
                continue
            if entry.is_file(follow_symlinks=False):
                yield path, folder, entry.name, entry.stat(follow_symlinks=False).st_size
            elif entry.is_dir(follow_symlinks=False) and len(path.parts) < DEEPEST:
                with suppress(OSError), _opened(entry.name, folder) as below:
                    yield from _walk(below, path / entry.name, seen)


@contextmanager
def _home(room: Room, owner: str) -> Iterator[int | None]:
    """A descriptor of the owner's home; None when there is none yet."""
    client = docker.from_env(timeout=60)
    try:
        place = client.volumes.get(f"mr-{room.id}-home-{names.slug(owner)}").attrs["Mountpoint"]
        with _opened(place) as home:
            yield home
    except NotFound:
        yield None
    except (DockerException, OSError) as error:
        raise HostError(f"the home of {owner} could not be read ({error}); try again in a minute") from error
    finally:
        client.close()


@contextmanager
def _opened(name: str, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
