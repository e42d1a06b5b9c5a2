"""What a workshop is in the database: its times, its seats, and who came."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base
from ..service.models import Utc, now


class Phase(StrEnum):
    """How far a workshop is."""

    EARLY = "early"
    OPEN = "open"
    OVER = "over"
    REMOVED = "removed"


class Workshop(Base):
    """A class of some hours. It opens at `starts`; seats are shut at `ends`, and removed at `removes`."""

    __tablename__ = "workshop"

    id: Mapped[str] = mapped_column(String(50), primary_key=True)
    course: Mapped[str] = mapped_column(String(40))
    seats: Mapped[int]
    starts: Mapped[datetime] = mapped_column(Utc)
    ends: Mapped[datetime] = mapped_column(Utc)
    removes: Mapped[datetime] = mapped_column(Utc)
    created: Mapped[datetime] = mapped_column(Utc, default=now)
    removed: Mapped[datetime | None] = mapped_column(Utc)
    """When all of it was gone; the row itself stays, so that no name is ever used again."""

    @property
    def phase(self) -> Phase:
        """How far it is now."""
        moment = now()
        if self.removed:
            return Phase.REMOVED
        if moment < self.starts:
            return Phase.EARLY
        return Phase.OPEN if moment < self.ends else Phase.OVER


class Seat(Base):
    """An account with its workspace and machines, for one guest."""

    __tablename__ = "workshop_seat"
    __table_args__ = (Index("ix_workshop_seat_workshop", "workshop"),)

    name: Mapped[str] = mapped_column(ForeignKey("account.name", ondelete="CASCADE"), primary_key=True)
    workshop: Mapped[str] = mapped_column(ForeignKey("workshop.id"))
    number: Mapped[int]
    ready: Mapped[bool] = mapped_column(default=False)
    """Whether everything ran when the keeper looked last."""
    retired: Mapped[str] = mapped_column(String(200), default="")
    """Why nobody gets it any more; "" while it is good."""


class Guest(Base):
    """Somebody who came with the code. Without a seat they wait, in the order in which they came."""

    __tablename__ = "workshop_guest"
    __table_args__ = (Index("ix_workshop_guest_line", "workshop", "joined"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    workshop: Mapped[str] = mapped_column(ForeignKey("workshop.id"))
    seat: Mapped[str | None] = mapped_column(
        ForeignKey("workshop_seat.name", ondelete="SET NULL"), unique=True
    )
    name: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))
    joined: Mapped[datetime] = mapped_column(Utc, default=now)
    seen: Mapped[datetime] = mapped_column(Utc, default=now)
    """When their page last asked how far the line is."""
