"""nbgrader's exchange without a shared folder: releases, submissions and feedback.

An archive is written aside, looked through and made durable; the rows of one transaction then
make it count. Whatever ends the service in the middle leaves either all of it or nothing:
a file that no row names is nobody's submission.
"""

import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse
from machineroom_spawners.names import slug
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from . import audit, metrics
from .archives import MAX_BYTES, Upload, take
from .auth import Caller, CallerDep, CallerNow
from .checking import ChecksBroken, Report, for_student, store
from .checks import run_checks
from .core import AssignmentName, CourseId, Service, ServiceDep, SubmissionId
from .models import Audit, Feedback, Release, Submission, Verdict, iso, latest_submission, now

router = APIRouter(tags=["exchange"])

ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}
}
ARCHIVE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"a gzipped tar of plain files and folders, at most {MAX_BYTES >> 20} MiB",
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


# -- where things lie -----------------------------------------------------------------------------


def _incoming(service: Service) -> Path:
    return service.room.state / "submissions" / "incoming"


def _release_file(service: Service, course: str, assignment: str, sha256: str) -> Path:
    return service.room.state / "service" / "releases" / course / assignment / f"{sha256}.tar.gz"


def _submission_file(service: Service, found: Submission) -> Path:
    folder = service.room.state / "submissions" / found.course / found.assignment / slug(found.student)
    return folder / f"{found.id}.tar.gz"


def _feedback_file(service: Service, found: Submission, sha256: str) -> Path:
    return _submission_file(service, found).with_name(f"{found.id}.feedback.{sha256}.tar.gz")


def sweep(service: Service) -> None:
    """Remove what arrived only in part before the last end of the service."""
    folder = _incoming(service)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    for part in folder.glob("*.part"):
        part.unlink()


class _Arriving:
    """`async with` it: an archive that is arriving, forgotten at the end unless it was kept."""

    def __init__(self, service: Service, request: Request) -> None:
        self._coming = take(request.stream(), _incoming(service))

    async def __aenter__(self) -> Upload:
        self._upload = await self._coming
        return self._upload

    async def __aexit__(self, *_: object) -> None:
        self._upload.discard()


# -- what several parts ask ------------------------------------------------------------------------


def _receipt(session: Session, found: Submission, *, grader: bool) -> dict[str, Any]:
    verdicts = session.scalars(
        select(Verdict)
        .where(Verdict.submission == found.id, Verdict.by == found.student)
        .order_by(Verdict.id)
    )
    reports = [verdict.report if grader else for_student(verdict.report) for verdict in verdicts]
    feedback = session.get(Feedback, found.id)
    return {
        "id": found.id,
        "course": found.course,
        "assignment": found.assignment,
        "student": found.student,
        "timestamp": iso(found.timestamp),
        "due": iso(found.due),
        "late": found.late,
        "sha256": found.sha256,
        "size": found.size,
        "feedback": iso(feedback.time) if feedback else None,
        "checks": reports,
        "problem": found.problem,
    }


# -- assignments and releases ----------------------------------------------------------------------


