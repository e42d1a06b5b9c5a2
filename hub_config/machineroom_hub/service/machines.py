"""The API of machines: which there are, what they use, and what is done to them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import StreamingResponse
from machineroom_spawners.course import Course
from machineroom_spawners.drivers.base import Driver, Machine, MachineError, Progress, Usage
from machineroom_spawners.spec import MachineRef, MachineSpec, machine_spec

from .actions import LINES, stream
from .auth import Caller, CallerDep, CallerNow
from .core import CourseId, Service, ServiceDep
from .models import iso

router = APIRouter(tags=["machines"])

Action = Literal["ensure", "reset", "suspend", "resume", "stop"]


def as_json(machine: Machine) -> dict[str, Any]:
    """A machine as the API shows it."""
    ref = machine.ref
    return {
        "owner": ref.owner,
        "course": ref.course,
        "lab": ref.lab,
        "machine": ref.machine,
        "state": machine.state.value,
        "image": machine.image,
        "driver": machine.driver,
        "address": machine.address,
    }


def _usage_as_json(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    moments = {name: iso(getattr(usage, name)) for name in ("time", "started", "typed")}
    return {**vars(usage), **moments}


@dataclass(frozen=True)
class Place:
    """A machine's place in a course that exists, whether or not the machine does."""

    ref: MachineRef
    course: Course

    def spec(self, service: Service) -> MachineSpec:
        """The full description of the machine."""
        return machine_spec(self.course, self.ref.lab, self.ref.machine, self.ref.owner, service.room.secret)


async def authorised(service: Service, caller: Caller, ref: MachineRef) -> Place:
    """The place of `ref`, if the caller may deal with it: their own, or one of a course they assist in."""
    caller.require("learn" if ref.owner == caller.name else "assist", ref.course)
    course = service.course(ref.course)
    if ref.lab not in course.labs:
        raise HTTPException(
            404, f"Course {ref.course} has no lab '{ref.lab}'. It has: {', '.join(course.labs)}."
        )
    machines = course.labs[ref.lab].machines
    if ref.machine not in machines:
        raise HTTPException(
            404, f"Lab {ref.lab} has no machine '{ref.machine}'. It has: {', '.join(machines)}."
        )
    if ref.owner != caller.name and ref.owner not in await service.authority.members(ref.course):
        raise HTTPException(404, f"There is no '{ref.owner}' in course {ref.course}.")
    return Place(ref, course)


async def _place(
    service: ServiceDep,
    caller: CallerNow,
    owner: Annotated[str, Path(max_length=255)],
    course: CourseId,
    lab: Annotated[str, Path(max_length=60)],
    machine: Annotated[str, Path(max_length=31)],
) -> Place:
    return await authorised(service, caller, MachineRef(owner, course, lab, machine))


PlaceDep = Annotated[Place, Depends(_place)]
"""The place that a request's path names, if the caller, as the hub knows them now, may deal with it."""


@router.get("/machines", summary="Machines that exist")
async def machines(
    service: ServiceDep,
    caller: CallerDep,
    owner: Annotated[str | None, Query(max_length=255)] = None,
    course: Annotated[str | None, Query(max_length=40)] = None,
    usage: Annotated[bool, Query(description="also what each one uses")] = False,
) -> list[dict[str, Any]]:
    """One's own; graders also those of a student, or of a whole course, that they assist in.

    `usage` is null for a machine that does not run.
    """
    if course and not owner:
        caller.require("assist", course)
    else:
        owner = owner or caller.name
    found = await machines_of(service, owner, course)
    shown = [m for m in found if m.ref.owner == caller.name or caller.may("assist", m.ref.course)]
    if not usage:
        return [as_json(machine) for machine in shown]
    return await service.work(_with_usage, service, shown)


def _with_usage(service: Service, found: list[Machine]) -> list[dict[str, Any]]:
    try:
        used = [service.driver(machine.driver).usage(machine) for machine in found]
    except MachineError as error:
        raise HTTPException(503, str(error)) from error
    return [as_json(m) | {"usage": _usage_as_json(u)} for m, u in zip(found, used, strict=True)]


async def machines_of(service: Service, owner: str | None, course: str | None) -> list[Machine]:
    """Machines by one listing of the infrastructure. Raises HTTPException when it does not answer."""
    try:
        return sorted(await service.work(service.machines, owner, course), key=lambda m: m.ref)
    except MachineError as error:
        raise HTTPException(503, str(error)) from error


@router.post(
    "/machines/{owner}/{course}/{lab}/{machine}/{action}",
    summary="Make a machine run, reset, suspend, resume or stop it",
    response_class=StreamingResponse,
    responses=LINES,
)
async def act(action: Action, place: PlaceDep, service: ServiceDep, caller: CallerNow) -> StreamingResponse:
    """The action goes on to its end when the caller hangs up."""
    await service.record(caller, f"machine.{action}", place.ref.course, str(place.ref))

    def work(driver: Driver, progress: Progress) -> dict[str, Any]:
        return as_json(do(service, driver, place, action, progress))

    return stream(service, place.ref, action, work)


def do(service: Service, driver: Driver, place: Place, action: Action, progress: Progress) -> Machine:
    """The driver's part of an action. Blocks."""
    ref = place.ref
    if action not in ("ensure", "resume"):
        service.sessions.close_of(ref)
    if action == "suspend":
        return driver.suspend(ref)
    if action == "resume":
        return driver.resume(ref)
    if action == "stop":
        return driver.stop(ref)
    return (driver.ensure if action == "ensure" else driver.reset)(place.spec(service), progress)
