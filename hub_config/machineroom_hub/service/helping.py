"""The API of help: a student raises a hand, a grader comes, and the class is told things."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..db import Base
from . import audit
from .auth import Caller, CallerDep, CallerNow
from .core import CourseId, Service, ServiceDep
from .deadlines import StudentName
from .models import Utc, iso, now
from .visits import visits_to

router = APIRouter(tags=["class"])

SHOWN = 50
"""Messages that a student still sees."""


def _plain(text: str) -> str:
    """Without characters that show as nothing, or turn what stands beside them around."""
    text = "".join(c for c in text if c.isprintable() or c == "\n").strip()
    if not text:
        raise ValueError("it says nothing")
    return text


class Hand(Base):
    """A hand that is up. When it goes down, the row goes; the audit trail keeps what happened."""

    __tablename__ = "hands"

    course: Mapped[str] = mapped_column(String(40), primary_key=True)
    student: Mapped[str] = mapped_column(String(255), primary_key=True)
    sentence: Mapped[str] = mapped_column(String(300))
    since: Mapped[datetime] = mapped_column(Utc)
    coming: Mapped[str | None] = mapped_column(String(255))
    """The grader who has said that they come."""


class Message(Base):
    """Something that a grader told students. Never changed."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    course: Mapped[str] = mapped_column(String(40))
    time: Mapped[datetime] = mapped_column(Utc)
    by: Mapped[str] = mapped_column(String(255))
    text: Mapped[str] = mapped_column(String(2000))


class Addressee(Base):
    """One whom a message is for."""

    __tablename__ = "addressees"

    student: Mapped[str] = mapped_column(String(255), primary_key=True)
    message: Mapped[int] = mapped_column(ForeignKey("messages.id"), primary_key=True)


class Raise(BaseModel):
    """What a student wants, in a sentence."""

    model_config = ConfigDict(extra="forbid")
    sentence: Annotated[str, Field(max_length=300), AfterValidator(_plain)]


class Coming(BaseModel):
    """Whether the caller comes; false takes it back."""

    model_config = ConfigDict(extra="forbid")
    coming: bool = True


class Failing(BaseModel):
    """Everybody whose machines were looked at and do not pass a task, or one check of it."""

    model_config = ConfigDict(extra="forbid")
    assignment: str = Field(max_length=60)
    task: str = Field(max_length=255)
    check: str | None = Field(None, max_length=255)


