"""A grader looks on at a student's terminal, as the student sees it, and types only if they say yes.

Who may visit is decided here; whether a visitor may type is decided by the student's own server, which
takes no keystroke before the student has allowed it there. Every visit is written down, and the student
sees it, while it lasts and afterwards.
"""

import asyncio
import contextlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Index, String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..db import Base
from . import audit
from .auth import Caller
from .core import CourseId, Service
from .lines import End, Line, Output, Typing
from .models import Utc, iso, now
from .sockets import close, first_of, send

router = APIRouter()

AT_ONCE = 100
"""Visits that go on at the same time."""
SHOWN = 20
"""Visits that a student still sees."""


class Visit(Base):
    """That somebody looked at a student's terminal, from when to when, and whether they were let type."""

    __tablename__ = "visits"
    __table_args__ = (Index("ix_visits_whose", "student", "course"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    course: Mapped[str] = mapped_column(String(40))
    student: Mapped[str] = mapped_column(String(255))
    by: Mapped[str] = mapped_column(String(255))
    terminal: Mapped[str] = mapped_column(String(100))
    began: Mapped[datetime] = mapped_column(Utc)
    ended: Mapped[datetime | None] = mapped_column(Utc)
    typed: Mapped[bool]


@dataclass
class Going:
    """A visit that goes on."""

    course: str
    student: str
    by: str
    terminal: str
    line: Line
    websocket: WebSocket
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    typing: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""

    def end(self, why: str) -> None:
        """Have it end."""
        self.why = self.why or why
        self.over.set()


class Keys(BaseModel):
    """What a visitor sends: keystrokes, or the question whether they may type."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field("", max_length=8192)
    ask: bool = False


class Visits:
    """The visits that go on."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._going: dict[str, Going] = {}

    def __len__(self) -> int:
        return len(self._going)

    def at(self, course: str, student: str) -> list[dict[str, Any]]:
        """Who is at a student's terminals now."""
        return [
            {"by": going.by, "terminal": going.terminal, "typing": going.typing}
            for going in self._going.values()
            if (going.course, going.student) == (course, student)
        ]

    async def hear(self, student: str, line: Line, said: Output | Typing | End) -> None:
        """A student's server says something about a visit; about one that is not theirs it says nothing."""
        going = self._going.get(said.visit if isinstance(said, Typing) else _id_of(said))
        if going is None or going.line is not line or going.student != student:
            return
        if isinstance(said, End):
            going.end(said.why)
        elif isinstance(said, Output):
            if not await send(going.websocket, {"output": said.output and said.text}):
                going.end("the visitor is gone")
        else:
            going.typing = said.typing == "allowed"
            await self._allowed(going)

    async def _allowed(self, going: Going) -> None:
        service = self._service

        def note(session: Session) -> None:
            if going.typing:
                session.execute(update(Visit).where(Visit.id == going.id).values(typed=True))
            action = "visit.typing" if going.typing else "visit.no_typing"
            audit.record(session, going.student, action, going.course, going.by, "", terminal=going.terminal)

        await service.write(note)
        service.boards.changed(going.course)
        await send(going.websocket, {"typing": going.typing})

    async def line_lost(self, student: str, line: Line) -> None:
        """A student's server has gone, and every visit to it."""
        for going in list(self._going.values()):
            if going.line is line:
                going.end(f"{student}'s workspace is gone")

    @contextlib.asynccontextmanager
    async def going(self, caller: Caller, going: Going) -> Any:
        """While this lasts, the visit goes on; it is written down before anything is shown."""
        service, course = self._service, going.course
        began = now()

        def begin(session: Session) -> None:
            facts = {"id": going.id, "course": course, "student": going.student, "by": going.by}
            session.add(Visit(**facts, terminal=going.terminal, began=began, ended=None, typed=False))
            audit.record(
                *(session, caller.name, "visit", course, going.student, caller.address),
                visit=going.id,
                terminal=going.terminal,
            )

        def end(session: Session) -> None:
            session.execute(update(Visit).where(Visit.id == going.id).values(ended=now()))
            audit.record(
                *(session, caller.name, "visit.end", course, going.student, caller.address),
                visit=going.id,
                why=going.why,
            )

        await service.write(begin)
        self._going[going.id] = going
        service.boards.changed(course)
        try:
            yield
        finally:
            del self._going[going.id]
            service.boards.changed(course)
            await going.line.send(end=going.id)
            await service.write(end)


def _id_of(said: Output | End) -> str:
    return said.output if isinstance(said, Output) else said.end


def end_all(session: Session) -> None:
    """The service starts: the visits that went on when it ended have ended with it."""
    session.execute(update(Visit).where(Visit.ended.is_(None)).values(ended=now()))


def visits_to(session: Session, course: str, student: str) -> list[dict[str, Any]]:
    """Who visited a student, newest first."""
    query = select(Visit).where(Visit.course == course, Visit.student == student)
    return [
        {
            "by": row.by,
            "terminal": row.terminal,
            "began": iso(row.began),
            "ended": iso(row.ended),
            "typed": row.typed,
        }
        for row in session.scalars(query.order_by(Visit.began.desc()).limit(SHOWN))
    ]


@router.websocket("/courses/{course}/students/{student}/terminals/{terminal}")
async def visit(
    websocket: WebSocket,
    course: CourseId,
    student: Annotated[str, Path(max_length=255)],
    terminal: Annotated[str, Path(pattern=r"^\w{1,100}$")],
) -> None:
    """Text messages, JSON: to us `{"type": keys}` and `{"ask": true}`; from us `{"output"}`, `{"typing"}`."""
    service: Service = websocket.app.state.service
    caller = await service.authority.identify(websocket, fresh=True)
    if caller is None:
        raise HTTPException(401, "A visit needs a JupyterHub token, in the header.")
    await _allowed(service, caller, course, student)
    line = service.lines.of(student)
    if line is None:
        raise HTTPException(409, f"{student}'s workspace does not run, so there is nothing to see.")
    if terminal not in service.lines.terminals(student, course):
        known = ", ".join(service.lines.terminals(student, course)) or "none"
        raise HTTPException(
            404, f"{student} has no terminal {terminal} open on a machine of {course}. Open: {known}."
        )
    if len(service.visits) >= AT_ONCE:
        raise HTTPException(503, f"{AT_ONCE} visits go on, which is as many as there may be. Try later.")
    await websocket.accept()
    going = Going(course, student, caller.name, terminal, line, websocket)

    async def still(now: Caller) -> None:
        await _allowed(service, now, course, student)

    try:
        async with service.visits.going(caller, going):
            facts = {"visit": going.id, "course": course, "by": caller.name, "terminal": terminal}
            await line.send(**facts)
            await first_of(_hear(going), going.over.wait(), service.authority.refused(websocket, still))
    finally:
        await close(websocket, 1000, going.why or "the visit has ended")


async def _allowed(service: Service, caller: Caller, course: str, student: str) -> None:
    caller.require("assist", course)
    service.course(course)
    if student not in await service.authority.students(course):
        raise HTTPException(404, f"There is no student '{student}' in course {course}.")


async def _hear(going: Going) -> None:
    """Pass on what the visitor sends. Whether it is typed is for the student's server to say."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            try:
                keys = Keys.model_validate(json.loads(await going.websocket.receive_text()))
            except (ValueError, ValidationError, KeyError):
                return
            if keys.type:
                await going.line.send(type=going.id, text=keys.type)
            if keys.ask:
                await going.line.send(ask=going.id)
