"""The API of checks: what tasks there are, try them, and the score that counts."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Self

from fastapi import APIRouter, HTTPException, Query
from machineroom_spawners.course import Assignment, Course
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from . import audit, metrics
from .auth import Caller, CallerDep
from .checking import ChecksBroken, Report, for_student, verdicts
from .copies import Lost
from .core import CourseId, Service, ServiceDep
from .judging import Judged
from .models import Submission, latest_submission, now
from .receipts import genuine, latest
from .regrade import judged, keep

router = APIRouter(tags=["checks"])


async def run_checks(
    service: Service,
    why: str,
    course: Course,
    assignment: Assignment,
    owner: str,
    tasks: Sequence[str] | None = None,
) -> tuple[str, list[Report]]:
    """`Checks.run`, when it is this student's turn and a slot is free. Raises ChecksBroken."""
    # a submission always waits for its turn; whoever only tries is told when too many tries wait
    crowded = "A check on your machines" if why == "try" else ""
    async with service.turns.of(f"checks of {owner}", crowded), service.check_slots:
        began, outcome = time.monotonic(), "broken"
        try:
            answer = await service.work(service.checks.run, course, assignment, owner, tasks)
            outcome = "ran"
            return answer
        except ChecksBroken as error:
            data = {"course": course.id, "assignment": assignment.name, "owner": owner, "problem": str(error)}
            audit.log.error("checks broken", extra={"data": data})
            raise
        finally:
            metrics.check_runs.labels(why, outcome).observe(time.monotonic() - began)


class CheckRequest(BaseModel):
    """What to check: one task, or all tasks of an assignment."""

    model_config = ConfigDict(extra="forbid")
    task: str | None = Field(None, max_length=255)
    assignment: str | None = Field(None, max_length=60)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.task and not self.assignment:
            raise ValueError("say which 'task' or which 'assignment'")
        return self


class ScoreRequest(BaseModel):
    """Whose grade for which task; of the student's last submission, unless it is said of which."""

    model_config = ConfigDict(extra="forbid")
    assignment: str = Field(max_length=60)
    task: str = Field(max_length=255)
    student: str = Field(max_length=255)
    submission: str | None = Field(None, max_length=16)


def broken(error: ChecksBroken, *, grader: bool) -> HTTPException:
    """What to answer when checks cannot be run: the reason goes to graders only."""
    if grader:
        return HTTPException(503, f"{error}. Mend it in the course folder, then try again.")
    return HTTPException(
        503, "The checks cannot be run at the moment; it is not your fault. Tell your instructor."
    )


@router.get("/courses/{course}/tasks", summary="The tasks of a course, or of one assignment")
async def tasks(
    course: CourseId,
    service: ServiceDep,
    caller: CallerDep,
    assignment: Annotated[str | None, Query()] = None,
) -> list[dict[str, Any]]:
    """Students see the tasks of assignments that are released to them, graders all."""
    caller.require("learn", course)
    found = service.course(course)
    chosen = [service.assignment(course, assignment)] if assignment else list(found.assignments)
    shown = await service.visible(caller, course)
    answer: list[dict[str, Any]] = []
    for one in chosen:
        if one.name not in shown:
            continue
        try:
            collected = await service.work(service.checks.tasks, found, one.name)
        except ChecksBroken as error:
            if assignment:
                raise broken(error, grader=caller.may("assist", course)) from error
            continue
        keys = ("task", "title", "points", "hints")
        answer += [{"assignment": one.name, **{key: task[key] for key in keys}} for task in collected]
    return answer


@router.post("/courses/{course}/checks", summary="Check the caller's own machines")
async def check(
    course: CourseId, wanted: CheckRequest, service: ServiceDep, caller: CallerDep
) -> Report | list[Report]:
    """One report for a `task`, a list of them for an `assignment`."""
    caller.require("learn", course)
    found = service.course(course)
    grader = caller.may("assist", course)
    try:
        if wanted.task and not wanted.assignment:
            name = await _assignment_of(service, caller, found, wanted.task)
        else:
            name = wanted.assignment or ""
        if name not in await service.visible(caller, course):
            raise HTTPException(404, f"Course {course} has no assignment '{name}' that is released.")
        assignment = service.assignment(course, name)
        if not (assignment.show_verdicts or grader):
            raise HTTPException(
                403,
                f"What the checks of {name} say is not shown before it is graded. Submit when you are done.",
            )
        if wanted.task and not await _has(service, found, name, wanted.task):
            raise _no_task(course, wanted.task)
        chosen = [wanted.task] if wanted.task else None
        digest, reports = await run_checks(service, "try", found, assignment, caller.name, chosen)
    except ChecksBroken as error:
        raise broken(error, grader=grader) from error
    await service.write(
        lambda session: session.add_all(verdicts(reports, digest, caller.name, caller.name, None))
    )
    shown = reports if grader else [for_student(report) for report in reports]
    return shown[0] if wanted.task else shown


