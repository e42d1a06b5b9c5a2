"""A course: a folder with `course.yml`, assignments, labs, checks and solutions."""

import math
import re
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from .content import Content, ContentError, read
from .lab import Duration, Lab, Limits, Size, read_lab

COURSE_ID = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]\Z")
COURSE_ID_RULE = "2 to 40 lower-case letters, digits and hyphens, beginning with a letter"

DEFAULT_LIMITS = Limits(memory=256 << 20, cpus=1.0, pids=256, disk=8 << 30)
"""What a machine gets when neither its lab nor its course says otherwise."""


class LatePolicy(Content):
    """What handing in after the deadline costs, and for how long it can be done.

    >>> LatePolicy(percent_per_day=10, days=3).in_words()
    '10 % of the points are lost for each day late; nothing is taken later than 3 days after the deadline'
    """

    percent_per_day: float = Field(
        default=0, ge=0, le=100, description="of the score, lost for every day begun"
    )
    days: int | None = Field(
        default=None, ge=0, le=3650, description="after the deadline; 0 takes nothing late"
    )

    def closes(self, due: datetime) -> datetime | None:
        """The moment after which nothing is taken, or None."""
        return None if self.days is None else due + timedelta(days=self.days)

    def penalty(self, seconds: float) -> float:
        """The percentage of the points that is lost by being so late."""
        return min(100.0, self.percent_per_day * math.ceil(seconds / 86400))

    def in_words(self) -> str:
        """What students should know; "" when being late costs nothing."""
        said = []
        if self.percent_per_day:
            said.append(f"{self.percent_per_day:g} % of the points are lost for each day late")
        if self.days is not None:
            days = f"{self.days} day{'' if self.days == 1 else 's'} after " if self.days else ""
            said.append(f"nothing is taken later than {days}the deadline")
        return "; ".join(said)


class Idle(Content):
    """When machines on which nothing happens are put to sleep. Times as in `30m`, `8h`, `2d`, or `never`."""

    suspend: Duration = Field(default=3600.0, description="idle for so long, a machine is suspended")
    stop: Duration = Field(default=43200.0, description="suspended for so long, it is stopped")
    keep: Duration = Field(default=86400.0, description="the longest that students may prevent that for")


class Grading(Content):
    """What the code of one submission may use while it is autograded, in a container of its own."""

    network: bool = Field(default=False, description="whether it reaches the world; never this installation")
    memory: Size = Field(
        default=512 << 20, ge=128 << 20, description="memory, swap and files together, in bytes"
    )
    cpus: float = Field(default=1.0, gt=0, le=64)
    pids: int = Field(default=128, ge=16, le=32768, description="processes and threads")
    minutes: float = Field(default=10.0, gt=0, le=1440, description="for all notebooks together")


class Assignment(Content):
    """One nbgrader assignment; it may name a lab.

    With `show_verdicts: false` its students see no verdicts, neither from check() nor in a receipt.
    With `live_checks: false` its tasks are checked when they ask, and not while their panel is open.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)
    title: str = ""
    lab: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)
    due: datetime | None = None
    late: LatePolicy | None = None
    show_verdicts: bool = True
    autograde: Grading = Grading()
    live_checks: bool | None = None

    @model_validator(mode="after")
    def _due_is_aware(self) -> Self:
        if self.due and self.due.tzinfo is None:
            raise ValueError("due: say the time zone too, as in 2026-12-01T18:00+01:00")
        return self


class Course(Content):
    """A course as its author wrote it. `folder` is where it lies."""

    id: str
    folder: Path
    title: str
    description: str = ""
    assignments: tuple[Assignment, ...] = Field(min_length=1)
    machine: Limits = Limits()
    late: LatePolicy = LatePolicy()
    idle: Idle = Idle()
    live_checks: bool = True

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if not COURSE_ID.match(self.id):
            raise ValueError(f"the folder's name '{self.id}' is the course's id: {COURSE_ID_RULE}")
        names = [a.name for a in self.assignments]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two assignments are called '{name}'")
        return self

    @cached_property
    def labs(self) -> dict[str, Lab]:
        """Every lab that an assignment names, in the order of the assignments. Raises ContentError."""
        names = dict.fromkeys(a.lab for a in self.assignments if a.lab)
        return {name: read_lab(self.folder / "labs" / name, self.folder) for name in names}

    def assignment(self, name: str) -> Assignment:
        """The assignment called `name`. Raises ContentError."""
        for assignment in self.assignments:
            if assignment.name == name:
                return assignment
        known = ", ".join(a.name for a in self.assignments)
        raise ContentError(f"course {self.id} has no assignment '{name}'; it has: {known}")

    def late_policy(self, assignment: Assignment) -> LatePolicy:
        """The assignment's own late policy, or the course's."""
        return assignment.late or self.late

    def is_live(self, assignment: Assignment) -> bool:
        """Whether the assignment's tasks are checked in the background while their panel is open."""
        return self.live_checks if assignment.live_checks is None else assignment.live_checks

    def limits(self, lab: str, machine: str) -> Limits:
        """What `machine` of `lab` may use, with the course's and our own defaults filled in."""
        said = Limits(**{k: getattr(self.labs[lab].machines[machine], k) for k in Limits.model_fields})
        return said.over(self.machine).over(DEFAULT_LIMITS)

    def checks(self, assignment: str) -> Path:
        """The folder of an assignment's check files."""
        return self.folder / "checks" / assignment


def read_course(folder: Path) -> Course:
    """The course in `folder`, whose name is its id; every lab it names is read too.

    Raises:
        ContentError: anything that an author has to mend, with file, line and key.
    """
    folder = folder.resolve()
    course = read(folder / "course.yml", Course, id=folder.name, folder=folder)
    for assignment in course.assignments:
        if assignment.lab:
            _ = course.labs[assignment.lab]
    return course


def read_courses(root: Path) -> dict[str, Course]:
    """Every course in the folder `root`, by id; folders without a `course.yml` are passed over."""
    found = sorted(p.parent for p in root.glob("*/course.yml"))
    return {folder.name: read_course(folder) for folder in found}
