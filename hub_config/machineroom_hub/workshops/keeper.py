"""The keeper: has a workshop's seats ready before its guests come, shuts them when it ends, removes them.

It looks every few seconds at what the database says should be, and at what hub and driver say is,
and does a little about the difference. It remembers nothing that it could not find out again.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from machineroom_spawners import workspace
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import read_course
from machineroom_spawners.drivers.base import Driver, Machine, MachineError, State
from sqlalchemy import delete, select

from ..accounts import Account, transaction
from ..room import Room
from ..service.audit import log
from ..service.idle import Sleep
from ..service.models import Verdict, now
from . import plan
from .models import Guest, Phase, Seat, Workshop

T = TypeVar("T")

AHEAD = timedelta(minutes=10)
AHEAD_PER_SEAT = timedelta(seconds=10)
"""How long before the start the first seat is made ready: so much, and so much for each seat."""

AT_ONCE = os.cpu_count() or 1
"""Seats that are started at once: who starts a server of their own must not wait behind a whole class."""

TRIES = 3
"""Starts of a seat that may fail before another takes its place."""

AMISS_SECONDS = 60.0
"""How long a ready seat's machine may be missing or broken before another seat takes its place."""

SOON, LATER = 2.0, 5.0
"""Seconds between two looks, while seats are being started, and otherwise."""


