"""The API of machines: which there are, and what is done to them, step by step."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import StreamingResponse
from machineroom_spawners.course import Course
from machineroom_spawners.drivers.base import Driver, Machine, MachineError, Progress
from machineroom_spawners.spec import MachineRef, MachineSpec, machine_spec

from . import audit, metrics
from .auth import Caller, CallerDep, CallerNow
from .core import CourseId, Service, ServiceDep

router = APIRouter(tags=["machines"])

Action = Literal["ensure", "reset", "suspend", "resume", "stop"]
Line = dict[str, Any]

LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "one JSON object per line: progress, at last `done` or `error`",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"percent": 40, "message": "Booting box"}\n{"done": {"state": "running"}}\n',
            }
        },
    }
}


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


@router.get("/machines", summary="Machines that exist")
async def machines(
    service: ServiceDep,
    caller: CallerDep,
    owner: Annotated[str | None, Query(max_length=255)] = None,
    course: Annotated[str | None, Query(max_length=40)] = None,
) -> list[dict[str, Any]]:
    """One's own; graders also those of a student, or of a whole course, that they assist in."""
    if course and not owner:
        caller.require("assist", course)
    else:
        owner = owner or caller.name
    found = await machines_of(service, owner, course)
    return [as_json(m) for m in found if m.ref.owner == caller.name or caller.may("assist", m.ref.course)]


async def machines_of(service: Service, owner: str | None, course: str | None) -> list[Machine]:
    """Machines by one listing of the infrastructure. Raises HTTPException when it does not answer."""
    try:
        return sorted(await service.work(service.driver().machines, owner, course), key=lambda m: m.ref)
    except MachineError as error:
        raise HTTPException(503, str(error)) from error


@router.post(
    "/machines/{owner}/{course}/{lab}/{machine}/{action}",
    summary="Make a machine run, reset, suspend, resume or stop it",
    response_class=StreamingResponse,
    responses=LINES,
)
async def act(
    action: Action, place: Annotated[Place, Depends(_place)], service: ServiceDep, caller: CallerNow
) -> StreamingResponse:
    """The action goes on to its end when the caller hangs up."""
    await service.record(caller, f"machine.{action}", place.ref.course, str(place.ref))
    return StreamingResponse(
        _lines(service, place, action),
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(service: Service, place: Place, action: Action) -> AsyncIterator[str]:
    """The action's progress as lines of JSON; the work is a task of its own."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[Line | None] = asyncio.Queue()

    def say(line: Line | None) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    async def work() -> None:
        try:
            say(await _act(service, place, action, say))
        finally:
            say(None)

    service.background(work())
    while (line := await lines.get()) is not None:
        yield json.dumps(line, ensure_ascii=False) + "\n"


async def _act(service: Service, place: Place, action: Action, say: Callable[[Line], None]) -> Line:
    """Do it, one action at a time for one machine, and answer the last line."""
    ref, driver = place.ref, service.driver_of(place.ref)
    began, outcome = time.monotonic(), "failed"

    def progress(percent: int, message: str) -> None:
        say({"percent": percent, "message": message})

    try:
        async with service.turns.of(f"machine {ref}", f"What was asked of {ref.machine} before"):
            machine = await service.work(_do, service, driver, place, action, progress)
        outcome = "done"
        return {"done": as_json(machine)}
    except (MachineError, HTTPException) as error:
        problem = str(error.detail) if isinstance(error, HTTPException) else str(error)
        data = {"action": action, "machine": str(ref), "problem": problem}
        audit.log.warning("machine action failed", extra={"data": data})
        return {"error": problem}
    except Exception:
        audit.log.exception("machine action crashed", extra={"data": {"action": action, "machine": str(ref)}})
        return {
            "error": f"{action} of {ref.machine} failed by our fault. Try again, or tell your instructor."
        }
    finally:
        metrics.actions.labels(action, outcome).observe(time.monotonic() - began)


def _do(service: Service, driver: Driver, place: Place, action: Action, progress: Progress) -> Machine:
    """The driver's part. Blocks."""
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
