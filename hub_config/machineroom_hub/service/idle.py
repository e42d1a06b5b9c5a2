"""Machines on which nothing happens are put to sleep, and what that has saved.

A machine is idle when nobody types, no terminal prints, no process computes and no network flows; whether
a browser is open says nothing. All of it is the kernel's word, read from outside (`Driver.usage`).
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from machineroom_spawners.course import Idle
from machineroom_spawners.drivers.base import Machine, MachineError, State, Usage
from machineroom_spawners.spec import MachineRef
from sqlalchemy import Float, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..db import Base
from . import audit, metrics
from .core import Service
from .models import Utc, now

INTERVAL = 30.0
"""Seconds from one look to the next."""

BUSY_CPU = 0.01
"""Of one CPU. What systemd and sshd do for themselves is a tenth of it."""
BUSY_NETWORK = 100
"""Bytes per second. Keep-alives of connections on which nothing is said are far below."""


class Sleep(Base):
    """What is to be remembered of one machine's sleep: until when it is kept awake, since when it sleeps."""

    __tablename__ = "sleep"

    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    course: Mapped[str] = mapped_column(String(40), primary_key=True)
    lab: Mapped[str] = mapped_column(String(60), primary_key=True)
    machine: Mapped[str] = mapped_column(String(31), primary_key=True)
    kept: Mapped[datetime | None] = mapped_column(Utc)
    since: Mapped[datetime | None] = mapped_column(Utc)
    """Since when it sleeps, if it was put to sleep here."""
    slept: Mapped[float] = mapped_column(Float, default=0.0)
    """Seconds, without the present sleep."""

    @property
    def ref(self) -> MachineRef:
        """Which machine it is."""
        return MachineRef(self.owner, self.course, self.lab, self.machine)


@dataclass
class _Seen:
    """A machine as it was at the last look, and when something last happened on it."""

    id: str
    usage: Usage
    active: datetime


def busy(before: Usage, after: Usage) -> bool:
    """Whether anything happened on a machine between two looks."""
    seconds = (after.time - before.time).total_seconds()
    if seconds <= 0 or after.started != before.started:
        return True
    return (
        (after.cpu_seconds - before.cpu_seconds) / seconds > BUSY_CPU
        or (after.network - before.network) / seconds > BUSY_NETWORK
        or (after.typed is not None and after.typed > before.time)
    )


class Watch:
    """Looks at all machines now and then."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._seen: dict[MachineRef, _Seen] = {}
        self._last: datetime | None = None

    def active(self, ref: MachineRef) -> datetime | None:
        """When something last happened on a machine that runs, as far as is known."""
        seen = self._seen.get(ref)
        return seen.active if seen else None

    async def look(self, moment: datetime | None = None) -> None:
        """Look once, and put to sleep what has been idle for long enough. Raises MachineError."""
        moment = moment or now()
        service = self._service
        found = await service.work(service.machines)
        remembered = {row.ref: row for row in await service.read(rows)}
        courses = service.catalogue.courses()
        asleep = 0
        for machine in found:
            ref, row = machine.ref, remembered.get(machine.ref)
            if ref.course not in courses or ":" in ref.owner:  # such as the machines of a proof
                continue
            rule = courses[ref.course].idle
            if machine.state == State.RUNNING:
                if row and row.since:
                    self._seen.pop(ref, None)  # it was woken, and has all its time again
                    await service.write(partial(_wake, ref=ref, moment=moment))
                await self._running(machine, rule, row, moment)
            elif machine.state == State.SUSPENDED and row and row.since:
                asleep += 1
                if rule.stop and moment - row.since >= timedelta(seconds=rule.stop):
                    await self._act("stop", machine)
            elif row and row.since and machine.state == State.STOPPED:
                asleep += 1
        awake = {machine.ref for machine in found if machine.state == State.RUNNING}
        self._seen = {ref: seen for ref, seen in self._seen.items() if ref in awake}
        if self._last:
            metrics.asleep_seconds.inc(asleep * max(0.0, (moment - self._last).total_seconds()))
        self._last = moment

    async def _running(self, machine: Machine, rule: Idle, row: Sleep | None, moment: datetime) -> None:
        service, ref = self._service, machine.ref
        usage = await service.work(service.driver(machine.driver).usage, machine)
        if usage is None:
            return
        seen = self._seen.get(ref)
        if seen is None or seen.id != machine.id or busy(seen.usage, usage):
            self._seen[ref] = _Seen(machine.id, usage, moment)
            return
        seen.usage = usage
        lab = service.course(ref.course).labs.get(ref.lab)
        content = lab.machines.get(ref.machine) if lab else None
        kept = (content and content.always_on) or (row and row.kept and row.kept > moment)
        if not rule.suspend or kept or moment - seen.active < timedelta(seconds=rule.suspend):
            return
        if await self._act("suspend", machine):
            await service.write(partial(_sleep, ref=ref, moment=moment))

    async def _act(self, action: str, machine: Machine) -> bool:
        """Suspend or stop a machine when it is its turn, unless it has come to life meanwhile."""
        service, ref = self._service, machine.ref
        driver = service.driver(machine.driver)
        data = {"machine": str(ref)}

        def act() -> bool:
            current = driver.poll(ref)
            if current is None or current.id != machine.id or current.state != machine.state:
                return False
            seen, usage = self._seen.get(ref), driver.usage(current)
            if action == "suspend" and seen and usage and busy(seen.usage, usage):
                return False
            service.sessions.close_of(ref)
            (driver.suspend if action == "suspend" else driver.stop)(ref)
            return True

        try:
            async with service.turns.of(f"machine {ref}"):
                done = await service.work(act)
        except MachineError as error:
            data["problem"] = str(error)
            audit.log.warning(f"idle machine: {action} failed", extra={"data": data})
            return False
        if done:
            audit.log.info(f"idle machine: {action}", extra={"data": data})
        return done


async def keep_watch(service: Service) -> None:
    """Look every so often, for as long as the service runs."""
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            await service.watch.look()
        except MachineError as error:  # the engine is away; the next look may find it
            audit.log.warning("idle machines were not looked for", extra={"data": {"problem": str(error)}})
        except Exception:
            audit.log.exception("looking for idle machines crashed")


def keep(session: Session, ref: MachineRef, until: datetime | None) -> None:
    """Keep a machine awake until then, or, with None, no longer than any other."""
    _row(session, ref).kept = until


def rows(session: Session, course: str | None = None) -> list[Sleep]:
    """What is remembered of a course's machines, or of all."""
    query = select(Sleep) if course is None else select(Sleep).where(Sleep.course == course)
    return list(session.scalars(query))


def _row(session: Session, ref: MachineRef) -> Sleep:
    key = (ref.owner, ref.course, ref.lab, ref.machine)
    row = session.get(Sleep, key)
    if row is None:
        row = Sleep(owner=ref.owner, course=ref.course, lab=ref.lab, machine=ref.machine, slept=0.0)
        session.add(row)
    return row


def _sleep(session: Session, ref: MachineRef, moment: datetime) -> None:
    _row(session, ref).since = moment


def _wake(session: Session, ref: MachineRef, moment: datetime) -> None:
    row = _row(session, ref)
    if row.since:
        row.slept += max(0.0, (moment - row.since).total_seconds())
        row.since = None
