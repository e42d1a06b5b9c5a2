"""Regrade the past: what submissions are worth by corrected checks, shown first and written when confirmed.

A plan is made on copies of the submissions' machines and lives in memory only. Whatever ends the
service before the plan is written leaves every grade as it was.
"""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import StreamingResponse
from machineroom_spawners.course import Assignment, Course
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit, receipts
from .actions import LINES
from .auth import Caller, CallerNow
from .checking import ChecksBroken, Report, verdicts
from .copies import Lost
from .core import AssignmentName, CourseId, Service, ServiceDep
from .judging import Judged, is_lower, judge
from .models import Submission, Verdict, iso

router = APIRouter(tags=["checks"])

PLANS_KEPT = 20
"""How many plans wait to be written; the oldest gives way."""


@dataclass(frozen=True)
class Regraded:
    """A submission with the reports that it had, and those that it would get."""

    submission: Submission
    before: Sequence[Report]
    after: Judged


@dataclass
class Plan:
    """What a regrade would write: by which checks, to which submissions."""

    course: str
    assignment: str
    checks: str
    regraded: list[Regraded] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    same: int = 0


class Whom(BaseModel):
    """Whose submissions; everybody's when no student is named."""

    model_config = ConfigDict(extra="forbid")
    student: str | None = Field(None, max_length=255)


class How(BaseModel):
    """How a plan is written: with `never_lower` nobody loses points by it."""

    model_config = ConfigDict(extra="forbid")
    never_lower: bool = False


async def judged(
    service: Service, course: Course, assignment: Assignment, found: Submission, before: Sequence[Verdict]
) -> Judged:
    """`judge`, when there is room for more copies of machines."""
    async with service.copy_slots:
        return await service.work(judge, service, course, assignment, found, before)


def keep(
    service: Service, session: Session, found: Submission, checks: str, reports: Sequence[Report], by: str
) -> list[Verdict]:
    """Store reports as the verdicts of a submission that count from now on."""
    kept = receipts.signed(service.room, verdicts(reports, checks, found.student, by, found.id))
    session.add_all(kept)
    return kept


