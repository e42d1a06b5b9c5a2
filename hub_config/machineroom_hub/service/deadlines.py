"""Deadlines, one student's own among them, and until when a submission is taken at all."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from machineroom_spawners.course import Assignment
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit
from .auth import Caller, CallerDep, CallerNow
from .core import AssignmentName, CourseId, ServiceDep
from .models import Extension, iso, now

router = APIRouter(tags=["exchange"])

EXTENSIONS = "/courses/{course}/assignments/{assignment}/extensions"
StudentName = Annotated[str, Path(max_length=255)]


def due_of(assignment: Assignment, extension: Extension | None) -> datetime | None:
    """The deadline for a student, who may have an extension."""
    return extension.until if extension else assignment.due


class Until(BaseModel):
    """A student's own deadline."""

    model_config = ConfigDict(extra="forbid")
    until: AwareDatetime


@router.get(EXTENSIONS, summary="Extensions of an assignment, by student")
async def extensions(
    course: CourseId, assignment: AssignmentName, service: ServiceDep, caller: CallerDep
) -> list[dict[str, Any]]:
    """For graders; students find their own with their assignments."""
    caller.require("assist", course)
    where = select(Extension).where(Extension.course == course, Extension.assignment == assignment)

    def collect(session: Session) -> list[dict[str, Any]]:
        rows = session.scalars(where.order_by(Extension.student))
        return [{"student": r.student, "until": iso(r.until), "by": r.by, "time": iso(r.time)} for r in rows]

    return await service.read(collect)


@router.put(EXTENSIONS + "/{student}", summary="Give a student a deadline of their own")
async def extend(
    course: CourseId,
    assignment: AssignmentName,
    student: StudentName,
    wanted: Until,
    service: ServiceDep,
    caller: CallerNow,
) -> dict[str, Any]:
    """Replaces an earlier one. What the student has submitted already is judged by it as well."""
    caller.require("assist", course)
    service.assignment(course, assignment)
    if student not in await service.authority.members(course):
        raise HTTPException(404, f"There is no '{student}' in course {course}.")

    await service.write(lambda s: _extend(s, caller, (course, assignment, student), wanted.until))
    return {"course": course, "assignment": assignment, "student": student, "until": iso(wanted.until)}


class ForMany(Until):
    """The same for several students, or with null for all."""

    students: list[Annotated[str, Field(max_length=255)]] | None = Field(max_length=5000)


@router.post(EXTENSIONS, summary="Give several students, or all, a deadline of their own")
async def extend_many(
    course: CourseId, assignment: AssignmentName, wanted: ForMany, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """`{"done": n, "failed": [{"student","problem"}]}`: who is no student of the course gets none."""
    caller.require("assist", course)
    service.assignment(course, assignment)
    known = await service.authority.students(course)
    meant = known if wanted.students is None else set(wanted.students)

    def keep(session: Session) -> None:
        for student in sorted(meant & known):
            _extend(session, caller, (course, assignment, student), wanted.until)

    await service.write(keep)
    service.boards.changed(course)
    failed = [
        {"student": name, "problem": f"There is no student '{name}' in course {course}."}
        for name in sorted(meant - known)
    ]
    return {"done": len(meant & known), "failed": failed}


def _extend(session: Session, caller: Caller, key: tuple[str, str, str], until: datetime) -> None:
    course, assignment, student = key
    row = session.get(Extension, key) or Extension(course=course, assignment=assignment, student=student)
    row.until, row.time, row.by = until, now(), caller.name
    session.add(row)
    subject = f"{student} {assignment}"
    audit.record(session, caller.name, "extend", course, subject, caller.address, until=iso(until))


@router.delete(EXTENSIONS + "/{student}", summary="Take an extension back", status_code=204)
async def shorten(
    course: CourseId, assignment: AssignmentName, student: StudentName, service: ServiceDep, caller: CallerNow
) -> None:
    """The assignment's deadline holds for the student again."""
    caller.require("assist", course)

    def remove(session: Session) -> None:
        row = session.get(Extension, (course, assignment, student))
        if row is None:
            raise HTTPException(404, f"{student} has no extension of {assignment} in {course}.")
        session.delete(row)
        audit.record(
            session, caller.name, "extend.withdraw", course, f"{student} {assignment}", caller.address
        )

    await service.write(remove)
