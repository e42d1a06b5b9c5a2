"""machine: look at, and act on, students' machines."""

import difflib
import os
import select
import signal
import sys
import termios
import threading
import tty
from typing import Annotated

import typer
from machineroom_spawners import names
from machineroom_spawners.course import read_course, read_courses
from machineroom_spawners.drivers.base import Console, Driver, Machine
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef, MachineSpec, machine_spec

from .. import accounts
from ..host import HostError
from ..room import Room
from . import progress
from .common import (
    Json,
    State,
    confirm,
    console,
    drivers,
    installed,
    machines,
    print_json,
    print_table,
    step,
    unknown_course,
    when,
)

app = typer.Typer(help="Look at, and act on, students' machines.", no_args_is_help=True)

Which = Annotated[
    str,
    typer.Argument(
        metavar="OWNER[/COURSE[/LAB]]/MACHINE", help="As in the list; parts that are clear may be left out."
    ),
]


SnapshotName = Annotated[str, typer.Argument(help="The snapshot's name: ./machineroom machine snapshots.")]


@app.command("list")
def show(
    state: State = None,
    owner: Annotated[str | None, typer.Option(help="Only this student's.")] = None,
    course: Annotated[str | None, typer.Option(help="Only this course's.")] = None,
    json: Json = False,
) -> None:
    """List machines with their state."""
    room = installed(state)
    found = sorted(machines(room, owner, course), key=lambda m: m.ref)
    if json:
        print_json([_plain(m) for m in found])
        return
    rows = [[str(m.ref), m.state, m.image, m.driver, m.address or "–", when(m.created)] for m in found]
    print_table(
        "", ["machine", "state", "image", "driver", "address", "created"], rows, _none(room, owner, course)
    )