@router.get(
    "/courses/{course}/assignments", summary="The assignments of a course, as they stand for the caller"
)
async def assignments(course: CourseId, service: ServiceDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Times or null: `released`, `submitted` (the caller's last), `feedback` (on it).

    Students see what is released, and what they have submitted.
    """
    caller.require("learn", course)
    return await assignments_of(service, caller, course)


async def assignments_of(service: Service, caller: Caller, course: str) -> list[dict[str, Any]]:
    """What `GET assignments` answers."""
    found = service.course(course)

    def collect(session: Session) -> list[dict[str, Any]]:
        answer = []
        for assignment in found.assignments:
            release = session.get(Release, (course, assignment.name))
            last = latest_submission(session, course, assignment.name, caller.name)
            feedback = session.get(Feedback, last.id) if last else None
            if release or last or caller.may("assist", course):
                answer.append(
                    {
                        "name": assignment.name,
                        "title": assignment.title or assignment.name,
                        "lab": assignment.lab,
                        "due": iso(assignment.due),
                        "released": iso(release.time) if release else None,
                        "submitted": iso(last.timestamp) if last else None,
                        "feedback": iso(feedback.time) if feedback else None,
                    }
                )
        return answer

    return await service.read(collect)


RELEASE = "/courses/{course}/assignments/{assignment}/release"


@router.put(RELEASE, summary="Release an assignment to the students", openapi_extra=ARCHIVE_BODY)
async def release(
    course: CourseId, assignment: AssignmentName, request: Request, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """Replaces an earlier release; students who have fetched that one keep it."""
    caller.require("assist", course)
    service.assignment(course, assignment)
    async with _Arriving(service, request) as upload, service.turns.of(f"release {course} {assignment}"):
        path = _release_file(service, course, assignment, upload.sha256)

        def keep(session: Session) -> Release:
            row = session.get(Release, (course, assignment)) or Release(course=course, assignment=assignment)
            row.sha256, row.size, row.time, row.by = upload.sha256, upload.size, now(), caller.name
            session.add(row)
            audit.record(
                session, caller.name, "release", course, assignment, caller.address, sha256=upload.sha256
            )
            upload.keep(path)
            return row

        row = await service.write(keep)
        for old in path.parent.iterdir():
            if old != path:
                old.unlink()
    return {"course": course, "assignment": assignment, "released": iso(row.time), "sha256": row.sha256}


@router.get(RELEASE, summary="Fetch a released assignment", response_class=FileResponse, responses=ARCHIVE)
async def fetch(
    course: CourseId, assignment: AssignmentName, service: ServiceDep, caller: CallerDep
) -> FileResponse:
    """The archive as it was released."""
    caller.require("learn", course)
    row = await service.read(lambda session: session.get(Release, (course, assignment)))
    if row is None:
        raise HTTPException(404, f"Assignment '{assignment}' of {course} is not released.")
    return _file(_release_file(service, course, assignment, row.sha256), f"{course}-{assignment}.tar.gz")


@router.delete(RELEASE, summary="Take a release back", status_code=204)
async def withdraw(
    course: CourseId, assignment: AssignmentName, service: ServiceDep, caller: CallerNow
) -> None:
    """Nobody can fetch or submit it any more; what was submitted stays."""
    caller.require("assist", course)

    def remove(session: Session) -> str:
        row = session.get(Release, (course, assignment))
        if row is None:
            raise HTTPException(404, f"Assignment '{assignment}' of {course} is not released.")
        session.delete(row)
        audit.record(session, caller.name, "release.withdraw", course, assignment, caller.address)
        return row.sha256

    async with service.turns.of(f"release {course} {assignment}"):
        sha256 = await service.write(remove)
        _release_file(service, course, assignment, sha256).unlink(missing_ok=True)


# -- submissions -----------------------------------------------------------------------------------

SUBMISSIONS = "/courses/{course}/assignments/{assignment}/submissions"


@router.post(SUBMISSIONS, summary="Submit", status_code=201, openapi_extra=ARCHIVE_BODY)
async def submit(
    course: CourseId, assignment: AssignmentName, request: Request, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """Takes the notebooks, runs the assignment's checks on the caller's machines as they are now, and
    stores both. `timestamp` is when the request began to arrive, however long it waited.

    When the checks cannot run, the submission is taken all the same and `problem` says why.
    """
    arrived = now()
    caller.require("learn", course)
    found, chosen = service.course(course), service.assignment(course, assignment)
    if await service.read(lambda session: session.get(Release, (course, assignment))) is None:
        raise HTTPException(
            409, f"Assignment '{assignment}' of {course} is not released, so it cannot be submitted."
        )
    turn = service.turns.of(f"submissions of {caller.name}", "Your last submission")
    async with _Arriving(service, request) as upload, turn:
        digest, reports, problem = "", list[Report](), None
        if chosen.lab:
            try:
                digest, reports = await run_checks(service, "submit", found, chosen, caller.name)
            except ChecksBroken as error:
                problem = (
                    "The checks could not be run when this was submitted; they will be when it is graded."
                )
                data = {"student": caller.name, "assignment": assignment, "problem": str(error)}
                audit.log.error("submission without checks", extra={"data": data})
        row = Submission(
            id=secrets.token_hex(8),
            course=course,
            assignment=assignment,
            student=caller.name,
            timestamp=arrived,
            due=chosen.due,
            sha256=upload.sha256,
            size=upload.size,
            problem=problem,
        )

        def keep(session: Session) -> dict[str, Any]:
            session.add(row)
            session.flush()
            store(session, reports, digest, caller.name, caller.name, row.id)
            earned = sum(report["earned"] for report in reports)
            audit.record(
                session, caller.name, "submit", course, assignment, caller.address, id=row.id, earned=earned
            )
            upload.keep(_submission_file(service, row))
            session.flush()
            return _receipt(session, row, grader=caller.may("assist", course))

        receipt = await service.write(keep)
    metrics.submissions.labels(course, assignment).inc()
    return receipt


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
        return [_receipt(session, row, grader=grader) for row in found]

    return await service.read(collect)


async def _submission(service: Service, caller: Caller, id: str) -> Submission:
    """A submission that the caller may see. To others it does not exist."""
    found = await service.read(lambda session: session.get(Submission, id))
    if found is None or not (
        caller.may("assist", found.course)
        or (caller.name == found.student and caller.may("learn", found.course))
    ):
        raise HTTPException(404, f"There is no submission {id} that {caller.name} may see.")
    return found


@router.get("/submissions/{id}", summary="What was submitted", response_class=FileResponse, responses=ARCHIVE)
async def submission(id: SubmissionId, service: ServiceDep, caller: CallerDep) -> FileResponse:
    """The archive, byte for byte."""
    found = await _submission(service, caller, id)
    if caller.name != found.student:
        await service.record(
            caller, "submission.read", found.course, f"{found.student} {found.assignment}", id=id
        )
    return _file(_submission_file(service, found), f"{found.assignment}-{slug(found.student)}.tar.gz")


FEEDBACK = "/submissions/{id}/feedback"


@router.put(FEEDBACK, summary="Give feedback on a submission", openapi_extra=ARCHIVE_BODY)
async def give_feedback(
    id: SubmissionId, request: Request, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """Replaces earlier feedback on the same submission."""
    found = await _submission(service, caller, id)
    caller.require("assist", found.course)
    async with _Arriving(service, request) as upload, service.turns.of(f"feedback {id}"):
        path = _feedback_file(service, found, upload.sha256)

        def keep(session: Session) -> Feedback:
            row = session.get(Feedback, id) or Feedback(submission=id)
            row.sha256, row.size, row.time, row.by = upload.sha256, upload.size, now(), caller.name
            session.add(row)
            subject = f"{found.student} {found.assignment}"
            audit.record(session, caller.name, "feedback", found.course, subject, caller.address, id=id)
            upload.keep(path)
            return row

        row = await service.write(keep)
        for old in path.parent.glob(f"{id}.feedback.*"):
            if old != path:
                old.unlink()
    return {"submission": id, "feedback": iso(row.time), "sha256": row.sha256}


@router.get(FEEDBACK, summary="Feedback on a submission", response_class=FileResponse, responses=ARCHIVE)
async def feedback(id: SubmissionId, service: ServiceDep, caller: CallerDep) -> FileResponse:
    """The archive of the feedback folder."""
    found = await _submission(service, caller, id)
    row = await service.read(lambda session: session.get(Feedback, id))
    if row is None:
        raise HTTPException(404, f"There is no feedback on submission {id} yet.")
    return _file(_feedback_file(service, found, row.sha256), f"{found.assignment}-feedback.tar.gz")


def _file(path: Path, name: str) -> FileResponse:
    return FileResponse(path, media_type="application/gzip", filename=name)


# -- the trail -------------------------------------------------------------------------------------


@router.get("/courses/{course}/audit", summary="Who did what in a course, newest first", tags=["operation"])
async def trail(
    course: CourseId,
    service: ServiceDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """For the course's instructors."""
    caller.require("teach", course)

    def collect(session: Session) -> list[dict[str, Any]]:
        rows = select(Audit).where(Audit.course == course).order_by(Audit.id.desc()).limit(limit)
        return [
            {
                "time": iso(row.time),
                "actor": row.actor,
                "action": row.action,
                "subject": row.subject,
                "address": row.address,
                "detail": row.detail,
            }
            for row in session.scalars(rows)
        ]

    return await service.read(collect)
