"""What several commands share: the room, the console, steps with a clock, and JSON."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from machineroom_spawners.course import read_courses
from machineroom_spawners.drivers import make_driver
from machineroom_spawners.drivers.base import Driver, Machine
from machineroom_spawners.drivers.docker import DockerDriver
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from .. import node
from ..host import HostError, engine, processes
from ..host.network import ensure_hub_network
from ..hub_api import HubApi
from ..room import DEFAULT_STATE, Room

UNBROKEN = 1000
"""Columns that a table may take where a program reads it: one line per row."""


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else UNBROKEN
    return Console(highlight=False, soft_wrap=True, stderr=stream is sys.stderr, width=width)


console = _console(sys.stdout)
"""For what is printed as an answer."""

status_console = _console(sys.stderr)
"""For progress and what is done on the way: a script that reads standard output never meets it."""

State = Annotated[
    Path | None,
    typer.Option("--state", help="State directory of the installation.", show_default=str(DEFAULT_STATE)),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_json(data: Any) -> None:
    """Print data as JSON, for scripts: nothing else goes to standard output."""
    typer.echo(json.dumps(data, indent=2, default=str))


def print_table(title: str, columns: list[str], rows: list[list[str]], empty: str) -> None:
    """Print a table, or the sentence `empty` when there is nothing to show."""
    if not rows:
        console.print(empty)
        return
    if title:
        console.print(title, style="italic", markup=False)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    print_fitted(table)


def print_fitted(table: RenderableType) -> None:
    """Print a table, or something that holds one: broken to fit a terminal, one line per row elsewhere."""
    console.print(table, soft_wrap=False)


def confirm(sentence: str) -> None:
    """Ask before something that cannot be undone. Raises HostError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise HostError(f"{sentence} Nobody is here to ask: say so with --yes")
    typer.confirm(sentence, abort=True)


def count(number: int, thing: str) -> str:
    """`1 machine`, `2 machines`."""
    return f"{number} {thing}" + "s" * (number != 1)


@contextmanager
def step(sentence: str) -> Iterator[None]:
    """Show that something is being done, and how long it took once it is."""
    began = time.monotonic()
    with status_console.status(sentence):
        yield
    status_console.print(f"[green]✓[/] {sentence} [dim]{time.monotonic() - began:.1f} s[/]")


def when(time: datetime) -> str:
    """A time as the operator's clock shows it."""
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def unknown_course(room: Room, course: str) -> HostError:
    """What to tell somebody who names a course that is not here."""
    known = ", ".join(read_courses(room.courses)) or "none yet"
    return HostError(
        f"there is no course '{course}'; there are: {known}. ./machineroom course add brings one"
    )


def say(sentence: str) -> None:
    """Tell the operator one thing that is being done to the host."""
    status_console.print(f"  [dim]{sentence}[/]")


def installed(state: Path | None) -> Room:
    """The installation in a state directory. Raises HostError when `up` never made one there."""
    room = Room(state)
    if not room.settings:
        raise HostError(
            f"there is no installation in {room.state}: ./machineroom up makes it; "
            "where another one is, say --state DIR"
        )
    return room


def driver(room: Room) -> DockerDriver:
    """The room's Docker driver. Raises HostError when no engine answers."""
    client = engine.client()
    if client is None:
        raise HostError("the Docker engine does not answer; start everything with ./machineroom up")
    return DockerDriver(room_id=room.id)


def drivers(room: Room) -> list[Driver]:
    """All drivers by which the room has machines. Raises HostError when no engine answers."""
    found: list[Driver] = [driver(room)]
    if room.clouds.exists():
        found.append(make_driver("openstack", room.id, secret=room.secret, clouds=room.clouds))
    return found


def machines(room: Room, owner: str | None = None, course: str | None = None) -> list[Machine]:
    """All machines of the room, or those of one owner or course."""
    return [machine for hands in drivers(room) for machine in hands.machines(owner, course)]


def restart_hub_for_courses(room: Room) -> None:
    """Have a running hub take up new courses, whose scopes it reads at its start."""
    if not processes.states(room):
        return
    client = engine.client()
    if client is None:
        raise HostError("the Docker engine does not answer; start everything with ./machineroom up")
    gateway = ensure_hub_network(client, room)
    with step("The hub takes up the courses"):
        proxy = node.install_proxy(room)
        processes.start(room, processes.programs(room, gateway, proxy, node.node_bin()))
        HubApi(room, gateway).wait_until_ready(60)