@app.command()
def reset(
    which: Which, state: State = None, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Replace a machine by a clean one. What is on it is lost; its snapshots are kept."""
    room = installed(state)
    hands, ref = find(room, which)
    if not yes:
        confirm(f"Everything on {ref} that is not in a snapshot will be lost. Reset it?")
    with progress.one(ref.machine) as told:
        machine = hands.reset(_spec(room, ref), told)
    console.print(f"{ref} is clean and {machine.state}")


@app.command()
def suspend(which: Which, state: State = None) -> None:
    """Freeze a machine: it uses no CPU, and goes on exactly where it was."""
    _act(which, state, "suspend")


@app.command()
def resume(which: Which, state: State = None) -> None:
    """Let a suspended machine go on."""
    _act(which, state, "resume")


@app.command()
def stop(which: Which, state: State = None) -> None:
    """Shut a machine down; its disk is kept."""
    _act(which, state, "stop")


@app.command()
def start(which: Which, state: State = None) -> None:
    """Start a stopped or suspended machine and wait until it answers."""
    room = installed(state)
    hands, ref = find(room, which)
    with progress.one(ref.machine) as told:
        machine = hands.ensure(_spec(room, ref), told)
    console.print(f"{ref} is {machine.state}")


@app.command()
def snapshot(
    which: Which,
    name: Annotated[str, typer.Argument(help="A name for the snapshot.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of a snapshot of this name.")
    ] = False,
    state: State = None,
) -> None:
    """Save a machine's disk under a name."""
    hands, ref = find(installed(state), which)
    earlier = next((s for s in hands.snapshots(ref) if s.name == name), None)
    if earlier and not replace:
        raise HostError(
            f"{ref} has a snapshot '{name}' already, of {when(earlier.created)}: "
            "take another name, or put the new one in its place with --replace"
        )
    with step(f"Snapshot {name} of {ref}"):
        made = hands.snapshot(ref, name)
    console.print(f"{made.size / 1e6:.1f} MB beyond its image")


@app.command()
def snapshots(which: Which, state: State = None, json: Json = False) -> None:
    """List a machine's snapshots."""
    hands, ref = find(installed(state), which)
    found = hands.snapshots(ref)
    if json:
        print_json([{"name": s.name, "created": s.created.isoformat(), "size": s.size} for s in found])
        return
    rows = [[s.name, when(s.created), f"{s.size / 1e6:.1f} MB"] for s in found]
    print_table(str(ref), ["snapshot", "made", "size"], rows, f"{ref} has no snapshots.")


@app.command()
def forget(
    which: Which,
    name: SnapshotName,
    state: State = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a snapshot. The machine stays as it is."""
    hands, ref = find(installed(state), which)
    known = [s.name for s in hands.snapshots(ref)]
    if name not in known:
        raise HostError(f"{ref} has no snapshot '{name}'; it has: {', '.join(known) or 'none'}")
    if not yes:
        confirm(f"Delete the snapshot '{name}' of {ref}, for ever?")
    hands.delete_snapshot(ref, name)
    console.print(f"{ref} has no snapshot '{name}' any more")


@app.command()
def restore(
    which: Which,
    name: SnapshotName,
    state: State = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Replace a machine by one made from a snapshot."""
    room = installed(state)
    hands, ref = find(room, which)
    if not yes:
        confirm(f"What is on {ref} now will be lost. Restore '{name}'?")
    with progress.one(ref.machine) as told:
        hands.restore(_spec(room, ref), name, told)
    console.print(f"{ref} is as it was in snapshot '{name}'")


@app.command("console")
def open_console(which: Which, state: State = None) -> None:
    """Open a root terminal on a machine without its ssh. Leave it with exit or Ctrl-]."""
    hands, ref = find(installed(state), which)
    if not sys.stdin.isatty():
        hint = "a console needs a terminal"
        if isinstance(hands, DockerDriver):
            container = names.machine(hands.room_id, ref.owner, ref.course, ref.lab, ref.machine)
            hint += f"; for one command: docker exec {container} COMMAND"
        raise HostError(hint)
    size = os.get_terminal_size()
    _bridge(hands.console(ref, size.lines, size.columns))


def _act(which: str, state: State, action: str) -> None:
    hands, ref = find(installed(state), which)
    with step(f"{action} {ref}"):
        machine = getattr(hands, action)(ref)
    console.print(f"{ref} is {machine.state}")


def find(room: Room, which: str) -> tuple[Driver, MachineRef]:
    """The one machine that OWNER/…/MACHINE means. Raises HostError with the candidates otherwise."""
    there = machines(room)
    parts = which.split("/")
    owner, name, between = parts[0], parts[-1], parts[1:-1]
    found = [
        m
        for m in there
        if m.ref.owner == owner
        and (len(parts) == 1 or m.ref.machine == name)
        and all(part in (m.ref.course, m.ref.lab) for part in between)
    ]
    if len(found) == 1:
        return next(d for d in drivers(room) if d.name == found[0].driver), found[0].ref
    if found:
        raise HostError(f"'{which}' may mean several machines, say which:{_listed([m.ref for m in found])}")
    if theirs := [m.ref for m in there if m.ref.owner == owner]:
        raise HostError(f"there is no machine '{which}'. {owner} has:{_listed(theirs)}")
    everybody = {m.ref.owner for m in there}
    if near := difflib.get_close_matches(owner, everybody):
        raise HostError(f"there is no machine '{which}'. Did you mean {' or '.join(near)}?")
    raise HostError(
        f"there is no machine '{which}', and {owner or 'nobody'} has none: ./machineroom machine list"
    )


def _listed(refs: list[MachineRef]) -> str:
    return "".join(f"\n    {ref}" for ref in sorted(refs))


def _none(room: Room, owner: str | None, course: str | None) -> str:
    """Why there is no machine to list."""
    if course and course not in read_courses(room.courses):
        raise unknown_course(room, course)
    if owner and accounts.get(room, owner) is None:
        raise HostError(f"there is no account '{owner}': ./machineroom accounts list shows them all")
    return (
        "There are no machines"
        + f" of {owner}" * bool(owner)
        + f" in {course}" * bool(course)
        + " yet: they are made when a student logs in."
    )


def _spec(room: Room, ref: MachineRef) -> MachineSpec:
    return machine_spec(read_course(room.courses / ref.course), ref.lab, ref.machine, ref.owner, room.secret)


def _plain(machine: Machine) -> dict[str, str]:
    ref = machine.ref
    return {
        "owner": ref.owner,
        "course": ref.course,
        "lab": ref.lab,
        "machine": ref.machine,
        "state": str(machine.state),
        "image": machine.image,
        "driver": machine.driver,
        "address": machine.address,
        "created": machine.created.isoformat(),
    }


def _bridge(remote: Console) -> None:
    """Join this terminal to the console until either side ends."""
    before = termios.tcgetattr(sys.stdin)
    wake, woken = os.pipe()

    def incoming() -> None:
        while data := remote.read():
            os.write(sys.stdout.fileno(), data)
        os.write(woken, b".")

    def resized(*_: object) -> None:
        size = os.get_terminal_size()
        remote.resize(size.lines, size.columns)

    previous = signal.signal(signal.SIGWINCH, resized)
    try:
        tty.setraw(sys.stdin)
        threading.Thread(target=incoming, daemon=True).start()
        while True:
            ready, _, _ = select.select([sys.stdin, wake], [], [])
            if wake in ready:
                return
            data = os.read(sys.stdin.fileno(), 4096)
            if not data or data == b"\x1d":
                return
            remote.write(data)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
        remote.close()
