"""nbgrader's exchange without a shared folder: assignments, releases, feedback, and the audit trail."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse
from machineroom_spawners.course import Assignment, Course
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit
from .auth import Caller, CallerDep, CallerNow
from .core import AssignmentName, CourseId, Service, ServiceDep, SubmissionId
from .deadlines import due_of
from .models import Audit, Extension, Feedback, Release, iso, latest_submission, now
from .shelf import ARCHIVE, ARCHIVE_BODY, Arriving, download, feedback_file, release_file, submission_of

router = APIRouter(tags=["exchange"])

# -- assignments and releases ----------------------------------------------------------------------


@router.get(
    "/courses/{course}/assignments", summary="The assignments of a course, as they stand for the caller"
)
async def assignments(course: CourseId, service: ServiceDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Times or null: `due`, `extension` (the caller's own, later or earlier), `released`, `submitted` (the
    caller's last), `feedback` (on it). `late` says in words what being late costs, `closes` when it ends.

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
            extension = session.get(Extension, (course, assignment.name, caller.name))
            own_due, late = due_of(assignment, extension), found.late_policy(assignment)
            if release or last or caller.may("assist", course):
                answer.append(
                    {
                        "name": assignment.name,
                        "title": assignment.title or assignment.name,
                        "lab": assignment.lab,
                        "due": iso(assignment.due),
                        "extension": iso(extension.until) if extension else None,
                        "late": late.in_words(),
                        "closes": iso(late.closes(own_due)) if own_due else None,
                        "checks": _lights(found, assignment),
                        "released": iso(release.time) if release else None,
                        "submitted": iso(last.timestamp) if last else None,
                        "feedback": iso(feedback.time) if feedback else None,
                    }
                )
        return answer

    return await service.read(collect)


def _lights(course: Course, assignment: Assignment) -> str:
    """When students see verdicts: "live", when they ask ("asked"), or not before the grade ("hidden")."""
    if not assignment.show_verdicts:
        return "hidden"
    return "live" if course.is_live(assignment) else "asked"


RELEASE = "/courses/{course}/assignments/{assignment}/release"


@router.put(RELEASE, summary="Release an assignment to the students", openapi_extra=ARCHIVE_BODY)
async def release(
    course: CourseId, assignment: AssignmentName, request: Request, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """Replaces an earlier release; students who have fetched that one keep it."""
    caller.require("assist", course)
    service.assignment(course, assignment)
    async with Arriving(service, request) as upload, service.turns.of(f"release {course} {assignment}"):
        path = release_file(service, course, assignment, upload.sha256)

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
    return download(release_file(service, course, assignment, row.sha256), f"{course}-{assignment}.tar.gz")


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
        release_file(service, course, assignment, sha256).unlink(missing_ok=True)


FEEDBACK = "/submissions/{id}/feedback"


@router.put(FEEDBACK, summary="Give feedback on a submission", openapi_extra=ARCHIVE_BODY)
async def give_feedback(
    id: SubmissionId, request: Request, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """Replaces earlier feedback on the same submission."""
    found = await submission_of(service, caller, id)
    caller.require("assist", found.course)
    async with Arriving(service, request) as upload, service.turns.of(f"feedback {id}"):
        path = feedback_file(service, found, upload.sha256)

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
    found = await submission_of(service, caller, id)
    row = await service.read(lambda session: session.get(Feedback, id))
    if row is None:
        raise HTTPException(404, f"There is no feedback on submission {id} yet.")
    return download(feedback_file(service, found, row.sha256), f"{found.assignment}-feedback.tar.gz")


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
