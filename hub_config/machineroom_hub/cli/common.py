"""What several commands share: the room, the console, steps with a clock, and JSON."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from machineroom_spawners.drivers.docker import DockerDriver
from rich.console import Console
from rich.table import Table

from .. import node
from ..host import HostError, engine, processes
from ..host.network import ensure_hub_network
from ..hub_api import HubApi
from ..room import Room

console = Console(highlight=False)
"""For what is printed as an answer."""

status_console = Console(highlight=False, stderr=True)
"""For progress and what is done on the way: a script that reads standard output never meets it."""

State = Annotated[
    Path | None,
    typer.Option("--state", help="State directory of the installation [default: /var/lib/machineroom]."),
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
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


@contextmanager
def step(sentence: str) -> Iterator[None]:
    """Show that something is being done, and how long it took once it is."""
    began = time.monotonic()
    with status_console.status(sentence):
        yield
    status_console.print(f"[green]✓[/] {sentence} [dim]{time.monotonic() - began:.1f} s[/]")


def say(sentence: str) -> None:
    """Tell the operator one thing that is being done to the host."""
    status_console.print(f"  [dim]{sentence}[/]")


def driver(room: Room) -> DockerDriver:
    """The room's Docker driver. Raises HostError when no engine answers."""
    client = engine.client()
    if client is None:
        raise HostError("the Docker engine does not answer; start everything with ./machineroom up")
    return DockerDriver(room_id=room.id)


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
