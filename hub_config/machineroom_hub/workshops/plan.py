"""Making workshops, and ending them: what stands in the database. The keeper does what follows from it."""

import unicodedata
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..accounts import Account, Changes, Role, transaction
from ..room import Room
from ..service.models import now
from . import WorkshopError
from .models import Guest, Phase, Seat, Workshop

LONGEST_NAME = 80
MOST_SEATS = 500


def create(
    room: Room, course: str, seats: int, starts: datetime, ends: datetime, removes: datetime
) -> Workshop:
    """A new workshop, with its seats' accounts. Raises WorkshopError."""
    if not 1 <= seats <= MOST_SEATS:
        raise WorkshopError(f"a workshop has 1 to {MOST_SEATS} seats, not {seats}")
    if not starts < ends <= removes or ends <= now():
        raise WorkshopError(
            "a workshop ends after it starts, and not in the past; what it leaves is removed later"
        )
    with transaction(room) as session:
        number = 1 + (session.scalar(select(func.count()).where(Workshop.course == course)) or 0)
        while _taken(session, f"{course}-{number}"):
            number += 1
        workshop = Workshop(
            id=f"{course}-{number}", course=course, seats=seats, starts=starts, ends=ends, removes=removes
        )
        session.add(workshop)
        session.flush()
        fill(session, workshop)
        return workshop


def fill(session: Session, workshop: Workshop) -> list[str]:
    """Make seats until there are as many good ones as there should be; the names of the new ones."""
    seats = list(session.scalars(select(Seat).where(Seat.workshop == workshop.id)))
    good = sum(not seat.retired for seat in seats)
    last = max((seat.number for seat in seats), default=0)
    fresh = []
    for number in range(last + 1, last + 1 + workshop.seats - good):
        name = f"{workshop.id}-{number:02d}"
        accounts = Changes(session)
        accounts.add(name, display_name=f"Seat {number} of {workshop.id}")
        accounts.enrol(name, workshop.course, Role.STUDENT)
        session.add(Seat(name=name, workshop=workshop.id, number=number))
        fresh.append(name)
    session.flush()
    return fresh


def get(room: Room, id: str) -> Workshop:
    """The workshop called `id`. Raises WorkshopError."""
    with transaction(room) as session:
        found = session.get(Workshop, id)
    if found is None:
        known = ", ".join(w.id for w in listing(room)) or "none yet"
        raise WorkshopError(f"there is no workshop '{id}'; there are: {known}")
    return found


def listing(room: Room, *, removed: bool = False) -> list[Workshop]:
    """All workshops, the one that starts first before the others; with those that are `removed`, too."""
    query = select(Workshop).order_by(Workshop.starts, Workshop.id)
    if not removed:
        query = query.where(Workshop.removed.is_(None))
    with transaction(room) as session:
        return list(session.scalars(query))


def people(room: Room, id: str) -> tuple[list[Seat], list[Guest]]:
    """A workshop's seats by number, and its guests in the order in which they came."""
    with transaction(room) as session:
        return (
            list(session.scalars(select(Seat).where(Seat.workshop == id).order_by(Seat.number))),
            list(session.scalars(select(Guest).where(Guest.workshop == id).order_by(Guest.joined, Guest.id))),
        )


def end(room: Room, id: str, keep: timedelta) -> Workshop:
    """End a workshop now, or earlier than now if it had ended; what it leaves is kept for so long."""
    get(room, id)
    with transaction(room) as session:
        workshop = session.get_one(Workshop, id)
        if workshop.removed:
            raise WorkshopError(
                f"{id} was removed on {workshop.removed:%Y-%m-%d %H:%M} UTC; nothing of it is left"
            )
        workshop.starts = min(workshop.starts, now())
        workshop.ends = min(workshop.ends, now())
        workshop.removes = now() + keep
        close(session, workshop)
        return workshop


def close(session: Session, workshop: Workshop) -> None:
    """Nobody may log in to its seats any more; nothing of theirs is lost."""
    for name in session.scalars(select(Seat.name).where(Seat.workshop == workshop.id)):
        session.get_one(Account, name).active = False


def resize(room: Room, id: str, seats: int) -> Workshop:
    """Give a workshop more seats while it runs. Raises WorkshopError."""
    workshop = get(room, id)
    if workshop.phase not in (Phase.EARLY, Phase.OPEN):
        raise WorkshopError(f"{id} is over, so it gets no more seats")
    if not workshop.seats <= seats <= MOST_SEATS:
        raise WorkshopError(
            f"{id} has {workshop.seats} seats; it can have up to {MOST_SEATS}, and none fewer"
        )
    with transaction(room) as session:
        workshop = session.get_one(Workshop, id)
        workshop.seats = seats
        fill(session, workshop)
        return workshop


def retire(session: Session, seat: Seat, why: str) -> None:
    """Nobody gets this seat any more, nor uses it; another takes its place."""
    seat.retired, seat.ready = why, False
    session.get_one(Account, seat.name).active = False
    session.flush()
    fill(session, session.get_one(Workshop, seat.workshop))


def take_back(room: Room, id: str, seat: str) -> None:
    """Shut a guest's seat, and make another for somebody else; the guest can still take the work home."""
    with transaction(room) as session:
        found = session.get(Seat, seat)
        if found is None or found.workshop != id or found.retired:
            raise WorkshopError(
                f"{id} has no seat '{seat}' in use: ./machineroom workshop status {id} shows them"
            )
        retire(session, found, "taken back by the organiser")


def clean_name(typed: str) -> str:
    """A name as it is shown: any letters there are, but nothing that cannot be seen.

    >>> clean_name("  Zoë  Ångström ")
    'Zoë Ångström'

    Raises:
        WorkshopError: there is none, or a very long one.
    """
    name = unicodedata.normalize("NFC", " ".join(_visible(typed).split()))
    if not name:
        raise WorkshopError("Say your name: it is what the others in the room see.")
    if len(name) > LONGEST_NAME:
        raise WorkshopError(f"That name has {len(name)} letters; {LONGEST_NAME} are as many as are shown.")
    return name


def _visible(text: str) -> str:
    # no control characters, and none that turn the direction of what follows
    return "".join(" " if letter.isspace() else letter for letter in text if _seen(letter))


def _seen(letter: str) -> bool:
    return letter.isspace() or not unicodedata.category(letter).startswith("C")


def _taken(session: Session, id: str) -> bool:
    accounts = select(Account.name).where(Account.name.startswith(f"{id}-", autoescape=True))
    return session.get(Workshop, id) is not None or session.scalar(accounts.limit(1)) is not None
