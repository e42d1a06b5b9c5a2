"""machine keep, machine sleep: which machines sleep since nothing happens on them, and which are exempt."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from machineroom_spawners.drivers.base import State as MachineState

from ..accounts import transaction
from ..migrations import upgrade
from ..service.models import now
from .common import Json, State, console, installed, machines, print_json, print_table
from .machine import Which, app, find

if TYPE_CHECKING:
    from ..service import idle

# Imported when it is called for: it brings the whole service, which no other command should wait for.


@app.command()
def keep(
    which: Which,
    hours: Annotated[float, typer.Option(min=0, help="For how long; 0 lets it sleep again at once.")] = 24,
    state: State = None,
) -> None:
    """Keep a machine awake though nothing happens on it. For ever: `always_on` in its lab.yml."""
    from ..service import idle

    room = installed(state)
    _, ref = find(room, which)
    upgrade(room)
    until = now() + timedelta(hours=hours) if hours else None
    with transaction(room) as session:
        idle.keep(session, ref, until)
    console.print(
        f"{ref} " + (f"is kept awake until {_time(until)}" if until else "may sleep when it is idle")
    )


@app.command()
def sleep(
    course: Annotated[str | None, typer.Option(help="Only this course's.")] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Show which machines are asleep or kept awake, and how long all have slept."""
    from ..service import idle

    room = installed(state)
    upgrade(room)
    states = {m.ref: m.state for m in machines(room, course=course)}
    with transaction(room) as session:
        found = [_Slept.of(row, states[row.ref]) for row in idle.rows(session, course) if row.ref in states]
    found.sort(key=lambda slept: slept.machine)
    if json:
        print_json([asdict(slept) for slept in found])
        return
    table = [[s.machine, s.state, _time(s.asleep), _time(s.kept), f"{s.seconds / 3600:.1f} h"] for s in found]
    columns = ["machine", "state", "asleep since", "kept until", "slept in all"]
    print_table("", columns, table, "No machine has been put to sleep yet.")
    if found:
        console.print(f"Machines have slept {sum(s.seconds for s in found) / 3600:.1f} hours in all.")


@dataclass(frozen=True)
class _Slept:
    """A machine's line; `seconds` is how long it has slept in all."""

    machine: str
    state: str
    asleep: datetime | None
    kept: datetime | None
    seconds: float

    @classmethod
    def of(cls, row: "idle.Sleep", state: MachineState) -> "_Slept":
        moment = now()
        asleep = (moment - row.since).total_seconds() if row.since else 0.0
        kept = row.kept if row.kept and row.kept > moment else None
        return cls(str(row.ref), state.value, row.since, kept, row.slept + asleep)


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "–"
