"""Login links: each lets one person in once, to choose a password. Only their digests are kept."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime, ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from .accounts import Account, AccountError, Changes, transaction
from .db import Base
from .room import Room

PATH = "/hub/welcome"
LASTS = timedelta(days=14)


class LoginLink(Base):
    """A link that was given out and not yet used. Somebody has one at most: a new one ends the old."""

    __tablename__ = "login_link"

    name: Mapped[str] = mapped_column(ForeignKey("account.name", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def make(room: Room, names: list[str], lasts: timedelta = LASTS) -> dict[str, str]:
    """A new link for each of these accounts: path and query, to be put after the installation's address.

    Raises:
        AccountError: there is no such account, or it may not log in.
    """
    made: dict[str, str] = {}
    with transaction(room) as session:
        for name in names:
            account = session.get(Account, name)
            if account is None:
                raise AccountError(f"there is no account '{name}'; add it first")
            if not account.active:
                raise AccountError(f"{name} may not log in; let them in again before you give them a link")
            token = secrets.token_urlsafe(24)
            expires = datetime.now(UTC) + lasts
            session.merge(LoginLink(name=name, digest=_digest(token), expires=expires))
            made[name] = f"{PATH}?token={token}"  # the hub keeps this parameter out of its log
    return made


def owner(room: Room, token: str) -> Account | None:
    """Whom a link is for; None when it was used, replaced or made up, or is too old."""
    with transaction(room) as session:
        return _owner(session, token)


def use(room: Room, token: str, password: str) -> Account | None:
    """Use the link up: its owner, who has this password now; None as for `owner`.

    Raises:
        AccountError: the password cannot be used; the link still can.
    """
    with transaction(room) as session:
        account = _owner(session, token)
        if account is not None:
            Changes(session).set_password(account.name, password)
            session.execute(delete(LoginLink).where(LoginLink.name == account.name))
        return account


def _owner(session: Session, token: str) -> Account | None:
    link = session.scalar(select(LoginLink).where(LoginLink.digest == _digest(token)))
    if link is None:
        return None
    expires = link.expires if link.expires.tzinfo else link.expires.replace(tzinfo=UTC)  # SQLite forgets it
    account = session.get(Account, link.name)
    return account if account is not None and account.active and expires > datetime.now(UTC) else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
