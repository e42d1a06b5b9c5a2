"""The desk at the door: who comes with a code, who is next in line, and who gets which seat."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from ..accounts import Account, transaction
from ..room import Room
from ..service import audit
from ..service.models import now
from . import codes, plan
from .models import Guest, Phase, Seat, Workshop

PATIENCE = timedelta(seconds=60)
"""Who has not asked for so long has left the line; asking again, they have their place again."""


@dataclass(frozen=True)
class Standing:
    """How a guest stands. `place` is the one in line, from 1; `free` is how many seats are."""

    guest: Guest
    workshop: Workshop
    seat: Seat | None
    place: int
    free: int

    @property
    def seated(self) -> bool:
        """Whether there is a seat to go to."""
        return self.workshop.phase is Phase.OPEN and self.seat is not None and not self.seat.retired

    @property
    def next(self) -> bool:
        """Whether a seat is there to be claimed."""
        return self.workshop.phase is Phase.OPEN and self.seat is None and self.place <= self.free

    @property
    def waiting(self) -> bool:
        """Whether it makes sense to wait for a seat, or for the start."""
        return self.seat is None and self.workshop.phase in (Phase.EARLY, Phase.OPEN)


def find(room: Room, code: str) -> Workshop | None:
    """The workshop that this is the code of, whether it has begun or is over; None for a wrong one."""
    found = None
    for workshop in plan.listing(room):  # all of them: how long it takes tells nothing
        if codes.fits(room, workshop.id, code):
            found = workshop
    return found


def arrive(room: Room, workshop: str, name: str, address: str) -> Guest:
    """A new guest, last in line."""
    with transaction(room) as session:
        guest = Guest(id=secrets.token_hex(8), workshop=workshop, name=name, address=address)
        session.add(guest)
        return guest


def look(room: Room, token: str) -> Standing | None:
    """How the guest stands whose way back this is; None for nobody's."""
    with transaction(room) as session:
        guest = _guest(session, room, token)
        return _standing(session, guest) if guest else None


def wait(room: Room, token: str) -> Standing | None:
    """The same, for somebody who is still in line."""
    with transaction(room) as session:
        guest = _guest(session, room, token)
        if guest is None:
            return None
        guest.seen = now()
        return _standing(session, guest)


def claim(room: Room, guest_id: str) -> str | None:
    """The guest's seat, which is given now if one is free and nobody is before; None while there is none."""
    with transaction(room) as session:
        guest = session.get_one(Guest, guest_id)
        # one claim at a time (SQLite has one writer at a time anyhow)
        workshop = session.scalars(
            select(Workshop).where(Workshop.id == guest.workshop).with_for_update()
        ).one()
        guest.seen = now()
        standing = _standing(session, guest)
        if standing.next:
            seat = session.scalars(_free(workshop).order_by(Seat.ready.desc(), Seat.number).limit(1)).one()
            guest.seat = seat.name
            session.get_one(Account, seat.name).display_name = guest.name
            # without the guest's name: the trail only grows, and guests are forgotten
            audit.record(session, seat.name, "workshop.join", workshop.course, workshop.id, guest.address)
            return seat.name
        return standing.seat.name if standing.seated and standing.seat else None


def replace(room: Room, guest_id: str, why: str) -> None:
    """The guest's seat turned out broken before it was seen: retire it, and let the guest claim another."""
    with transaction(room) as session:
        guest = session.get_one(Guest, guest_id)
        seat = session.get_one(Seat, guest.seat)
        guest.seat = None
        plan.retire(session, seat, why)


def words(standing: Standing) -> str:
    """What somebody who waits is told: as much as is known, and no more."""
    workshop, place = standing.workshop, standing.place
    if workshop.phase is Phase.EARLY:
        if place <= standing.free:
            return "Your seat is being made ready. This page lets you in when the workshop starts."
        return (
            f"All {workshop.seats} seats are promised to others who came before: you are number "
            f"{place - standing.free} of those who wait for one that is not used."
        )
    if place <= standing.free:
        return "Your seat is ready."
    where = "You are next in line." if place == 1 else f"You are number {place} in line."
    return (
        f"All {workshop.seats} seats are taken. {where} A seat comes free when the organiser adds one or "
        "takes one back; nobody can say when. This page lets you in by itself."
    )


def _guest(session: Session, room: Room, token: str) -> Guest | None:
    id = codes.guest_of(room, token)
    return session.get(Guest, id) if id else None


def _standing(session: Session, guest: Guest) -> Standing:
    workshop = session.get_one(Workshop, guest.workshop)
    before = select(func.count()).where(
        Guest.workshop == workshop.id,
        Guest.seat.is_(None),
        Guest.seen > now() - PATIENCE,
        or_(Guest.joined < guest.joined, and_(Guest.joined == guest.joined, Guest.id < guest.id)),
    )
    free = select(func.count()).select_from(_free(workshop).subquery())
    return Standing(
        guest,
        workshop,
        session.get(Seat, guest.seat) if guest.seat else None,
        1 + (session.scalar(before) or 0),
        session.scalar(free) or 0,
    )


def _free(workshop: Workshop) -> Select[Seat]:
    used = select(Guest.seat).where(Guest.workshop == workshop.id, Guest.seat.is_not(None))
    return select(Seat).where(Seat.workshop == workshop.id, Seat.retired == "", Seat.name.not_in(used))
