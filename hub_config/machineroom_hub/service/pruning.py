"""What snapshots of submissions cost, and which of them nothing needs any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, HTTPException
from machineroom_spawners.drivers.base import MachineError, Snapshot
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit, copies
from .auth import CallerNow
from .core import CourseId, Service, ServiceDep
from .models import Extension, Feedback, Submission, now

router = APIRouter(tags=["operation"])

KEPT = 3
"""Of each student and assignment, how many of the last submissions keep their machines."""


@dataclass(frozen=True)
class Kept:
    """A submission, as far as it matters for keeping its machines."""

    id: str
    student: str
    assignment: str
    timestamp: datetime
    in_time: bool
    graded: bool
    released: datetime | None


def prunable(found: Sequence[Kept], last: int, released_before: datetime | None) -> set[str]:
    """The submissions whose machines nothing needs.

    Needed are each student's `last` submissions of an assignment, the last in time and the last that was
    graded: a regrade looks at those. None is needed once feedback on it was out before `released_before`.
    """
    needed: set[str] = set()
    groups: dict[tuple[str, str], list[Kept]] = {}
    for each in sorted(found, key=lambda each: (each.timestamp, each.id)):
        groups.setdefault((each.student, each.assignment), []).append(each)
    for group in groups.values():
        needed.update(each.id for each in group[-last:])
        for chosen in ([e for e in group if e.in_time], [e for e in group if e.graded]):
            needed.update(each.id for each in chosen[-1:])
    done = {e.id for e in found if released_before and e.released and e.released < released_before}
    return {each.id for each in found if each.id not in needed or each.id in done}


class Policy(BaseModel):
    """What is kept: of each student and assignment the last `keep`, and nothing whose feedback was released
    `released_days` ago. With `dry_run` it is only told."""

    model_config = ConfigDict(extra="forbid")
    keep: int = Field(KEPT, ge=1)
    released_days: int | None = Field(None, ge=0)
    dry_run: bool = True


@router.post(
    "/courses/{course}/snapshots/prune", summary="Snapshots of submissions: what they cost, and prune"
)
async def prune(course: CourseId, policy: Policy, service: ServiceDep, caller: CallerNow) -> dict[str, Any]:
    """`{"snapshots","size","pruned":[{"submission","student","assignment","machines","size"}]}`, in bytes.

    One that a regrade is looking at is removed when it has been looked at.
    """
    caller.require("teach", course)
    try:
        answer = await _prune(service, course, policy, None)
    except MachineError as error:
        raise HTTPException(503, str(error)) from error
    if not policy.dry_run:
        pruned = [each["submission"] for each in answer["pruned"]]
        await service.record(caller, "snapshots.prune", course, f"{len(pruned)} submissions", pruned=pruned)
    return answer


async def prune_after(service: Service, found: Submission) -> None:
    """Keep a student who submits often from filling the engine's disk."""
    try:
        await _prune(service, found.course, Policy(keep=KEPT, released_days=None, dry_run=False), found)
    except MachineError as error:
        audit.log.warning("snapshots not pruned", extra={"data": {"problem": str(error)}})


async def _prune(service: Service, course: str, policy: Policy, of: Submission | None) -> dict[str, Any]:
    found = await service.read(lambda session: _submissions(session, course, of))
    before = now() - timedelta(days=policy.released_days) if policy.released_days is not None else None
    may_go = prunable(found, policy.keep, before)
    saved = await service.work(copies.snapshots, service)
    there = [each for each in found if each.id in saved]
    pruned = [each for each in there if each.id in may_go]
    for each in () if policy.dry_run else pruned:
        async with service.turns.of(f"copies of {each.id}"):
            await service.work(_delete, service, saved[each.id])
    return {
        "snapshots": sum(len(saved[each.id]) for each in there),
        "size": sum(snapshot.size for each in there for snapshot in saved[each.id]),
        "pruned": [
            {
                "submission": each.id,
                "student": each.student,
                "assignment": each.assignment,
                "machines": [snapshot.ref.machine for snapshot in saved[each.id]],
                "size": sum(snapshot.size for snapshot in saved[each.id]),
            }
            for each in pruned
        ],
    }


def _submissions(session: Session, course: str, of: Submission | None) -> list[Kept]:
    """The submissions of a course, or those of one student for one assignment."""
    wanted = select(Submission, Extension, Feedback).where(Submission.course == course)
    if of is not None:
        wanted = wanted.where(Submission.assignment == of.assignment, Submission.student == of.student)
    own = (
        (Extension.course == Submission.course)
        & (Extension.assignment == Submission.assignment)
        & (Extension.student == Submission.student)
    )
    rows = session.execute(
        wanted.outerjoin(Extension, own).outerjoin(Feedback, Feedback.submission == Submission.id)
    )
    found = []
    for row, extension, feedback in rows.tuples():
        due = extension.until if extension else row.due
        found.append(
            Kept(
                row.id,
                row.student,
                row.assignment,
                row.timestamp,
                in_time=due is None or row.timestamp <= due,
                graded=row.graded is not None,
                released=feedback.time if feedback else None,
            )
        )
    return found


def _delete(service: Service, snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        for driver in service.drivers():
            driver.delete_snapshot(snapshot.ref, snapshot.name)
