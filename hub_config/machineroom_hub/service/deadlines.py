"""Deadlines, one student's own among them, and until when a submission is taken at all."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from machineroom_spawners.course import Assignment
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from . import audit
from .auth import CallerDep, CallerNow
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

    def keep(session: Session) -> None:
        key = {"course": course, "assignment": assignment, "student": student}
        row = session.get(Extension, tuple(key.values())) or Extension(**key)
        row.until, row.time, row.by = wanted.until, now(), caller.name
        session.add(row)
        subject, until = f"{student} {assignment}", iso(wanted.until)
        audit.record(session, caller.name, "extend", course, subject, caller.address, until=until)

    await service.write(keep)
    return {"course": course, "assignment": assignment, "student": student, "until": iso(wanted.until)}


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