class Broadcast(BaseModel):
    """A message, and whom it is for: all students of the course, some by name, or who fails something."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(max_length=2000), AfterValidator(_plain)]
    to: Literal["all"] | Annotated[list[str], Field(min_length=1, max_length=5000)] | Failing


def hand_json(hand: Hand | None) -> dict[str, Any] | None:
    """A hand as the API shows it."""
    return (
        hand if hand is None else {"sentence": hand.sentence, "since": iso(hand.since), "coming": hand.coming}
    )


@router.get("/courses/{course}/help", summary="One's own hand, and what one was told")
async def help_(course: CourseId, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """`{"hand": null or {"sentence","since","coming"}, "messages": […], "visits": […]}`."""
    caller.require("learn", course)
    service.course(course)

    def collect(session: Session) -> dict[str, Any]:
        query = (
            select(Message)
            .join(Addressee, Addressee.message == Message.id)
            .where(Addressee.student == caller.name, Message.course == course)
            .order_by(Message.id.desc())
            .limit(SHOWN)
        )
        found = [
            {"id": row.id, "time": iso(row.time), "by": row.by, "text": row.text}
            for row in session.scalars(query)
        ]
        return {
            "hand": hand_json(session.get(Hand, (course, caller.name))),
            "messages": found[::-1],
            "visits": visits_to(session, course, caller.name),
        }

    return await service.read(collect)


@router.put("/courses/{course}/hand", summary="Raise one's hand")
async def raise_hand(
    course: CourseId, wanted: Raise, service: ServiceDep, caller: CallerDep
) -> dict[str, Any]:
    """One that is up gets the new sentence and keeps its place."""
    caller.require("learn", course)
    service.course(course)

    def keep(session: Session) -> Hand:
        row = session.get(Hand, (course, caller.name))
        if row is None:
            row = Hand(course=course, student=caller.name, since=now())
            session.add(row)
        if row.sentence != wanted.sentence:
            row.sentence = wanted.sentence
            _record(session, caller, "hand.raise", course, caller.name, sentence=wanted.sentence)
        return row

    row = await service.write(keep)
    _changed(service, course, [caller.name])
    return hand_json(row) or {}


@router.delete("/courses/{course}/hand", summary="Take one's hand down", status_code=204)
async def lower_hand(course: CourseId, service: ServiceDep, caller: CallerDep) -> None:
    """One that is not up is no error."""
    caller.require("learn", course)
    await _down(service, caller, "hand.lower", course, caller.name)
    _changed(service, course, [caller.name])


@router.put("/courses/{course}/hands/{student}", summary="Tell a student that one is coming")
async def come(
    course: CourseId, student: StudentName, said: Coming, service: ServiceDep, caller: CallerNow
) -> dict[str, Any]:
    """Whoever says so last is the one who comes."""
    caller.require("assist", course)

    def keep(session: Session) -> Hand:
        row = session.get(Hand, (course, student))
        if row is None:
            raise HTTPException(404, f"{student}'s hand is not up in {course}: it was taken down meanwhile.")
        row.coming = caller.name if said.coming else None
        _record(session, caller, "hand.come" if said.coming else "hand.stay", course, student)
        return row

    row = await service.write(keep)
    _changed(service, course, [student])
    return hand_json(row) or {}


@router.delete("/courses/{course}/hands/{student}", summary="A student was helped", status_code=204)
async def helped(course: CourseId, student: StudentName, service: ServiceDep, caller: CallerNow) -> None:
    """Their hand goes down. One that is not up is no error."""
    caller.require("assist", course)
    await _down(service, caller, "hand.helped", course, student)
    _changed(service, course, [student])


@router.post("/courses/{course}/messages", summary="Tell students something")
async def tell(course: CourseId, wanted: Broadcast, service: ServiceDep, caller: CallerNow) -> dict[str, Any]:
    """`{"id", "to": [names]}`: whom it went to. 404 when nobody is meant."""
    caller.require("assist", course)
    service.course(course)
    students = await service.authority.students(course)
    names = await _meant(service, course, wanted.to, students)
    if not names:
        raise HTTPException(404, "Nobody is meant by this, so nothing was sent.")

    def keep(session: Session) -> int:
        row = Message(course=course, time=now(), by=caller.name, text=wanted.text)
        session.add(row)
        session.flush()
        session.add_all(Addressee(message=row.id, student=name) for name in sorted(names))
        to = wanted.to if wanted.to == "all" else sorted(names)
        subject = "all" if to == "all" else f"{len(names)} students"
        _record(session, caller, "message", course, subject, message=row.id, text=wanted.text, to=to)
        return row.id

    id = await service.write(keep)
    _changed(service, course, sorted(names))
    return {"id": id, "to": sorted(names)}


async def _meant(
    service: Service, course: str, to: Literal["all"] | list[str] | Failing, students: set[str]
) -> set[str]:
    if to == "all":
        return students
    if isinstance(to, Failing):
        service.assignment(course, to.assignment)
        board = await service.boards.look(course, to.assignment)
        return board.progress.failing(to.task, to.check) & students
    if unknown := sorted(set(to) - students):
        raise HTTPException(
            404,
            f"There is no student {', '.join(map(json.dumps, unknown[:5]))} in course {course}; "
            "nothing was sent.",
        )
    return set(to)


async def _down(service: Service, caller: Caller, action: str, course: str, student: str) -> None:
    def remove(session: Session) -> None:
        row = session.get(Hand, (course, student))
        if row is not None:
            session.delete(row)
            _record(session, caller, action, course, student, sentence=row.sentence)

    await service.write(remove)


def _record(session: Session, caller: Caller, action: str, course: str, subject: str, **detail: Any) -> None:
    audit.record(session, caller.name, action, course, subject, caller.address, **detail)


def _changed(service: Service, course: str, students: list[str]) -> None:
    """The graders, and these students, are to see at once that something is new."""
    service.boards.changed(course)
    service.background(service.lines.news(course, students))  # nobody waits for one that does not listen