@router.post(
    "/courses/{course}/assignments/{assignment}/regrade",
    summary="See what submissions are worth by the checks as they are now",
    response_class=StreamingResponse,
    responses=LINES,
)
async def plan(
    course: CourseId, assignment: AssignmentName, whom: Whom, service: ServiceDep, caller: CallerNow
) -> StreamingResponse:
    """Nothing is written: `done` is the plan, with the `id` by which it can be. It ends when the caller
    hangs up.

    Looked at are each student's last submission and the last one that was graded, if not by these checks.
    """
    caller.require("assist", course)
    found, chosen = service.course(course), service.assignment(course, assignment)
    await service.record(caller, "regrade.plan", course, f"{whom.student or 'everybody'} {assignment}")
    return StreamingResponse(
        _lines(service, found, chosen, whom.student),
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(
    service: Service, course: Course, assignment: Assignment, student: str | None
) -> AsyncIterator[str]:
    """The plan's progress; whoever stops listening stops it, and no copy of a machine is left."""
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def work() -> None:
        try:
            made = await _plan(service, course, assignment, student, lines.put_nowait)
            id = secrets.token_hex(8)
            service.plans[id] = made
            for old in list(service.plans)[:-PLANS_KEPT]:
                del service.plans[old]
            lines.put_nowait({"done": _as_json(id, made)})
        except ChecksBroken as error:
            lines.put_nowait({"error": f"{error}. Mend it in the course folder, then regrade again."})
        except Exception:
            audit.log.exception("regrade crashed", extra={"data": {"course": course.id}})
            lines.put_nowait({"error": "The regrade failed by our fault; nothing was written. Try again."})
        finally:
            lines.put_nowait(None)

    task = asyncio.create_task(work())
    try:
        while (line := await lines.get()) is not None:
            yield json.dumps(line, ensure_ascii=False) + "\n"
    finally:
        task.cancel()


async def _plan(
    service: Service,
    course: Course,
    assignment: Assignment,
    student: str | None,
    say: Callable[[dict[str, Any]], None],
) -> Plan:
    made = Plan(
        course.id, assignment.name, (await service.work(service.checks.files, course, assignment.name)).digest
    )
    await service.work(service.checks.tasks, course, assignment.name)  # a mistake in them ends it here
    chosen = await service.read(
        lambda session: [
            (found, receipts.counting(session, service.room, found))
            for found in _chosen(session, course.id, assignment.name, student)
        ]
    )
    todo = [(found, before) for found, before in chosen if not _is_current(before, made.checks)]
    made.same = len(chosen) - len(todo)
    say({"percent": 0, "message": f"{len(todo)} submissions to look at again, {made.same} are up to date"})
    room = anyio.CapacityLimiter(_at_once(course, assignment))

    async def one(found: Submission, before: Sequence[Verdict]) -> None:
        try:
            async with AsyncExitStack() as turn:
                await turn.enter_async_context(room)
                await turn.enter_async_context(service.turns.of(f"copies of {found.id}"))
                after = await judged(service, course, assignment, found, before)
            if after.checks != made.checks:
                raise Lost("the checks were changed while they ran")
            made.regraded.append(Regraded(found, [verdict.report for verdict in before], after))
        except Lost as error:
            made.problems.append({"student": found.student, "submission": found.id, "problem": str(error)})
        done = len(made.regraded) + len(made.problems)
        say({"percent": 100 * done // len(todo), "message": f"{found.student}: {done} of {len(todo)}"})

    async with asyncio.TaskGroup() as together:
        for found, before in todo:
            together.create_task(one(found, before))
    made.regraded.sort(key=lambda r: (r.submission.student, r.submission.timestamp))
    return made


def _chosen(session: Session, course: str, assignment: str, student: str | None) -> list[Submission]:
    """Each student's last submission, and the last that was graded."""
    where = [Submission.course == course, Submission.assignment == assignment]
    if student is not None:
        where.append(Submission.student == student)
    last: dict[tuple[str, bool], Submission] = {}
    for found in session.scalars(select(Submission).where(*where).order_by(Submission.timestamp)):
        last[found.student, False] = found
        if found.graded:
            last[found.student, True] = found
    return list({found.id: found for found in last.values()}.values())


def _is_current(before: Sequence[Verdict], checks: str) -> bool:
    """Whether verdicts are of these checks, and all of them were reached."""
    return bool(before) and all(
        verdict.checks == checks
        and all(check["outcome"] in ("passed", "failed") for check in verdict.report["checks"])
        for verdict in before
    )


def _at_once(course: Course, assignment: Assignment) -> int:
    """How many labs this host has processors and memory for."""
    lab = course.labs[assignment.lab] if assignment.lab else None
    needed = sum(course.limits(lab.id, name).memory or 0 for name in lab.machines) if lab else 0
    free = int(FilePath("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) << 10
    return max(1, min(os.cpu_count() or 1, free // max(1, needed)))


@router.get(
    "/courses/{course}/assignments/{assignment}/verdicts",
    summary="The verdicts that count, of each student's last submission and the last that was graded",
)
async def counting(
    course: CourseId, assignment: AssignmentName, service: ServiceDep, caller: CallerNow
) -> list[dict[str, Any]]:
    """`[{"student","submission","timestamp","penalty","reports":[…]}]`, with the evidence."""
    caller.require("assist", course)
    service.assignment(course, assignment)
    known = service.course(course)

    def collect(session: Session) -> list[dict[str, Any]]:
        return [
            {
                "student": found.student,
                "submission": found.id,
                "timestamp": iso(found.timestamp),
                "penalty": receipts.lateness(session, found, known)["penalty"],
                "reports": [v.report for v in receipts.counting(session, service.room, found)],
            }
            for found in _chosen(session, course, assignment, None)
        ]

    return await service.read(collect)


@router.post("/regrades/{id}/write", summary="Write what a regrade showed")
async def write(
    id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], how: How, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """The new verdicts count from now on: `score` answers them. All are written, or none."""
    made = service.plans.get(id)
    if made is None or not caller.may("assist", made.course):
        raise HTTPException(
            404,
            f"There is no regrade {id}: it was written, or the service was restarted since. Regrade again.",
        )
    files = await service.work(service.checks.files, service.course(made.course), made.assignment)
    if files.digest != made.checks:
        raise HTTPException(
            409, "The checks have changed since this regrade was made: nothing was written. Regrade again."
        )
    del service.plans[id]
    await service.write(lambda session: _write(service, session, caller, made, how))
    return {"course": made.course, "assignment": made.assignment, "written": len(made.regraded)}


def _write(service: Service, session: Session, caller: Caller, made: Plan, how: How) -> None:
    for each in made.regraded:
        before = {report["task"]: report for report in each.before}

        def counting(after: Report, before: dict[str, Report] = before) -> Report:
            had = before.get(after["task"])
            return had if had and how.never_lower and is_lower(had, after) else after

        reports = [counting(after) for after in each.after.reports]
        keep(service, session, each.submission, made.checks, reports, caller.name)
        audit.record(
            session,
            *(caller.name, "regrade", made.course, f"{each.submission.student} {made.assignment}"),
            caller.address,
            id=each.submission.id,
            earned={report["task"]: report["earned"] for report in reports},
        )


def _as_json(id: str, made: Plan) -> dict[str, Any]:
    """The plan, for whoever is to decide."""
    return {
        "id": id,
        "course": made.course,
        "assignment": made.assignment,
        "checks": made.checks,
        "same": made.same,
        "rows": [row for each in made.regraded for row in _rows(each)],
        "problems": made.problems,
    }


def _rows(each: Regraded) -> list[dict[str, Any]]:
    """A row for each task of a submission: points before and after, and why they differ."""
    before = {report["task"]: report for report in each.before}
    rows = []
    for after in each.after.reports:
        old = before.get(after["task"])
        rows.append(
            {
                "submission": each.submission.id,
                "student": each.submission.student,
                "timestamp": iso(each.submission.timestamp),
                "task": after["task"],
                "before": {key: old[key] for key in ("earned", "points")} if old else None,
                "after": {key: after[key] for key in ("earned", "points")},
                "why": [kept] if (kept := each.after.kept.get(after["task"])) else _why(old, after),
            }
        )
    return rows


def _why(before: Report | None, after: Report) -> list[str]:
    """What differs between two reports of one task, check by check."""
    old = {check["name"]: check for check in before["checks"]} if before else {}
    said = []
    for check in after["checks"]:
        was = old.pop(check["name"], None)
        if was is None:
            said.append(f"new: {check['title']}: {check['outcome']} ({check['observed']})")
        elif was["outcome"] != check["outcome"]:
            said.append(f"{check['title']}: {was['outcome']} → {check['outcome']} ({check['observed']})")
        elif was["points"] != check["points"]:
            said.append(f"{check['title']}: worth {was['points']:g} → {check['points']:g}")
    return [*said, *(f"gone: {check['title']} ({check['outcome']})" for check in old.values())]
