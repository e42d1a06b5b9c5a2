"""The API of the class board: every student of a course in one answer, cheap to ask for again and again.

All graders who look at a course share what was found, at most `FRESH` seconds old; who has seen a
version is sent only the rows that have changed since.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from .auth import CallerDep, Presence
from .checking import ChecksBroken
from .core import CourseId, Service, ServiceDep
from .helping import Hand, hand_json
from .machines import machines_of
from .models import Extension, iso
from .progress import Progress, submitted

if TYPE_CHECKING:
    from machineroom_spawners.drivers.base import Machine

router = APIRouter(tags=["class"])

FRESH = 2.0
"""Seconds for which what was found is good enough for everybody."""
PEOPLE = 15.0
"""The same for what the hub is asked: who is in the course, and whose workspace runs."""

Row = dict[str, Any]


class Board:
    """One course as its graders see it, with the tasks of one assignment or of none."""

    def __init__(self, service: Service, course: str, assignment: str | None) -> None:
        self._service, self._course, self._assignment = service, course, assignment
        self.progress = Progress(course, assignment or "")
        self._lock = asyncio.Lock()
        self._epoch = secrets.token_hex(4)
        self._version = 0
        self._rows: dict[str, tuple[int, Row]] = {}
        self._rest: Row = {}
        self._looked = self._asked = float("-inf")
        self._students: set[str] = set()
        self._presence: dict[str, Presence] = {}

    def changed(self) -> None:
        """What is known is known to be old."""
        self._looked = float("-inf")

    async def look(self) -> None:
        """See to it that what is known is fresh."""
        async with self._lock:
            if time.monotonic() - self._looked < FRESH:
                return
            began = time.monotonic()
            problem = await self._ask_hub()
            machines: dict[str, list[Machine]] = defaultdict(list)
            try:
                for machine in await machines_of(self._service, None, self._course):
                    machines[machine.ref.owner].append(machine)
            except HTTPException as error:
                problem = str(error.detail)
            tasks: list[dict[str, Any]] = []
            try:
                tasks = await self._tasks()
            except ChecksBroken as error:
                problem = f"{error}. Mend it in the course folder."
            rows = await self._service.read(lambda session: self._compose(session, machines))
            self._take(rows, {"tasks": tasks, "problem": problem})
            self._looked = began

    async def _tasks(self) -> list[dict[str, Any]]:
        if self._assignment is None:
            return []
        course = self._service.course(self._course)
        found = await self._service.work(self._service.checks.tasks, course, self._assignment)
        return [{key: task[key] for key in ("task", "title", "points")} for task in found]

    async def _ask_hub(self) -> str:
        """Who there is. While the hub is away, what it said last is shown, and why."""
        if time.monotonic() - self._asked < PEOPLE:
            return ""
        authority = self._service.authority
        try:
            self._students = await authority.students(self._course)
            self._presence = await authority.presence()
        except HTTPException as error:
            if not self._students:
                raise
            return str(error.detail)
        self._asked = time.monotonic()
        return ""

    def _compose(self, session: Session, machines: dict[str, list["Machine"]]) -> dict[str, Row]:
        course, assignment = self._course, self._assignment
        hands = {hand.student: hand for hand in session.scalars(select(Hand).where(Hand.course == course))}
        handed_in: dict[str, datetime] = {}
        extensions: dict[str, datetime] = {}
        if assignment:
            self.progress.look(session)
            handed_in = submitted(session, course, assignment)
            where = (Extension.course == course, Extension.assignment == assignment)
            extensions = {row.student: row.until for row in session.scalars(select(Extension).where(*where))}
        return {
            student: {
                "student": student,
                "workspace": student in self._presence,
                "active": iso(self._active(student, machines[student], hands.get(student))),
                "machines": [
                    {"lab": m.ref.lab, "machine": m.ref.machine, "state": m.state.value}
                    for m in machines[student]
                ],
                "tasks": self.progress.tasks(student),
                "submitted": iso(handed_in.get(student)),
                "extension": iso(extensions.get(student)),
                "hand": hand_json(hands.get(student)),
                "terminals": self._service.lines.terminals(student, course),
                "visits": self._service.visits.at(course, student),
            }
            for student in sorted(self._students)
        }

    def _active(self, student: str, machines: list["Machine"], hand: Hand | None) -> datetime | None:
        """When a student last did something, in whole minutes: not each second is news."""
        moments = [self._service.watch.active(machine.ref) for machine in machines]
        moments += [self.progress.active(student), hand.since if hand else None]
        if student in self._presence:
            moments.append(self._presence[student].active)
        known = [moment for moment in moments if moment]
        return max(known).replace(second=0, microsecond=0) if known else None

    def _take(self, rows: dict[str, Row], rest: Row) -> None:
        """Number what is new."""
        if rows.keys() != self._rows.keys():  # somebody came or went: everybody is told all of it
            self._epoch = secrets.token_hex(4)
        rest = {"checks": self.progress.checks(self._students), **rest}
        news = [name for name, row in rows.items() if self._rows.get(name, (0, None))[1] != row]
        if news or rest != self._rest:
            self._version += 1
        version = self._version
        self._rows = {
            name: (version, row) if name in news else self._rows[name] for name, row in rows.items()
        }
        self._rest = rest

    def since(self, cursor: str) -> Row:
        """What is new to whoever was given `cursor` the last time; all of it, if it is not one of ours."""
        epoch, _, number = cursor.partition(".")
        seen = int(number) if epoch == self._epoch and number.isdecimal() else -1
        now = f"{self._epoch}.{self._version}"
        if seen == self._version:
            return {"cursor": now, "whole": False, "students": []}
        rows = [row for version, row in self._rows.values() if version > seen]
        return {"cursor": now, "whole": seen < 0, "students": rows, **self._rest}


class Boards:
    """The boards that somebody has looked at, by course and assignment."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._boards: dict[tuple[str, str | None], Board] = {}

    async def look(self, course: str, assignment: str | None) -> Board:
        """A board that is fresh."""
        key = (course, assignment)
        if key not in self._boards:
            self._boards[key] = Board(self._service, course, assignment)
        board = self._boards[key]
        await board.look()
        return board

    def changed(self, course: str) -> None:
        """Something has happened in a course that its graders should see at once."""
        for (id, _), board in self._boards.items():
            if id == course:
                board.changed()


@router.get("/courses/{course}/board", summary="Every student of a course, as they are now")
async def board(
    course: CourseId,
    service: ServiceDep,
    caller: CallerDep,
    assignment: Annotated[str | None, Query(max_length=60, description="whose tasks are shown")] = None,
    since: Annotated[str, Query(max_length=40, description="the `cursor` of the answer before")] = "",
) -> dict[str, Any]:
    """`{"cursor","whole","students":[…],"tasks"?,"checks"?,"problem"?}`: with `since`, what has changed.

    `whole` says that these are all students, and not only those who have changed; the rest is left out
    where nothing has. `checks` says for how many each check was run and fails.
    """
    caller.require("assist", course)
    service.course(course)
    if assignment:
        service.assignment(course, assignment)
    return (await service.boards.look(course, assignment or None)).since(since)
