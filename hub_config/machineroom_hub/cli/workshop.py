"""workshop: a short class whose people need no accounts: a code, a name, and they are in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from machineroom_spawners.course import read_courses

from ..host import HostError
from ..migrations import upgrade
from ..room import Room
from ..service.models import now
from ..workshops import capacity, codes, plan, rehearsal
from ..workshops.models import Phase, Workshop
from .common import (
    Json,
    State,
    confirm,
    console,
    count,
    installed,
    print_json,
    print_table,
    say,
    unknown_course,
    when,
)
from .progress import one

app = typer.Typer(help="Short classes without accounts: a code, a name, and one is in.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="WORKSHOP", help="As ./machineroom workshop list has it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Url = Annotated[
    str | None,
    typer.Option(help="Address at which people reach this installation [default: this host's own]."),
]


@app.command()
def create(
    course: Annotated[str, typer.Option(help="The course that is taught.")],
    seats: Annotated[int, typer.Option(min=1, max=plan.MOST_SEATS, help="How many people can take part.")],
    start: Annotated[
        str, typer.Option(help="When people get in: '2026-12-01 09:00' by this host's clock, or 'now'.")
    ] = "now",
    hours: Annotated[float, typer.Option(min=0.01, help="How long it lasts.")] = 3,
    keep: Annotated[float, typer.Option(min=0, help="For how many days files are kept after the end.")] = 2,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also when this host cannot hold so many seats.")
    ] = False,
    url: Url = None,
    json: Json = False,
    state: State = None,
) -> None:
    """Make a workshop: its seats, and the code with which people join."""
    room = _room(state)
    if course not in read_courses(room.courses):
        raise unknown_course(room, course)
    starts = _moment(start)
    ends = starts + timedelta(hours=hours)
    _afford(room, course, seats, starts, ends, anyway)
    made = plan.create(room, course, seats, starts, ends, ends + timedelta(days=keep))
    _print(room, made, url, json)


@app.command()
def rehearse(
    course: Annotated[str, typer.Option(help="The course that will be taught.")],
    seats: Annotated[int, typer.Option(min=1, max=plan.MOST_SEATS, help="How many guests are played.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also when this host cannot hold so many seats.")
    ] = False,
    json: Json = False,
    state: State = None,
) -> None:
    """Play a workshop with synthetic guests, who solve the tasks with the solutions; it is removed then."""
    room = _room(state)
    if course not in read_courses(room.courses):
        raise unknown_course(room, course)
    _afford(room, course, seats, now(), now() + timedelta(hours=1), anyway)
    with one("rehearsal") as told:
        played = rehearsal.rehearse(room, course, seats, told)
    if json:
        print_json(played.as_json())
    else:
        _report(played)
    if played.problems:
        raise typer.Exit(1)


@app.command("list")
def listing(
    every: Annotated[bool, typer.Option("--all", help="Those that were removed, too.")] = False,
    json: Json = False,
    state: State = None,
) -> None:
    """List the workshops: when they are, their codes, and how many people came."""
    room = _room(state)
    found = [_Look.at(room, workshop) for workshop in plan.listing(room, removed=every)]
    if json:
        print_json([look.as_json() for look in found])
        return
    columns = ["workshop", "state", "code", "start", "end", "seats", "ready", "taken", "in line"]
    rows = [
        [w.id, w.phase.value, codes.code(room, w.id), when(w.starts), when(w.ends)]
        + [str(n) for n in (w.seats, look.ready, look.taken, look.line)]
        for look in found
        for w in [look.workshop]
    ]
    print_table("", columns, rows, "There are no workshops. ./machineroom workshop create makes one.")


@app.command()
def status(workshop: Which, url: Url = None, json: Json = False, state: State = None) -> None:
    """Show a workshop: its code and page, each seat, and who has it."""
    room = _room(state)
    _print(room, plan.get(room, workshop), url, json, with_seats=True)


@app.command("seats")
def resize(workshop: Which, number: Annotated[int, typer.Argument(min=1)], state: State = None) -> None:
    """Give a workshop more seats; those who wait in line get them."""
    made = plan.resize(_room(state), workshop, number)
    console.print(f"{made.id} has {made.seats} seats now; the new ones are being made ready")


@app.command("take-back")
def take_back(
    workshop: Which,
    seat: Annotated[str, typer.Argument(help="As workshop status has it.")],
    yes: Yes = False,
    state: State = None,
) -> None:
    """Shut one seat, and make another for whoever comes next. Its guest can still take the work home."""
    room = _room(state)
    if not yes:
        confirm(f"Whoever sits at {seat} is thrown out, within a minute.")
    plan.take_back(room, workshop, seat)
    console.print(f"{seat} is shut; another seat is being made ready in its place")


@app.command()
def end(
    workshop: Which,
    keep: Annotated[
        float, typer.Option(min=0, help="For how many days people can still fetch their files.")
    ] = 2,
    at_once: Annotated[bool, typer.Option("--now", help="Remove everything at once: keep nothing.")] = False,
    yes: Yes = False,
    state: State = None,
) -> None:
    """End a workshop: its seats are shut, and removed when the days are over."""
    room = _room(state)
    days = 0 if at_once else keep
    found = plan.get(room, workshop)
    if not yes:
        what = "nothing of theirs is kept" if not days else f"their files are kept for {days:g} days"
        confirm(f"{count(_Look.at(room, found).taken, 'guest')} of {workshop} are shut out; {what}. Go on?")
    found = plan.end(room, workshop, timedelta(days=days))
    console.print(
        f"{workshop} is over; "
        + (f"everything is removed on {when(found.removes)}" if days else "everything is being removed")
    )


@dataclass(frozen=True)
class _Look:
    """A workshop and how it fares."""

    workshop: Workshop
    code: str
    seats: list[dict[str, Any]]
    line: int

    @classmethod
    def at(cls, room: Room, workshop: Workshop) -> "_Look":
        seats, guests = plan.people(room, workshop.id)
        names = {guest.seat: guest for guest in guests if guest.seat}
        rows = [
            {
                "seat": seat.name,
                "state": "shut" if seat.retired else "ready" if seat.ready else "not ready yet",
                "guest": names[seat.name].name if seat.name in names else None,
                "joined": names[seat.name].joined if seat.name in names else None,
                "address": names[seat.name].address if seat.name in names else None,
                "why": seat.retired,
            }
            for seat in seats
        ]
        return cls(workshop, codes.code(room, workshop.id), rows, sum(not guest.seat for guest in guests))

    @property
    def ready(self) -> int:
        return sum(seat["state"] == "ready" for seat in self.seats)

    @property
    def taken(self) -> int:
        return sum(seat["guest"] is not None for seat in self.seats)

    def as_json(self) -> dict[str, Any]:
        w = self.workshop
        return {
            "workshop": w.id,
            "course": w.course,
            "state": w.phase.value,
            "code": None if w.removed else self.code,
            **{name: getattr(w, name).isoformat() for name in ("starts", "ends", "removes")},
            "seats": w.seats,
            "ready": self.ready,
            "taken": self.taken,
            "line": self.line,
        }


def _print(room: Room, workshop: Workshop, url: str | None, json: bool, with_seats: bool = False) -> None:
    look = _Look.at(room, workshop)
    base = (url or room.url).rstrip("/")
    pages = {
        "join": f"{base}/hub/join?code={look.code}",
        "poster": f"{base}/hub/join/poster?code={look.code}",
    }
    if json:
        print_json({**look.as_json(), **pages, **({"people": look.seats} if with_seats else {})})
        return
    console.print(f"[bold]{workshop.id}[/], {workshop.course}: {workshop.phase.value}")
    console.print(
        f"{when(workshop.starts)} to {when(workshop.ends)}, files kept until {when(workshop.removes)}"
    )
    if workshop.phase in (Phase.EARLY, Phase.OPEN):
        console.print(f"Code: [bold]{look.code}[/]   {base}/hub/join")
        console.print(f"To show or print, with a QR code: {pages['poster']}")
    console.print(
        f"{count(workshop.seats, 'seat')}: {look.ready} ready, {look.taken} taken, {look.line} people in line"
    )
    if with_seats:
        rows = [
            [
                s["seat"],
                s["state"],
                s["guest"] or "",
                when(s["joined"]) if s["joined"] else "",
                s["address"] or "",
                s["why"],
            ]
            for s in look.seats
        ]
        print_table("", ["seat", "state", "guest", "joined", "from", ""], rows, "Its seats are gone.")


def _afford(room: Room, course: str, seats: int, starts: datetime, ends: datetime, anyway: bool) -> None:
    """Say what the seats ask of this host. Raises HostError when it is more than there is."""
    asked = capacity.measure(room, course, seats, starts, ends)
    if not (asked.fits or anyway):
        raise HostError(f"{asked.words()} Take fewer, free some memory, or say --anyway")
    say(asked.words())


def _report(played: rehearsal.Rehearsal) -> None:
    said = played.as_json()
    rows = [
        [what, *(f"{said[key][share]:.1f} s" if said[key] else "–" for share in ("p50", "p95"))]
        for what, key in (
            ("a seat is ready after", "ready"),
            ("from the code to JupyterLab", "joined"),
            ("a check of a task", "checks"),
        )
    ]
    print_table("", [f"{played.seats} guests", "p50", "p95"], rows, "")
    every = played.seats * played.tasks
    console.print(f"{said['solved']} of {every} tasks solved ({played.tasks} by each guest)")
    console.print(
        f"A seat took {played.memory >> 20} MB, without a notebook. With {played.counted >> 20} MB for each, "
        f"this host as it is now can hold {played.room_for}"
    )
    for problem in played.problems:
        console.print(f"• {problem}", style="red", markup=False)


def _room(state: Any) -> Room:
    room = installed(state)
    upgrade(room)
    return room


def _moment(said: str) -> datetime:
    if said == "now":
        return now()
    try:
        return datetime.fromisoformat(said).astimezone()
    except ValueError:
        raise HostError(
            f"--start '{said}' is no time: say '2026-12-01 09:00', by this host's clock, or 'now'"
        ) from None
