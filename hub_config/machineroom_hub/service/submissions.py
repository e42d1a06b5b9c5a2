"""Submissions: the notebooks, the machines and what they were worth, taken whole or not at all."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, HTTPException, Query, Request
from fastapi.responses import FileResponse
from machineroom_spawners.course import Assignment, Course
from machineroom_spawners.drivers.base import MachineError
from machineroom_spawners.names import slug
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from . import audit, copies, metrics, receipts
from .archives import Upload
from .auth import Caller, CallerDep, CallerNow
from .checking import ChecksBroken, Report, verdicts
from .checks import run_checks
from .core import AssignmentName, CourseId, Service, ServiceDep, SubmissionId
from .deadlines import due_of
from .judging import has_reboots, survive
from .models import Extension, Release, Submission, iso, now
from .pruning import prune_after
from .shelf import ARCHIVE, ARCHIVE_BODY, Arriving, download, submission_file, submission_of

router = APIRouter(tags=["exchange"])

UPLOAD_GRACE = timedelta(seconds=60)
"""How long an archive may be on its way and still count from when it set out: nobody gains time by
beginning to send before the deadline and making up the rest after it."""
MOST_A_DAY = 100
MOST_BYTES = 2 << 30
"""What one student may hand in for one assignment: submissions in 24 hours, and archives in all."""

_KEY = (
    "whatever the client makes up for one click on Submit: sent again with the same key (because no answer "
    "came), it is the same submission, and the same receipt"
)

SUBMISSIONS = "/courses/{course}/assignments/{assignment}/submissions"


@router.post(SUBMISSIONS, summary="Submit", status_code=201, openapi_extra=ARCHIVE_BODY)
async def submit(
    course: CourseId,
    assignment: AssignmentName,
    request: Request,
    service: ServiceDep,
    caller: CallerNow,
    idempotency_key: Annotated[str | None, Header(max_length=200, description=_KEY)] = None,
) -> dict[str, Any]:
    """Takes the notebooks, the verdicts of the assignment's checks on the caller's machines as they are
    now, and a snapshot of each machine; what cannot be taken whole is refused whole, with the reason.

    `timestamp` is when the request began to arrive, however long it waited. When the checks cannot
    run by no fault of the student's, the submission is taken all the same and `problem` says why.
    """
    caller.require("learn", course)
    found, chosen = service.course(course), service.assignment(course, assignment)
    id = _id(caller.name, course, assignment, idempotency_key)
    if already := await _receipt_of(service, caller, found, id):
        return already
    due, arrived = await service.read(
        lambda session: _admit(session, found, chosen, caller.name, request.state.arrived)
    )
    turn = service.turns.of(f"submissions of {caller.name}", "Your last submission")
    async with Arriving(service, request) as upload:
        row = Submission(
            id=id,
            course=course,
            assignment=assignment,
            student=caller.name,
            timestamp=max(arrived, now() - UPLOAD_GRACE),
            due=due,
            sha256=upload.sha256,
            size=upload.size,
        )
        async with turn:
            if already := await _receipt_of(service, caller, found, id):  # it was still on its way just now
                return already
            receipt = await _keep_whole(service, caller, found, chosen, row, upload)
    metrics.submissions.labels(course, assignment).inc()
    if chosen.lab:
        service.background(prune_after(service, row))
    return receipt


def _id(student: str, course: str, assignment: str, key: str | None) -> str:
    """A new submission's id: the same for the same key, so that what is sent again is not another one."""
    if key is None:
        return secrets.token_hex(8)
    return hashlib.sha256("\0".join((student, course, assignment, key)).encode()).hexdigest()[:16]


async def _receipt_of(service: Service, caller: Caller, course: Course, id: str) -> dict[str, Any] | None:
    """The receipt of one of the caller's submissions, if it is stored."""

    def look(session: Session) -> dict[str, Any] | None:
        row = session.get(Submission, id)
        if row is None:
            return None
        grader = caller.may("assist", row.course)
        return receipts.receipt(session, row, course, grader=grader)

    return await service.read(look)


def _admit(
    session: Session, course: Course, assignment: Assignment, student: str, moment: datetime
) -> tuple[datetime | None, datetime]:
    """The deadline that holds for the student, and when this submission begins to arrive.

    That is `moment`, or just after the last one if the clock was put back since: the later one counts.
    Raises HTTPException when nothing can be submitted now.
    """
    name = assignment.name
    if session.get(Release, (course.id, name)) is None:
        raise HTTPException(
            409, f"Assignment '{name}' of {course.id} is not released, so it cannot be submitted."
        )
    due = due_of(assignment, session.get(Extension, (course.id, name, student)))
    closes = course.late_policy(assignment).closes(due) if due else None
    if closes and moment > closes:
        raise HTTPException(
            409,
            f"Assignment '{name}' was due at {iso(due)} and was taken until {iso(closes)}: nothing was "
            "stored. If you have a reason, ask your instructor for an extension.",
        )
    own = (Submission.course == course.id, Submission.assignment == name, Submission.student == student)
    last = session.scalar(select(func.max(Submission.timestamp)).where(*own))
    if last and last >= moment:
        moment = last + timedelta(microseconds=1)
    size = session.scalar(select(func.sum(Submission.size)).where(*own)) or 0
    day = select(func.count()).where(*own, Submission.timestamp > moment - timedelta(days=1))
    if size > MOST_BYTES or (session.scalar(day) or 0) >= MOST_A_DAY:
        raise HTTPException(
            429,
            f"You have submitted {name} {MOST_A_DAY} times in 24 hours, or {MOST_BYTES >> 30} GiB of it in "
            "all, which is the most that is taken: nothing was stored, and what you submitted before counts. "
            "Tell your instructor if this one has to count, and leave large files out.",
        )
    return due, moment


