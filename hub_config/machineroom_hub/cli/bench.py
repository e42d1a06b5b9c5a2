"""bench: figures beside stock's."""

import json as json_format
import os
import platform
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from machineroom_spawners.drivers.base import Progress

from ..room import Room
from . import progress
from .common import State, console, print_table

if TYPE_CHECKING:
    from ..bench.figures import Figure

# The bench is imported when it is called for: it brings JupyterHub, which no other command should wait for.


class Part(StrEnum):
    """What is measured by itself."""

    MACHINES = "machines"
    SPAWNS = "spawns"
    CHECKS = "checks"
    TERMINALS = "terminals"
    WEB = "web"
    GROWTH = "growth"
    AUTOGRADE = "autograde"


def register(app: typer.Typer) -> None:
    """Add this module's commands to the tree."""
    app.command()(bench)


def bench(
    parts: Annotated[
        list[Part] | None, typer.Argument(show_default=False, help="Only these parts; left out, all.")
    ] = None,
    students: Annotated[
        list[int] | None,
        typer.Option(min=1, max=200, help="So many at once; repeatable. Default: 1, 20, 50; checks: 1, 40."),
    ] = None,
    many: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=2000, help="So many machines, for growth; repeatable. Default: 10, 100, 300."
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=50, help="How often each is measured.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Write all figures, every run, to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them to this file (.svg, .png, .pdf).")] = None,
    state: State = None,
) -> None:
    """Measure this Machineroom beside stock JupyterHub, on this machine in the same run.

    All of it takes an hour, a part of it minutes. It has a room of its own, with the images of the
    installation; nothing of it stays. Other work on this machine at the same time shows in the figures.
    """
    from ..bench import figures, grading, growth, machines, spawns, terminals, verdicts, web
    from ..bench.stage import stage

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended like that, too, it clears up
    starting, checking = (sorted(set(students or usual)) for usual in ([1, 20, 50], [1, 40]))
    found: list[Figure] = []
    before = os.getloadavg()[0]
    pupils = [*spawns.people(starting, runs), terminals.STUDENT, web.STUDENT]
    graders = [*verdicts.people(max(checking)), grading.GRADER]
    with progress.many() as told:
        try:
            with stage(Room(state), pupils, graders, told) as here:
                measures: dict[Part, Callable[[Progress], list[Figure]]] = {
                    Part.MACHINES: lambda told: machines.measure(here, runs, told),
                    Part.SPAWNS: lambda told: spawns.measure(here, starting, runs, told),
                    Part.CHECKS: lambda told: verdicts.measure(here, checking, runs, told),
                    Part.TERMINALS: lambda told: terminals.measure(here, runs, told),
                    Part.WEB: lambda told: web.measure(here, runs, told),
                    Part.GROWTH: lambda told: growth.measure(here, many or [10, 100, 300], told),
                    Part.AUTOGRADE: lambda told: grading.measure(here, runs, told),
                }
                for part in parts or list(Part):
                    found += measures[part](partial(told, part))
                    told(part, 100, "measured")
                told("room", 0, "clearing up")
        except KeyboardInterrupt:
            told("room", 100, "broken off, and cleared up")
            raise
        told("room", 100, "nothing of it is left")
    host = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "load_before": before,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    print_table("", figures.COLUMNS, [figure.row() for figure in found], "Nothing was measured.")
    console.print(f"[dim]Medians; {host['cpus']} CPUs; load average before: {before:.1f}[/]")
    if json:
        json.write_text(
            json_format.dumps({"host": host, "figures": [f.plain() for f in found]}, indent=2) + "\n"
        )
    if plot:
        figures.plot(found, plot)
