"""The API of idle machines: which are idle or asleep, what that saves, and which are kept awake."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from . import idle
from .auth import CallerDep, CallerNow
from .core import CourseId, Service, ServiceDep
from .machines import PlaceDep, machines_of
from .models import iso, now

router = APIRouter(tags=["machines"])

MOST_HOURS = 24 * 30
"""How long graders may keep a machine awake; longer, and it is the lab's `always_on` that is meant."""


class Keep(BaseModel):
    """For how long a machine is not to be put to sleep."""

    hours: float = Field(gt=0, le=MOST_HOURS)


@router.put("/machines/{owner}/{course}/{lab}/{machine}/keep", summary="Keep a machine awake for a while")
async def keep(wanted: Keep, place: PlaceDep, service: ServiceDep, caller: CallerNow) -> dict[str, Any]:
    """Students may, for as long as their course allows (`idle.keep` in course.yml); graders may longer."""
    most = place.course.idle.keep
    if most is not None and wanted.hours * 3600 > most and not caller.may("assist", place.ref.course):
        raise HTTPException(
            403,
            f"You may keep {place.ref.machine} awake for {most / 3600:g} hours at most. "
            "Ask your instructor if that is not enough.",
        )
    until = now() + timedelta(hours=wanted.hours)
    await service.record(caller, "machine.keep", place.ref.course, str(place.ref), hours=wanted.hours)
    await service.write(lambda session: idle.keep(session, place.ref, until))
    return {"kept": iso(until)}


@router.delete(
    "/machines/{owner}/{course}/{lab}/{machine}/keep", summary="Let a machine sleep again", status_code=204
)
async def release(place: PlaceDep, service: ServiceDep, caller: CallerNow) -> None:
    """One that was not kept awake is no error."""
    await service.record(caller, "machine.keep.end", place.ref.course, str(place.ref))
    await service.write(lambda session: idle.keep(session, place.ref, None))


@router.get("/courses/{course}/sleep", summary="Which machines of a course are idle or asleep")
async def sleep(course: CourseId, service: ServiceDep, caller: CallerDep) -> list[dict[str, Any]]:
    """For graders. `active` is when something last happened on a machine that runs; `slept` is in seconds."""
    caller.require("assist", course)
    return await listing(service, course)


async def listing(service: Service, course: str) -> list[dict[str, Any]]:
    """The course's machines, with what is known of their sleep."""
    remembered = {row.ref: row for row in await service.read(lambda s: idle.rows(s, course))}
    moment = now()
    answer = []
    for machine in await machines_of(service, None, course):
        row = remembered.get(machine.ref)
        since = row.since if row else None
        answer.append(
            {
                "owner": machine.ref.owner,
                "lab": machine.ref.lab,
                "machine": machine.ref.machine,
                "state": machine.state.value,
                "active": iso(service.watch.active(machine.ref)),
                "since": iso(since),
                "kept": iso(row.kept) if row and row.kept and row.kept > moment else None,
                "slept": (row.slept if row else 0.0) + ((moment - since).total_seconds() if since else 0.0),
            }
        )
    return answer