async def _keep_whole(
    service: Service, caller: Caller, course: Course, assignment: Assignment, row: Submission, upload: Upload
) -> dict[str, Any]:
    """Look at the student's machines, save them, and store it all; the receipt. Raises HTTPException."""
    digest, reports, row.problem = await _checked(service, course, assignment, row.student)
    row.signed = taken = await _taken(service, course, assignment, row)

    def keep(session: Session) -> dict[str, Any]:
        kept = verdicts(reports, digest, row.student, row.student, row.id)
        receipts.sign_submission(service.room, row, taken, receipts.signed(service.room, kept))
        session.add(row)
        session.flush()
        session.add_all(kept)
        audit.record(
            session,
            *(row.student, "submit", course.id, assignment.name, caller.address),
            id=row.id,
            earned=sum(report["earned"] for report in reports),
            machines=[machine["machine"] for machine in taken["machines"]],
        )
        upload.keep(submission_file(service, row))
        session.flush()
        grader = caller.may("assist", course.id)
        return receipts.receipt(session, row, course, grader=grader)

    try:
        if has_reboots(reports):
            async with service.copy_slots:
                reports = await service.work(survive, service, course, assignment, row, reports)
        return await service.write(keep)
    except BaseException:
        if assignment.lab:
            await service.work(copies.forget, service, course, assignment.lab, row.id)
        raise


async def _checked(
    service: Service, course: Course, assignment: Assignment, student: str
) -> tuple[str, list[Report], str | None]:
    """The digest of the checks, their reports, and why there are none."""
    if not assignment.lab:
        return "", [], None
    try:
        return *await run_checks(service, "submit", course, assignment, student), None
    except ChecksBroken as error:
        data = {"student": student, "assignment": assignment.name, "problem": str(error)}
        audit.log.error("submission without checks", extra={"data": data})
        problem = "The checks could not be run when this was submitted; they will be when it is graded."
        return "", [], problem


async def _taken(service: Service, course: Course, assignment: Assignment, row: Submission) -> dict[str, Any]:
    """The submission's machines, saved. Raises HTTPException when one cannot be."""
    if not assignment.lab:
        return {"machines": [], "missing": []}
    async with service.save_slots:
        try:
            return await service.work(copies.take, service, course, assignment.lab, row.student, row.id)
        except MachineError as error:
            raise HTTPException(
                409,
                f"Your submission was not taken, because your machine could not be saved with it: {error} "
                "Nothing was stored; submit again.",
            ) from error


@router.get(SUBMISSIONS, summary="Receipts, newest last")
async def submissions(
    course: CourseId,
    assignment: AssignmentName,
    service: ServiceDep,
    caller: CallerDep,
    student: Annotated[str | None, Query(max_length=255)] = None,
    latest: Annotated[bool, Query(description="each student's last one only")] = False,
) -> list[dict[str, Any]]:
    """A student's own; graders may ask for one student's, and get everybody's if they name none."""
    caller.require("learn", course)
    grader = caller.may("assist", course)
    if not grader:
        if student not in (None, caller.name):
            raise HTTPException(403, f"{caller.name} may see their own submissions only.")
        student = caller.name
    found_course = service.course(course)
    where: list[ColumnElement[bool]] = [Submission.course == course, Submission.assignment == assignment]
    if student:
        where.append(Submission.student == student)

    def collect(session: Session) -> list[dict[str, Any]]:
        found = list(
            session.scalars(select(Submission).where(*where).order_by(Submission.timestamp, Submission.id))
        )
        if latest:
            found = list({row.student: row for row in found}.values())
            found.sort(key=lambda row: (row.timestamp, row.id))
        return [receipts.receipt(session, row, found_course, grader=grader) for row in found]

    return await service.read(collect)


@router.get("/submissions/{id}", summary="What was submitted", response_class=FileResponse, responses=ARCHIVE)
async def submission(id: SubmissionId, service: ServiceDep, caller: CallerDep) -> FileResponse:
    """The archive, byte for byte."""
    found = await submission_of(service, caller, id)
    if caller.name != found.student:
        await service.record(
            caller, "submission.read", found.course, f"{found.student} {found.assignment}", id=id
        )
    return download(submission_file(service, found), f"{found.assignment}-{slug(found.student)}.tar.gz")


@router.post("/receipts/verify", summary="Whether a receipt is genuine")
async def verify(
    shown: Annotated[dict[str, Any], Body(description="a receipt")], service: ServiceDep, caller: CallerDep
) -> dict[str, Any]:
    """`{"valid": true, …whose}`, or `false` and `why`. Verdicts in it are compared with the stored ones."""
    if not receipts.is_signed(service.room, shown):
        why = "This installation did not sign it, or it was changed since: it proves nothing."
        return {"valid": False, "why": why}
    keys = ("id", "course", "assignment", "student", "timestamp", "sha256")
    said = {key: shown[key] for key in keys}
    sees = caller.name == shown["student"] or caller.may("assist", shown["course"])
    if shown.get("checks") and sees and not await service.read(lambda session: _is_stored(session, shown)):
        why = "It is signed, and the verdicts shown in it are not those that were given then."
        return {"valid": False, "why": why, **said}
    return {"valid": True, **said}


def _is_stored(session: Session, shown: dict[str, Any]) -> bool:
    row = session.get(Submission, shown["id"])
    return row is not None and any(
        receipts.reports_of(session, row, grader=grader) == shown["checks"] for grader in (True, False)
    )
