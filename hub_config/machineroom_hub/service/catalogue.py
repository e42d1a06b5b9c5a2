"""The room's courses as they are on disk now. One broken course leaves the others alone."""

import threading
from collections.abc import Iterator
from pathlib import Path

from machineroom_spawners.course import Course, read_course

from .audit import log

Signature = tuple[tuple[str, int, int], ...]


class Catalogue:
    """Courses by id, read again when their files change.

    An edit that breaks a course does not take it from a running class: its last good version
    stays in use, and `problems` holds the sentence for whoever can mend it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._seen: dict[str, Signature] = {}
        self._courses: dict[str, Course] = {}
        self._problems: dict[str, str] = {}

    def courses(self) -> dict[str, Course]:
        """Every course that can be used."""
        self._refresh()
        return dict(self._courses)

    def problems(self) -> dict[str, str]:
        """What is wrong with a course's files, by course."""
        self._refresh()
        return dict(self._problems)

    def _refresh(self) -> None:
        with self._lock:
            folders = {p.parent.name: p.parent for p in sorted(self._root.glob("*/course.yml"))}
            for gone in self._seen.keys() - folders.keys():
                del self._seen[gone]
                self._courses.pop(gone, None)
                self._problems.pop(gone, None)
            for id, folder in folders.items():
                signature = tuple(_signature(folder))
                if self._seen.get(id) != signature:
                    self._read(id, folder)
                    self._seen[id] = signature

    def _read(self, id: str, folder: Path) -> None:
        try:
            self._courses[id] = read_course(folder)
            self._problems.pop(id, None)
            log.info("course read", extra={"data": {"course": id}})
        except Exception as error:  # whatever is wrong with this one, the other courses go on
            self._problems[id] = str(error)
            log.error("course cannot be read", extra={"data": {"course": id, "problem": str(error)}})


def _signature(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name, time and size of every file that the model of a course is read from."""
    for path in (folder / "course.yml", *sorted(folder.glob("labs/*/*"))):
        try:
            stat = path.stat()
        except OSError:
            continue
        yield str(path), stat.st_mtime_ns, stat.st_size
