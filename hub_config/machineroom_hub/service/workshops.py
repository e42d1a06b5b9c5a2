"""Workshops as their guests meet them: until when one lasts, and what they take home."""

from contextlib import AsyncExitStack
from functools import partial
from typing import IO, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from ..host import HostError
from ..workshops import codes, desk, takehome
from ..workshops.desk import Standing
from ..workshops.models import Guest, Workshop
from . import PREFIX
from .auth import CallerDep
from .checking import ChecksBroken, Report, for_student
from .core import Service, ServiceDep
from .models import Release, Verdict, iso, now

api = APIRouter(tags=["workshops"])
router = APIRouter(include_in_schema=False)


@api.get("/workshop", summary="The workshop whose guest the caller is")
async def workshop(service: ServiceDep, caller: CallerDep) -> dict[str, Any] | None:
    """Null for everybody else. `back` and `takehome` are addresses on this host, and the guest's alone."""

    def find(session: Session) -> tuple[Guest, Workshop] | None:
        guest = session.scalar(select(Guest).where(Guest.seat == caller.name))
        return (guest, session.get_one(Workshop, guest.workshop)) if guest else None

    found = await service.read(find)
    if found is None:
        return None
    guest, its = found
    token = urlencode({"token": codes.way_back(service.room, guest.id)})
    return {
        "workshop": its.id,
        "guest": guest.name,
        "now": iso(now()),
        "starts": iso(its.starts),
        "ends": iso(its.ends),
        "removes": iso(its.removes),
        "back": f"/hub/join/back?{token}",
        "takehome": f"{PREFIX}/takehome?{token}",
    }


@router.get("/takehome")
async def take_home(service: ServiceDep, token: str = "") -> StreamingResponse:
    """The guest's files and report, to whoever has their way back: also when the workshop is over."""
    standing = await service.work(desk.look, service.room, token)
    if standing is None or standing.seat is None:
        raise HTTPException(
            401,
            "Nothing can be taken home with this address: the workshop's files have been removed, as its "
            "page said, nobody has had a seat by it, or a part of it is missing.",
        )
    async with AsyncExitStack() as stack:
        busy = "Your files are being put together for you already; that"
        await stack.enter_async_context(service.turns.of(f"takehome {standing.seat.name}", busy))
        course = service.catalogue.courses().get(standing.workshop.course)
        tasks = await _tasks(service, standing)
        try:
            async with service.save_slots:
                file = await service.work(
                    takehome.pack,
                    service.room,
                    standing.workshop,
                    standing.guest,
                    standing.seat,
                    course.title if course else standing.workshop.course,
                    tasks,
                )
        except HostError as error:
            raise HTTPException(503, f"{str(error).capitalize()}.") from error
        turn = stack.pop_all()
    return _Download(file, f"{standing.workshop.id}.zip", turn)


class _Download(StreamingResponse):
    """Sends a file that has no name, and then lets go of it and of its turn, whatever the receiver does:
    slow ones do not fill the disk, as there is one file for each seat at most."""

    def __init__(self, file: IO[bytes], name: str, turn: AsyncExitStack) -> None:
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(file.seek(0, 2)),
            "Cache-Control": "no-store",
        }
        file.seek(0)
        chunks = iter(partial(file.read, 256 << 10), b"")
        super().__init__(chunks, media_type="application/zip", headers=headers)
        self._file, self._turn = file, turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._turn:
            with self._file:
                await super().__call__(scope, receive, send)


async def _tasks(service: Service, standing: Standing) -> list[takehome.Task]:
    """The tasks of what is released, each with the last verdict that its guest may see."""
    course = service.catalogue.courses().get(standing.workshop.course)
    if course is None or standing.seat is None:
        return []
    name = standing.seat.name

    def ask(session: Session) -> tuple[set[str], dict[tuple[str, str], Report]]:
        newest = (
            select(func.max(Verdict.id))
            .where(Verdict.course == course.id, Verdict.student == name, Verdict.by == name)
            .group_by(Verdict.assignment, Verdict.task)
        )
        rows = session.scalars(select(Verdict).where(Verdict.id.in_(newest)))
        released = session.scalars(select(Release.assignment).where(Release.course == course.id))
        return set(released), {(row.assignment, row.task): row.report for row in rows}

    released, reports = await service.read(ask)
    found = []
    for assignment in course.assignments:
        if assignment.name not in released:
            continue
        try:
            tasks = await service.work(service.checks.tasks, course, assignment.name)
        except ChecksBroken:
            continue
        for task in tasks:
            report = reports.get((assignment.name, task["task"])) if assignment.show_verdicts else None
            found.append(
                takehome.Task(
                    assignment.title or assignment.name,
                    task["title"],
                    task["points"],
                    for_student(report) if report else None,
                )
            )
    return found
