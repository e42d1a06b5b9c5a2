"""The API of lights: what each task's checks said last, and a look at them now and then at low cost.

While a student's panel is open it asks once a minute. Such a run wakes no machine, is one of one at a
time, and is stored only where it differs from what is known.
"""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from machineroom_spawners.course import Assignment
from machineroom_spawners.drivers.base import MachineError, State
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .auth import Caller, CallerDep
from .checking import ChecksBroken, Report, for_student, verdicts
from .checks import broken, run_checks
from .core import CourseId, Service, ServiceDep
from .models import Verdict

router = APIRouter(tags=["checks"])

Name = Annotated[str, Query(max_length=60)]


@router.get("/courses/{course}/verdicts", summary="What the caller's checks said last")
async def known(course: CourseId, assignment: Name, service: ServiceDep, caller: CallerDep) -> list[Report]:
    """One report for each task that was ever checked, by the caller or when they submitted."""
    await _allowed(service, caller, course, assignment)
    return _shown(caller, course, await _last(service, caller, course, assignment))


@router.post("/courses/{course}/verdicts", summary="The same, after a look in the background")
async def refreshed(
    course: CourseId, assignment: Name, service: ServiceDep, caller: CallerDep
) -> list[Report]:
    """Checks run only if all machines do, and at most once a minute. 403 where the course has it off."""
    chosen = await _allowed(service, caller, course, assignment)
    if not service.course(course).is_live(chosen):
        raise HTTPException(
            403, f"Tasks of {assignment} are checked only when you press Check: the course says so."
        )
    before = await _last(service, caller, course, assignment)
    pace = service.pace
    if not pace.is_due((caller.name, course)) or not await _all_run(service, caller, course, chosen):
        return _shown(caller, course, before)
    async with service.live_slot:
        pace.begin((caller.name, course))
        try:
            found = service.course(course)
            digest, reports = await run_checks(service, "live", found, chosen, caller.name)
        except ChecksBroken as error:
            raise broken(error, grader=caller.may("assist", course)) from error
    news = [report for report in reports if _gist(report) != _gist(before.get(report["task"]))]
    if news:
        await service.write(
            lambda session: session.add_all(verdicts(news, digest, caller.name, caller.name, None))
        )
    return _shown(caller, course, {**before, **{report["task"]: report for report in reports}})


async def _allowed(service: Service, caller: Caller, course: str, name: str) -> Assignment:
    caller.require("learn", course)
    service.course(course)
    if name not in await service.visible(caller, course):
        raise HTTPException(404, f"Course {course} has no assignment '{name}' that is released.")
    assignment = service.assignment(course, name)
    if not (assignment.show_verdicts or caller.may("assist", course)):
        raise HTTPException(
            403, f"What the checks of {name} say is not shown before it is graded. Submit when you are done."
        )
    return assignment


async def _last(service: Service, caller: Caller, course: str, assignment: str) -> dict[str, Report]:
    def collect(session: Session) -> dict[str, Report]:
        newest = (
            select(func.max(Verdict.id))
            .where(
                Verdict.course == course,
                Verdict.assignment == assignment,
                Verdict.student == caller.name,
                Verdict.by == caller.name,
            )
            .group_by(Verdict.task)
        )
        rows = session.scalars(select(Verdict).where(Verdict.id.in_(newest)).order_by(Verdict.id))
        return {row.task: row.report for row in rows}

    return await service.read(collect)


async def _all_run(service: Service, caller: Caller, course: str, assignment: Assignment) -> bool:
    if assignment.lab is None:
        return False
    lab = service.course(course).labs[assignment.lab]
    drivers = {content.driver for content in lab.machines.values()}
    try:
        there = [
            machine
            for name in drivers
            for machine in await service.work(service.driver(name).machines, caller.name, course)
        ]
    except MachineError:
        return False
    running = {m.ref.machine for m in there if m.ref.lab == lab.id and m.state is State.RUNNING}
    return running >= set(lab.machines)


def _shown(caller: Caller, course: str, found: dict[str, Report]) -> list[Report]:
    grader = caller.may("assist", course)
    return [report if grader else for_student(report) for report in found.values()]


def _gist(report: Report | None) -> Any:
    """What of a report is news when it changes."""
    return report and [(c["name"], c["outcome"], c["observed"]) for c in report["checks"]]
