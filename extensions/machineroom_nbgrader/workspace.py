"""What this workspace is for: whose it is, the service's address and the courses, with the user's role."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Course:
    """A course that the workspace's user takes or grades."""

    id: str
    title: str
    role: str

    @property
    def graded(self) -> bool:
        """Whether the user grades this course, so that its live folder is at `folder`."""
        return self.role in ("ta", "instructor")

    @property
    def folder(self) -> Path:
        """The live course folder: nbgrader's course directory, gradebook included."""
        return Path.home() / "courses" / self.id


@dataclass(frozen=True)
class Workspace:
    """The part of `workspace.json` that nbgrader needs."""

    user: str
    service_url: str
    courses: tuple[Course, ...]

    @property
    def graded(self) -> tuple[Course, ...]:
        """The courses that the user grades."""
        return tuple(course for course in self.courses if course.graded)


def read_workspace() -> Workspace:
    """This workspace, as the spawner described it in /etc/machineroom, or where `MACHINEROOM_ETC` says.

    Raises:
        FileNotFoundError: this is not a workspace of Machineroom.
    """
    folder = Path(os.environ.get("MACHINEROOM_ETC", "/etc/machineroom"))
    said = json.loads((folder / "workspace.json").read_text(encoding="utf-8"))
    courses = tuple(Course(c["id"], c.get("title") or c["id"], c["role"]) for c in said["courses"])
    return Workspace(said["user"], said["service_url"], courses)
