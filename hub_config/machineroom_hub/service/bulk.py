"""The API of many machines at once: those of one, some or all students of a course."""

import asyncio
import os
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from machineroom_spawners.course import Course
from machineroom_spawners.drivers.base import Driver, Progress, State
from machineroom_spawners.spec import MachineRef
from pydantic import BaseModel, ConfigDict, Field

from . import audit
from .actions import LINES, Line, Say, act, told
from .auth import CallerNow
from .core import CourseId, Service, ServiceDep
from .machines import Action, Place, as_json, do, machines_of

router = APIRouter(tags=["class"])

AT_ONCE = (os.cpu_count() or 1) + 1
"""Machines that are worked on at the same moment, for everybody together: more only makes each slower."""
_slots = asyncio.Semaphore(AT_ONCE)

_CONCERNED = {
    "suspend": {State.RUNNING, State.BROKEN},
    "resume": {State.SUSPENDED},
    "stop": {State.RUNNING, State.BROKEN, State.SUSPENDED},
}
"""The states in which there is something to do."""


class Whose(BaseModel):
    """Whose machines, null for every student's; of one lab, or of all."""

    model_config = ConfigDict(extra="forbid")
    students: list[Annotated[str, Field(max_length=255)]] | None = Field(max_length=5000)
    lab: str | None = Field(None, max_length=60)


@router.post(
    "/courses/{course}/machines/{action}",
    summary="Do something to the machines of several students, or of all",
    response_class=StreamingResponse,
    responses=LINES,
)
async def many(
    course: CourseId, action: Action, whose: Whose, service: ServiceDep, caller: CallerNow
) -> StreamingResponse:
    """`done` is `{"done": n, "failed": [{"student","lab","machine","problem"}]}`.

    `ensure` and `reset` make what does not exist, and need to be told the `lab`. It goes on to its end
    when the caller hangs up; one machine's failure is its own.
    """
    caller.require("assist", course)
    found = service.course(course)
    if whose.lab is not None and whose.lab not in found.labs:
        raise HTTPException(
            404, f"Course {course} has no lab '{whose.lab}'. It has: {', '.join(found.labs)}."
        )
    known = await service.authority.students(course)
    meant = known if whose.students is None else set(whose.students)
    refs = await _machines(service, found, action, whose.lab, meant & known)
    subject = "all" if whose.students is None else f"{len(meant)} students"
    students = "all" if whose.students is None else sorted(meant & known)
    detail = {"students": students, "lab": whose.lab, "machines": len(refs)}
    await service.record(caller, f"machines.{action}", course, subject, **detail)
    failed: list[Line] = [
        {"student": name, "problem": f"There is no student '{name}' in course {course}."}
        for name in sorted(meant - known)
    ]
    return told(service, lambda say: _each(service, found, action, refs, failed, say))


async def _machines(
    service: Service, course: Course, action: Action, lab: str | None, students: set[str]
) -> list[MachineRef]:
    """The machines that are concerned."""
    if action in ("ensure", "reset"):
        if lab is None:
            raise HTTPException(
                422, f"Say of which 'lab' to {action} the machines: one of {', '.join(course.labs)}."
            )
        return [
            MachineRef(student, course.id, lab, machine)
            for student in sorted(students)
            for machine in course.labs[lab].machines
        ]
    return [
        machine.ref
        for machine in await machines_of(service, None, course.id)
        if machine.ref.owner in students
        and lab in (None, machine.ref.lab)
        and machine.state in _CONCERNED[action]
    ]


async def _each(
    service: Service, course: Course, action: Action, refs: list[MachineRef], failed: list[Line], say: Say
) -> Line:
    done = 0

    async def one(ref: MachineRef) -> None:
        nonlocal done

        def work(driver: Driver, progress: Progress) -> dict[str, Any]:
            return as_json(do(service, driver, Place(ref, course), action, progress))

        async with _slots:
            last = await act(service, ref, action, work, lambda _: None)
        done += 1
        words = last.get("error") or last["done"]["state"]
        if "error" in last:
            failed.append({"student": ref.owner, "lab": ref.lab, "machine": ref.machine, "problem": words})
        percent = 100 * done // len(refs)
        say({"percent": percent, "message": f"{done} of {len(refs)}: {ref.machine} of {ref.owner}: {words}"})

    await asyncio.gather(*map(one, refs))
    service.boards.changed(course.id)
    data = {"course": course.id, "action": action, "machines": len(refs), "failed": len(failed)}
    audit.log.info("bulk action done", extra={"data": data})
    return {"done": {"done": len(refs) - sum("machine" in each for each in failed), "failed": failed}}