class Keeper:
    """Keeps the seats of all workshops of a room. Belongs to one event loop."""

    def __init__(self, room: Room, hub_api: str, driver: Callable[[], Driver]) -> None:
        self._room = room
        self._driver = driver
        headers = {"Authorization": f"token {room.token('workshops')}"}
        self._hub = httpx.AsyncClient(
            base_url=hub_api.rstrip("/") + "/", headers=headers, timeout=60, trust_env=False
        )
        self._tries: dict[str, int] = {}
        self._amiss: dict[str, float] = {}
        self._shut: set[str] = set()
        """Workshops whose seats this process has shut, so that it need not look again."""

    async def close(self) -> None:
        """Close the connections to the hub."""
        await self._hub.aclose()

    async def look(self) -> float:
        """Do what is to be done now; in how many seconds to look again."""
        pauses = [await self._keep(workshop) for workshop in await self._do(plan.listing)]
        return min(pauses, default=LATER)

    async def _keep(self, workshop: Workshop) -> float:
        moment = now()
        if moment >= workshop.removes:
            await self._remove(workshop)
        elif workshop.phase is Phase.OVER:
            await self._shut_down(workshop)
        elif moment >= workshop.starts - AHEAD - workshop.seats * AHEAD_PER_SEAT:
            return await self._make_ready(workshop)
        return LATER

    # Before and while it is open

    async def _make_ready(self, workshop: Workshop) -> float:
        """Start what does not run, a few at a time, and replace what will not."""
        seats, guests = await self._do(plan.people, workshop.id)
        taken = {guest.seat for guest in guests}
        for seat in seats:
            if seat.retired and seat.name not in taken:
                await self._forget(seat.name)
        free = [seat for seat in seats if not seat.retired and seat.name not in taken]
        servers = dict(zip(free, await self._each(free, self._server), strict=True))
        machines = await self._machines(workshop)
        starting = sum(1 for server in servers.values() if server and not server["ready"])
        for seat, server in servers.items():
            if server and server["ready"]:
                await self._judge(workshop, seat, machines)
            elif server is None:
                await self._mark(seat, False)
                if starting < AT_ONCE:
                    starting += await self._start(seat)
        return SOON if any(not seat.ready for seat in free) else LATER

    async def _start(self, seat: Seat) -> bool:
        """Start a seat that does not run; one that often failed to is replaced."""
        tries = self._tries[seat.name] = self._tries.get(seat.name, 0) + 1
        if tries > TRIES:
            await self._retire(seat, f"its workspace did not start in {TRIES} attempts")
            return False
        await self._call("POST", f"users/{seat.name}", fine=(409,))  # the hub hears of it now
        await self._call("POST", f"users/{seat.name}/server", fine=(400,))
        return True

    async def _judge(self, workshop: Workshop, seat: Seat, machines: dict[str, list[Machine]] | None) -> None:
        """A seat whose workspace runs is ready if its machines are well, too."""
        if machines is None:
            return await self._mark(seat, True)  # nobody knows; a notebook is better than none
        there = {m.ref.machine for m in machines.get(seat.name, ()) if m.state is not State.BROKEN}
        missing = await self._expected(workshop) - there
        if not missing:
            self._amiss.pop(seat.name, None)
            return await self._mark(seat, True)
        await self._mark(seat, False)
        since = self._amiss.setdefault(seat.name, time.monotonic())
        if time.monotonic() - since > AMISS_SECONDS:
            await self._retire(seat, f"machine {min(missing)} was missing or broken")
        return None

    async def _expected(self, workshop: Workshop) -> set[str]:
        """The machines that a seat has when somebody comes."""
        try:
            course = await asyncio.to_thread(read_course, self._room.courses / workshop.course)
        except ContentError:
            return set()
        lab = workspace.first_lab(course)
        return set(course.labs[lab].machines) if lab else set()

    async def _machines(self, workshop: Workshop) -> dict[str, list[Machine]] | None:
        """The machines of a course by owner; None when that cannot be said."""
        found: dict[str, list[Machine]] = {}
        try:
            for machine in await asyncio.to_thread(self._driver().machines, None, workshop.course):
                found.setdefault(machine.ref.owner, []).append(machine)
        except MachineError:
            return None
        return found

    async def _mark(self, seat: Seat, ready: bool) -> None:
        if seat.ready is ready:
            return

        def change() -> None:
            with transaction(self._room) as session:
                found = session.get(Seat, seat.name)
                if found and not found.retired:
                    found.ready = ready

        await asyncio.to_thread(change)
        seat.ready = ready

    async def _retire(self, seat: Seat, why: str) -> None:
        """Another seat in its place, unless somebody has claimed it meanwhile."""

        def change() -> bool:
            with transaction(self._room) as session:
                claimed = session.scalar(select(Guest.id).where(Guest.seat == seat.name))
                found = session.get(Seat, seat.name)
                if claimed or found is None or found.retired:
                    return False
                plan.retire(session, found, why)
                return True

        if await asyncio.to_thread(change):
            log.warning("a seat is replaced", extra={"data": {"seat": seat.name, "why": why}})

    # When it is over

    async def _shut_down(self, workshop: Workshop) -> None:
        """Nobody gets in any more; workspaces and machines are switched off, with all that is in them."""
        if workshop.id in self._shut:
            return

        def close() -> None:
            with transaction(self._room) as session:
                plan.close(session, session.get_one(Workshop, workshop.id))

        await asyncio.to_thread(close)
        seats, _ = await self._do(plan.people, workshop.id)
        running = [
            s for s, server in zip(seats, await self._each(seats, self._server), strict=True) if server
        ]
        await self._each(
            running, lambda seat: self._call("DELETE", f"users/{seat.name}/server", fine=(400, 404))
        )
        machines = await self._machines(workshop)
        if running or machines is None:
            return  # looked at once more
        for seat in seats:
            for machine in machines.get(seat.name, ()):
                if machine.state in (State.RUNNING, State.SUSPENDED):
                    await asyncio.to_thread(self._driver().stop, machine.ref)
        self._shut.add(workshop.id)
        log.info("a workshop is over", extra={"data": {"workshop": workshop.id}})

    async def _remove(self, workshop: Workshop) -> None:
        """Accounts, homes and machines are removed, and the names of those who came."""
        seats, _ = await self._do(plan.people, workshop.id)
        await self._each(seats, lambda seat: self._forget(seat.name))

        def finish() -> None:
            with transaction(self._room) as session:
                session.execute(delete(Guest).where(Guest.workshop == workshop.id))
                session.get_one(Workshop, workshop.id).removed = now()

        await asyncio.to_thread(finish)
        log.info("a workshop is removed", extra={"data": {"workshop": workshop.id}})

    async def _forget(self, name: str) -> None:
        """Remove a seat and all that belongs to it; its account last: it is found again after a crash."""
        await self._call("DELETE", f"users/{name}/server", fine=(400, 404))
        for _ in range(30):
            if not await self._server_of(name):
                break
            await asyncio.sleep(1)
        driver = self._driver()
        for machine in await asyncio.to_thread(driver.machines, name):
            await asyncio.to_thread(driver.delete, machine.ref)
        await self._call("DELETE", f"users/{name}", fine=(404,))

        def change() -> None:
            with transaction(self._room) as session:
                # what was only tried; submissions and what their checks said stay with the course
                session.execute(delete(Verdict).where(Verdict.student == name, Verdict.submission.is_(None)))
                session.execute(delete(Sleep).where(Sleep.owner == name))
                account = session.get(Account, name)
                if account is not None:
                    session.delete(account)

        await asyncio.to_thread(change)
        self._tries.pop(name, None)
        self._amiss.pop(name, None)

    # What it asks

    async def _server(self, seat: Seat) -> dict[str, Any] | None:
        return await self._server_of(seat.name)

    async def _server_of(self, name: str) -> dict[str, Any] | None:
        """The hub's word for somebody's server; None when there is none."""
        answer = await self._call("GET", f"users/{name}", fine=(404,))
        if answer.status_code == 404:
            return None
        server: dict[str, Any] | None = answer.json()["servers"].get("")
        return server

    async def _call(self, method: str, path: str, fine: tuple[int, ...] = ()) -> httpx.Response:
        """One call of the hub's API. Raises httpx.HTTPError."""
        answer = await self._hub.request(method, path)
        if answer.status_code not in fine:
            answer.raise_for_status()
        return answer

    async def _each(self, seats: list[Seat], act: Callable[[Seat], Awaitable[T]]) -> list[T]:
        """Do something to all seats, several at a time."""
        several = asyncio.Semaphore(4)

        async def one(seat: Seat) -> T:
            async with several:
                return await act(seat)

        return await asyncio.gather(*(one(seat) for seat in seats))

    async def _do(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(function, self._room, *arguments)


async def keep_timetable(keeper: Keeper) -> None:
    """Look every so often, for as long as the service runs."""
    while True:
        pause = LATER
        try:
            pause = await keeper.look()
        except (httpx.HTTPError, MachineError) as error:  # hub or engine is away; the next look may find it
            log.warning("workshops could not be looked after", extra={"data": {"problem": str(error)}})
        except Exception:
            log.exception("looking after workshops crashed")
        await asyncio.sleep(pause)
