"""bench: figures beside stock's."""

import json as json_format
import os
import platform
import signal
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from machineroom_spawners.drivers.base import Progress

from ..bench import figures, machines, spawns, terminals, verdicts
from ..bench.figures import Figure
from ..bench.stage import Stage, stage
from ..room import Room
from . import progress
from .common import State, console, print_table


class Part(StrEnum):
    """What is measured by itself."""

    MACHINES = "machines"
    SPAWNS = "spawns"
    CHECKS = "checks"
    TERMINALS = "terminals"


def register(app: typer.Typer) -> None:
    """Add this module's commands to the tree."""
    app.command()(bench)


def bench(
    only: Annotated[list[Part] | None, typer.Option(help="Only this part; may be repeated.")] = None,
    students: Annotated[
        list[int] | None, typer.Option(min=1, max=200, help="So many at once; may be repeated.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=50, help="How often each is measured.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Write all figures, every run, to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them to this file (.svg, .png, .pdf).")] = None,
    state: State = None,
) -> None:
    """Measure this Machineroom beside stock JupyterHub on this machine, in the same run. Takes some minutes.

    In a room of its own, with the images of the installation; nothing of it stays. Other work on
    this machine at the same time shows in the figures.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended like that, too, it clears up
    counts = sorted(set(students or [1, 10]))
    found: list[Figure] = []
    before = os.getloadavg()[0]
    pupils = [*spawns.people(counts, runs), terminals.STUDENT]
    with progress.many() as told:
        try:
            with stage(Room(state), pupils, verdicts.people(max(counts))) as here:
                for part in only or list(Part):
                    found += _measure(part, here, counts, runs, partial(told, part))
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


def _measure(part: Part, here: Stage, counts: list[int], runs: int, told: Progress) -> list[Figure]:
    match part:
        case Part.MACHINES:
            return machines.measure(here, runs, told)
        case Part.SPAWNS:
            return spawns.measure(here, counts, runs, told)
        case Part.CHECKS:
            return verdicts.measure(here, counts, runs, told)
        case Part.TERMINALS:
            return terminals.measure(here, runs, told)
