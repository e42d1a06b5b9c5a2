"""What the infrastructure cannot hold: releases, submissions, verdicts, feedback, and who did what."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, String, TypeDecorator, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..db import Base


class Utc(TypeDecorator[datetime]):
    """A moment. It is given and read with its time zone, and stored in UTC (SQLite knows no zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Into the database."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Out of the database."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime | None) -> str | None:
    """A moment as the API writes it: `2026-12-01T17:00:00.123456Z`."""
    return (
        moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None
    )


class Release(Base):
    """An assignment's notebooks, for the students to fetch: the newest one only."""

    __tablename__ = "releases"

    course: Mapped[str] = mapped_column(String(40), primary_key=True)
    assignment: Mapped[str] = mapped_column(String(60), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    time: Mapped[datetime] = mapped_column(Utc)
    by: Mapped[str] = mapped_column(String(255))


class Submission(Base):
    """What a student handed in, and when it arrived. Never deleted by us, nor changed but for `graded`."""

    __tablename__ = "submissions"
    __table_args__ = (Index("ix_submissions_whose", "course", "assignment", "student", "timestamp"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    course: Mapped[str] = mapped_column(String(40))
    assignment: Mapped[str] = mapped_column(String(60))
    student: Mapped[str] = mapped_column(String(255))
    timestamp: Mapped[datetime] = mapped_column(Utc)
    due: Mapped[datetime | None] = mapped_column(Utc)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    problem: Mapped[str | None] = mapped_column(String(2000))
    """Why its checks could not run, if they could not."""
    signed: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What its receipt is signed over, its machines included; None when it is older than signatures."""
    signature: Mapped[str | None] = mapped_column(String(64))
    graded: Mapped[datetime | None] = mapped_column(Utc)
    """When a grader first asked for a score of it: then it counts, and its machines are kept."""


class Verdict(Base):
    """One task's report with its evidence, and which check files it comes from."""

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_whose", "course", "assignment", "student", "time"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    submission: Mapped[str | None] = mapped_column(ForeignKey("submissions.id"), index=True)
    """The submission it counts for; None when the student only tried."""
    course: Mapped[str] = mapped_column(String(40))
    assignment: Mapped[str] = mapped_column(String(60))
    task: Mapped[str] = mapped_column(String(255))
    student: Mapped[str] = mapped_column(String(255))
    time: Mapped[datetime] = mapped_column(Utc)
    points: Mapped[float]
    earned: Mapped[float]
    checks: Mapped[str] = mapped_column(String(64))
    """The digest of the check files."""
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    by: Mapped[str] = mapped_column(String(255))
    signature: Mapped[str | None] = mapped_column(String(64))
    """Of all of it, by a key that only the service has; see `receipts`."""


class Extension(Base):
    """One student's own deadline for one assignment."""

    __tablename__ = "extensions"

    course: Mapped[str] = mapped_column(String(40), primary_key=True)
    assignment: Mapped[str] = mapped_column(String(60), primary_key=True)
    student: Mapped[str] = mapped_column(String(255), primary_key=True)
    until: Mapped[datetime] = mapped_column(Utc)
    time: Mapped[datetime] = mapped_column(Utc)
    by: Mapped[str] = mapped_column(String(255))


class Feedback(Base):
    """The graded copy of a submission, for its student: the newest one only."""

    __tablename__ = "feedback"

    submission: Mapped[str] = mapped_column(ForeignKey("submissions.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    time: Mapped[datetime] = mapped_column(Utc)
    by: Mapped[str] = mapped_column(String(255))


class Audit(Base):
    """Who did what to whom, when, and from where. The database refuses to change or delete a row."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_course", "course", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(Utc)
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(40))
    course: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(1000))
    address: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


def latest_submission(session: Session, course: str, assignment: str, student: str) -> Submission | None:
    """The student's last submission of an assignment."""
    return session.scalars(
        select(Submission)
        .where(
            Submission.course == course, Submission.assignment == assignment, Submission.student == student
        )
        .order_by(Submission.timestamp.desc(), Submission.id.desc())
        .limit(1)
    ).first()
