"""The machines of a submission: saved when it is made, and brought to life again to be looked at.

A submission's snapshots belong to the owner `submission:<id>`, as do the copies that are made of
them: a name that no user can have. So a copy stands on networks of its own, its student neither
sees nor reaches it, and what was left running by a service that was killed is found by its owner.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from machineroom_spawners.course import Course
from machineroom_spawners.drivers.base import Driver, MachineError, Snapshot, State
from machineroom_spawners.spec import MachineRef, MachineSpec, lab_specs

from .core import Service
from .models import Submission, iso, now

OWNER = "submission:"
SNAPSHOT = "submitted"
BOOT_SECONDS = 60.0
"""How long a copy's services may take to start, after its sshd has answered."""
_BOOTED = "[ ! -d /run/systemd/system ] || systemctl is-system-running --wait"


class Lost(Exception):
    """A submission's machines cannot be brought back: why, and what to do."""


def owner_of(submission: str) -> str:
    """Whom the snapshots and copies of a submission belong to."""
    return OWNER + submission


def take(service: Service, course: Course, lab: str, student: str, id: str) -> dict[str, Any]:
    """Save every machine of the student's lab, all at about the same moment. Blocks.

    The answer says what was taken, and which machines of the lab did not exist. Raises MachineError,
    and then nothing is kept.
    """
    found: dict[str, Driver] = {n: service.driver(m.driver) for n, m in course.labs[lab].machines.items()}
    refs = {name: MachineRef(student, course.id, lab, name) for name in found}
    there = {name: machine for name, ref in refs.items() if (machine := found[name].poll(ref))}

    def save(name: str) -> dict[str, Any]:
        machine = there[name]
        saved = found[name].snapshot(machine.ref, SNAPSHOT, replace(machine.ref, owner=owner_of(id)))
        return {
            "machine": name,
            "lab": lab,
            "image": machine.image,
            "id": machine.id,
            "snapshot": saved.id,
            "size": saved.size,
            "taken": iso(now()),
        }

    try:
        with ThreadPoolExecutor(max(1, len(there))) as together:
            taken = list(together.map(save, there))
    except BaseException:
        forget(service, course, lab, id)
        raise
    return {"machines": taken, "missing": [name for name in refs if name not in there]}


def forget(service: Service, course: Course, lab: str, id: str) -> None:
    """Remove a submission's snapshots. Blocks."""
    for name, machine in course.labs[lab].machines.items():
        with contextlib.suppress(MachineError):
            ref = MachineRef(owner_of(id), course.id, lab, name)
            service.driver(machine.driver).delete_snapshot(ref, SNAPSHOT)


@dataclass(frozen=True)
class Copies:
    """Running copies of a submission's machines; `owner` is theirs, for whoever looks at them."""

    service: Service
    owner: str
    specs: Sequence[MachineSpec]

    def restart(self) -> None:
        """Switch them off and on again, as a reboot does. Blocks. Raises MachineError."""
        for spec in self.specs:
            self.service.sessions.close_of(spec.ref)
            self.service.driver(spec.driver).stop(spec.ref)
        for spec in self.specs:
            self.service.driver(spec.driver).ensure(spec)
        self.wait()

    def wait(self) -> None:
        """Until all services were started. Blocks. Raises MachineError."""
        for spec in self.specs:
            wait_until_booted(self.service.driver(spec.driver), spec.ref)

    def delete(self) -> None:
        """Remove them; their snapshots are kept. Blocks."""
        for spec in self.specs:
            self.service.sessions.close_of(spec.ref)
            with contextlib.suppress(MachineError):
                self.service.driver(spec.driver).delete(spec.ref)


@contextlib.contextmanager
def restored(service: Service, course: Course, found: Submission) -> Iterator[Copies]:
    """Running copies of a submission's machines, for as long as they are needed. Blocks.

    Files are as they were submitted; what only lived in memory (a program started by hand, /run) is
    gone, as after a reboot. Raises Lost when the machines cannot be had.
    """
    lab = course.assignment(found.assignment).lab
    if found.signed is None or lab is None:
        raise Lost("no machine was saved with it")
    names = {machine["machine"]: machine["lab"] for machine in found.signed["machines"]}
    if other := set(names.values()) - {lab}:
        raise Lost(f"its machines are of the lab {min(other)}, and the assignment now names {lab}")
    # keys stay as the student left them: ours would change what a check may look at
    specs = [
        replace(spec, authorized_key="", host_key="", setup=None)
        for spec in lab_specs(course, lab, owner_of(found.id), service.room.secret)
        if spec.ref.machine in names
    ]
    copies = Copies(service, owner_of(found.id), specs)
    try:
        for spec in specs:
            service.driver(spec.driver).restore(spec, SNAPSHOT)
        copies.wait()
        yield copies
    except MachineError as error:
        raise Lost(str(error)) from error
    finally:
        copies.delete()


def wait_until_booted(driver: Driver, ref: MachineRef) -> None:
    """Until the machine's init says that all services were started, or they take too long."""
    machine = driver.poll(ref)
    if machine is None or machine.state is not State.RUNNING:
        raise MachineError(f"{ref.machine} does not boot from what was submitted")
    session = driver.open_session(ref)
    end = time.monotonic() + BOOT_SECONDS
    try:
        session.run(_BOOTED, timeout=end - time.monotonic())
    finally:
        session.close()


def snapshots(service: Service) -> dict[str, list[Snapshot]]:
    """All snapshots of submissions that there are, by the submission's id. Blocks."""
    found: dict[str, list[Snapshot]] = {}
    for snapshot in (found for driver in service.drivers() for found in driver.snapshots()):
        if snapshot.ref.owner.startswith(OWNER):
            found.setdefault(snapshot.ref.owner.removeprefix(OWNER), []).append(snapshot)
    return found


def sweep(service: Service, known: set[str], before: datetime) -> None:
    """Remove copies left running since `before`, and snapshots of no submission in `known`. Blocks."""
    for driver in service.drivers():
        for machine in driver.machines():
            if machine.ref.owner.startswith(OWNER) and machine.created < before:
                driver.delete(machine.ref)
        for snapshot in driver.snapshots():
            id = snapshot.ref.owner.removeprefix(OWNER)
            if snapshot.ref.owner != id and id not in known and snapshot.created < before:
                driver.delete_snapshot(snapshot.ref, snapshot.name)
