"""What every part of the service shares: the room, the database, courses, drivers, and whose turn it is."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, HTTPException, Path
from fastapi.requests import HTTPConnection
from machineroom_spawners.course import Assignment, Course
from machineroom_spawners.drivers import make_driver
from machineroom_spawners.drivers.base import Driver, Machine, MachineError
from machineroom_spawners.spec import MachineRef
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from ..db import READ_ONLY
from ..migrations import upgrade
from ..room import Room
from . import audit
from .auth import Authority, Caller
from .catalogue import Catalogue
from .checking import Checks
from .executing import Executions
from .models import Release
from .sessions import SessionPool

if TYPE_CHECKING:
    from .board import Boards
    from .idle import Watch
    from .lines import Lines
    from .regrade import Plan
    from .visits import Visits

Value = TypeVar("Value")

WORKERS = 24
"""Driver calls at once; they block, mostly waiting for the engine."""
CHECKS_AT_ONCE = 4
MOST_COPIES = 8
"""Submissions that are looked at on copies of their machines at once, on a host with processors enough."""
SAVED_AT_ONCE = 2
"""Submissions whose machines are saved at the same moment: that is work for the disk."""
CLOSING_SECONDS = 8
WAITING_PER_KEY = 4
"""How many may wait for the same student or machine before the next one is told to come back later."""

EVERY = 55.0
"""Seconds between two background runs of a student's checks: who asks each minute is never too early."""

CourseId = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$", description="the course's folder name")
]
AssignmentName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,59}$", description="as in course.yml")]
SubmissionId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="from a receipt")]


class Service:
    """The running service; made once, when the app starts."""

    watch: "Watch"
    boards: "Boards"
    lines: "Lines"
    visits: "Visits"

    def __init__(self, room: Room, hub_api: str) -> None:
        self.room = room
        self.authority = Authority(
            hub_api, room.token("service"), room.secret, host_cookies=room.host_cookies
        )
        self.catalogue = Catalogue(room.courses)
        self.engine = upgrade(room)
        self._database = sessionmaker(self.engine, expire_on_commit=False)
        self.sessions = SessionPool()
        self.checks = Checks(room, self.driver, self.sessions)
        self.executions = Executions(room)
        self.turns = Turns()
        self.plans: dict[str, Plan] = {}
        """Regrades that were shown and not written."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._drivers: dict[str, Driver] = {}
        self._workers = anyio.CapacityLimiter(WORKERS)
        self.check_slots = anyio.CapacityLimiter(CHECKS_AT_ONCE)
        self.live_slot = anyio.CapacityLimiter(1)
        """For checks that nobody waits for."""
        self.pace = Pace()
        self.copy_slots = anyio.CapacityLimiter(min(os.cpu_count() or 1, MOST_COPIES))
        self.save_slots = anyio.CapacityLimiter(SAVED_AT_ONCE)

    async def close(self) -> None:
        """Wait a little for what goes on, then let go of everything that is open."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        self.sessions.close_idle(0)
        self.checks.close()
        await self.work(self.executions.pool.close)
        await self.authority.close()
        self.engine.dispose()

    def driver(self, name: str = "docker") -> Driver:
        """The driver of that name."""
        if name not in self._drivers:
            room = self.room
            self._drivers[name] = make_driver(name, room.id, secret=room.secret, clouds=room.clouds)
        return self._drivers[name]

    def drivers(self) -> list[Driver]:
        """The drivers whose machines there may be: what is done for all machines is done with each."""
        return [self.driver("docker"), *([self.driver("openstack")] if self.room.clouds.exists() else [])]

    def machines(self, owner: str | None = None, course: str | None = None) -> list[Machine]:
        """All machines, or those of one owner or course. Blocks.

        While one infrastructure does not answer, those of the others are told. Raises MachineError.
        """
        found: list[Machine] = []
        for driver in self.drivers():
            try:
                found += driver.machines(owner, course)
            except MachineError as error:
                if driver.name == "docker":
                    raise
                audit.log.warning("a cloud does not answer", extra={"data": {"problem": str(error)}})
        return found

    def driver_of(self, ref: MachineRef) -> Driver:
        """The driver that the machine's lab names."""
        return self.driver(self.course(ref.course).labs[ref.lab].machines[ref.machine].driver)

    def course(self, id: str) -> Course:
        """The course called `id`. Raises HTTPException (404, or 503 when its files are broken)."""
        course = self.catalogue.courses().get(id)
        if course is None:
            if id in self.catalogue.problems():
                raise HTTPException(
                    503,
                    f"Course {id} cannot be used: its files have mistakes. Tell its instructor.",
                )
            raise HTTPException(404, f"There is no course '{id}'.")
        return course

    def assignment(self, course: str, name: str) -> Assignment:
        """An assignment of a course. Raises HTTPException."""
        found = self.course(course)
        for assignment in found.assignments:
            if assignment.name == name:
                return assignment
        known = ", ".join(a.name for a in found.assignments)
        raise HTTPException(404, f"Course {course} has no assignment '{name}'. It has: {known}.")

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` go on to its end, whoever stops listening."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def work(self, call: Callable[..., Value], *arguments: Any) -> Value:
        """Run a call that blocks, in one of a bounded number of threads."""
        return await anyio.to_thread.run_sync(call, *arguments, limiter=self._workers)

    async def write(self, change: Callable[[Session], Value]) -> Value:
        """Run `change` in one transaction of the database."""

        def transact() -> Value:
            with self._database.begin() as session:
                return change(session)

        return await anyio.to_thread.run_sync(transact)

    async def read(self, ask: Callable[[Session], Value]) -> Value:
        """Run `ask`, which changes nothing, on the database as it is at one moment."""

        def snapshot() -> Value:
            with self._database() as session:
                session.connection(execution_options=READ_ONLY)
                return ask(session)

        return await anyio.to_thread.run_sync(snapshot)

    async def visible(self, caller: Caller, course: str) -> set[str]:
        """The assignments that exist for a caller: all for graders, the released ones for students."""
        if caller.may("assist", course):
            return {assignment.name for assignment in self.course(course).assignments}
        released = select(Release.assignment).where(Release.course == course)
        return await self.read(lambda session: set(session.scalars(released)))

    async def record(self, caller: Caller, action: str, course: str, subject: str, **detail: Any) -> None:
        """Write into the audit trail what a caller is about to do."""
        await self.write(
            lambda session: audit.record(
                session, caller.name, action, course, subject, caller.address, **detail
            )
        )


class Pace:
    """When each student's checks were last run in the background."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], float] = {}

    def is_due(self, who: tuple[str, str]) -> bool:
        """Whether the last run is long enough ago."""
        return time.monotonic() - self._begun.get(who, -EVERY) >= EVERY

    def begin(self, who: tuple[str, str]) -> None:
        """A run begins; who has not asked for long is forgotten."""
        self._begun = {one: then for one, then in self._begun.items() if time.monotonic() - then < EVERY}
        self._begun[who] = time.monotonic()


class Turns:
    """One at a time for each key, in the order of arrival, and not too many in the queue."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: str, what: str = "") -> AsyncIterator[None]:
        """Wait for one's turn. Raises 429 when too many wait already, if it is said `what` they wait for."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        if what and users > WAITING_PER_KEY:
            raise HTTPException(
                429, f"{what} is still going on. Wait until it is done.", {"Retry-After": "5"}
            )
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


def _service(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
