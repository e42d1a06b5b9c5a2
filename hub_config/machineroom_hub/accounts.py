"""Who may log in, and what they are in which course.

>>> add(room, "ada", password="correct horse")     # doctest: +SKIP
>>> enrol(room, "ada", "linux-intro", Role.STUDENT)  # doctest: +SKIP
>>> verify(room, "ada", "correct horse").name      # doctest: +SKIP
'ada'
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import DateTime, Engine, ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from .db import Base, connect
from .room import Room

NAME_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,63}$"
"""User names: what student numbers and mail addresses look like, in lower case. Safe as a file's name."""

MIN_PASSWORD, MAX_PASSWORD = 10, 1000


class AccountError(Exception):
    """What cannot be done with which account, and what to do instead."""


class Role(StrEnum):
    """What somebody is in a course."""

    STUDENT = "student"
    TA = "ta"
    INSTRUCTOR = "instructor"


class Account(Base):
    """Somebody who may log in. Without a password nobody can; an inactive one keeps all its work."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    display_name: Mapped[str] = mapped_column(String(200), default="")
    mail: Mapped[str] = mapped_column(String(200), default="")
    password_hash: Mapped[str] = mapped_column(String(200), default="")
    active: Mapped[bool] = mapped_column(default=True)
    operator: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    enrolments: Mapped[list["Enrolment"]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", order_by="Enrolment.course"
    )

    @property
    def roles(self) -> dict[str, Role]:
        """What the person is, by course."""
        return {e.course: Role(e.role) for e in self.enrolments}


class Enrolment(Base):
    """One person's role in one course."""

    __tablename__ = "enrolment"

    name: Mapped[str] = mapped_column(ForeignKey("account.name", ondelete="CASCADE"), primary_key=True)
    course: Mapped[str] = mapped_column(String(40), primary_key=True)
    role: Mapped[str] = mapped_column(String(10))


class Changes:
    """What is changed in one transaction: all of it or nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        name: str,
        *,
        password: str = "",
        display_name: str = "",
        mail: str = "",
        operator: bool | None = None,
    ) -> None:
        """Add an account, or bring one that exists to these values; what is left out stays as it is.

        Raises:
            AccountError: the name or the password cannot be used.
        """
        check_name(name)
        account = self._session.get(Account, name) or Account(name=name)
        account.password_hash = (_hash(password) if password else account.password_hash) or ""
        account.display_name = display_name or account.display_name or ""
        account.mail = mail or account.mail or ""
        account.operator = bool(account.operator) if operator is None else operator
        self._session.add(account)
        self._session.flush()

    def set_password(self, name: str, password: str) -> None:
        """Give the account another password. Raises AccountError."""
        _existing(self._session, name).password_hash = _hash(password)

    def enrol(self, name: str, course: str, role: Role | str | None) -> None:
        """Make somebody a student, TA or instructor of a course; None takes them out. Raises AccountError.

        It takes effect within a minute; a workspace that is running gets the new rights when it starts next.
        """
        try:
            role = Role(role) if role is not None else None
        except ValueError:
            raise AccountError(
                f"{name}: '{role}' is not a role in a course; it is one of {', '.join(Role)}"
            ) from None
        account = _existing(self._session, name)
        account.enrolments = [e for e in account.enrolments if e.course != course]
        self._session.flush()
        if role is not None:
            account.enrolments.append(Enrolment(name=name, course=course, role=role.value))
            self._session.flush()


@contextmanager
def change(room: Room) -> Iterator[Changes]:
    """Change accounts in one transaction.

    >>> with change(room) as accounts:                         # doctest: +SKIP
    ...     accounts.add("ada", display_name="Ada Lovelace")
    ...     accounts.enrol("ada", "linux-intro", Role.STUDENT)
    """
    with transaction(room) as session:
        yield Changes(session)


def add(room: Room, name: str, **values: Any) -> None:
    """`Changes.add` in a transaction of its own."""
    with change(room) as accounts:
        accounts.add(name, **values)


def set_password(room: Room, name: str, password: str) -> None:
    """`Changes.set_password` in a transaction of its own."""
    with change(room) as accounts:
        accounts.set_password(name, password)


def set_active(room: Room, name: str, active: bool) -> None:
    """Let somebody log in again, or no more; nothing of theirs is lost. Raises AccountError."""
    with transaction(room) as session:
        _existing(session, name).active = active


def enrol(room: Room, name: str, course: str, role: Role | str | None) -> None:
    """`Changes.enrol` in a transaction of its own."""
    with change(room) as accounts:
        accounts.enrol(name, course, role)


def get(room: Room, name: str) -> Account | None:
    """The account with its enrolments, or None."""
    with transaction(room) as session:
        return session.get(Account, name)


def listing(room: Room, course: str | None = None) -> list[Account]:
    """All accounts by name, or those enrolled in `course`."""
    query = select(Account).order_by(Account.name)
    if course is not None:
        query = query.join(Enrolment).where(Enrolment.course == course)
    with transaction(room) as session:
        return list(session.scalars(query))


def verify(room: Room, name: str, password: str) -> Account | None:
    """The account if this is its password and it may log in.

    An unknown name, an account without a password and an inactive one cost as much work as a wrong password.
    """
    account = get(room, name)
    usable = account is not None and account.active and account.password_hash
    hashed = account.password_hash if account is not None and usable else _decoy()
    try:
        _hasher.verify(hashed, password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    if account is None or not usable:
        return None
    if _hasher.check_needs_rehash(hashed):
        set_password(room, name, password)
    return account


def check_name(name: str) -> None:
    """Raises AccountError, in words, when nobody can be called so."""
    if not re.match(NAME_PATTERN, name) or name.endswith("\n"):
        raise AccountError(
            f"'{name}' cannot be a user name: at most 64 lower-case letters, digits and . _ @ -, "
            "beginning with a letter or digit"
        )


_hasher = PasswordHasher()


def _hash(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise AccountError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, not {len(password)}")
    return _hasher.hash(password)


@cache
def _decoy() -> str:
    return _hasher.hash("nobody's password")


def _existing(session: Session, name: str) -> Account:
    account = session.get(Account, name)
    if account is None:
        raise AccountError(f"there is no account '{name}'; add it first")
    return account


_engines: dict[str, Engine] = {}
_engines_lock = threading.Lock()


@contextmanager
def transaction(room: Room) -> Iterator[Session]:
    """One transaction; what it read stays readable afterwards."""
    with _engines_lock:
        engine = _engines.get(str(room.state)) or _engines.setdefault(str(room.state), connect(room))
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session