async def _assignment_of(service: Service, caller: Caller, course: Course, task: str) -> str:
    """The one assignment that the caller may see and that has this task."""
    shown = await service.visible(caller, course.id)
    having: list[str] = []
    problem: ChecksBroken | None = None
    for assignment in course.assignments:
        if assignment.name not in shown:
            continue
        try:
            if await _has(service, course, assignment.name, task):
                having.append(assignment.name)
        except ChecksBroken as error:
            problem = error
    if not having:
        raise problem or _no_task(course.id, task)
    if len(having) > 1:
        raise HTTPException(
            409, f"Task '{task}' is in several assignments ({', '.join(having)}): name one of them too."
        )
    return having[0]


async def _has(service: Service, course: Course, assignment: str, task: str) -> bool:
    collected = await service.work(service.checks.tasks, course, assignment)
    return any(one["task"] == task for one in collected)


def _no_task(course: str, task: str) -> HTTPException:
    return HTTPException(
        404, f"Course {course} has no task '{task}' in the assignments that are released to you."
    )


@router.post("/courses/{course}/score", summary="The report that counts for a student's grade")
async def score(course: CourseId, wanted: ScoreRequest, service: ServiceDep, caller: CallerDep) -> Report:
    """The newest verdict stored with the submission if the checks are still the same.

    If they have changed since, or could not be run then, all of the assignment's are run now on copies of
    the submission's machines, and that is stored with it. Without a submission it is the live machine's.
    """
    caller.require("assist", course)
    found, assignment = service.course(course), service.assignment(course, wanted.assignment)
    try:
        if not await _has(service, found, assignment.name, wanted.task):
            raise HTTPException(404, f"Assignment {assignment.name} of {course} has no task '{wanted.task}'.")
        submission = await service.read(lambda session: _counting(session, course, assignment.name, wanted))
        if submission is None:
            return await _live(service, caller, found, assignment, wanted)
        if submission.graded is None:
            await service.write(lambda session: _grade(session, submission.id))
        async with service.turns.of(f"copies of {submission.id}"):
            digest = (await service.work(service.checks.files, found, assignment.name)).digest
            stored = await service.read(lambda session: genuine(session, service.room, submission))
            current = latest(stored)
            reports = {v.task: v.report for v in current if v.checks == digest}
            if wanted.task not in reports:
                same = latest([v for v in stored if v.checks == digest])  # if the checks were put back
                anew = Judged(digest, [v.report for v in same], {})
                if wanted.task not in {v.task for v in same}:
                    anew = await judged(service, found, assignment, submission, current)
                await service.write(lambda s: _regrade(service, s, caller, submission, anew))
                reports = {report["task"]: report for report in anew.reports}
    except ChecksBroken as error:
        raise broken(error, grader=True) from error
    except Lost as error:
        raise HTTPException(
            409,
            f"The checks of {assignment.name} have changed since {wanted.student} submitted it, and cannot "
            f"be run again: {error}. Give the points by hand, or put the checks back as they were.",
        ) from error
    return reports[wanted.task]


async def _live(
    service: Service, caller: Caller, course: Course, assignment: Assignment, wanted: ScoreRequest
) -> Report:
    """What the machines of somebody who has not submitted are worth now."""
    if wanted.student not in await service.authority.members(course.id):
        raise HTTPException(404, f"There is no '{wanted.student}' in course {course.id}.")
    digest, reports = await run_checks(service, "grade", course, assignment, wanted.student, [wanted.task])

    def keep(session: Session) -> None:
        session.add_all(verdicts(reports, digest, wanted.student, caller.name, None))
        subject = f"{wanted.student} {assignment.name} {wanted.task}"
        earned = reports[0]["earned"]
        audit.record(session, caller.name, "score", course.id, subject, caller.address, earned=earned)

    await service.write(keep)
    return reports[0]


def _counting(session: Session, course: str, assignment: str, wanted: ScoreRequest) -> Submission | None:
    """The submission that is asked about. Raises HTTPException when it is not this student's."""
    if not wanted.submission:
        return latest_submission(session, course, assignment, wanted.student)
    found = session.get(Submission, wanted.submission)
    whose = (course, assignment, wanted.student)
    if found is None or (found.course, found.assignment, found.student) != whose:
        raise HTTPException(
            404, f"There is no submission {wanted.submission} of {assignment} by '{wanted.student}'."
        )
    return found


def _grade(session: Session, id: str) -> None:
    found = session.get(Submission, id)
    assert found is not None
    found.graded = now()


def _regrade(service: Service, session: Session, caller: Caller, found: Submission, anew: Judged) -> None:
    keep(service, session, found, anew.checks, anew.reports, caller.name)
    subject = f"{found.student} {found.assignment}"
    earned = {report["task"]: report["earned"] for report in anew.reports}
    audit.record(
        session, caller.name, "score", found.course, subject, caller.address, id=found.id, earned=earned
    )
