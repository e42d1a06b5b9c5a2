"""up, down, status, doctor, logs: the life of an installation."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from machineroom_spawners.course import read_course
from machineroom_spawners.drivers.base import MachineError

from .. import accounts, addresses, cloud, courses, demo, images, migrations, node
from ..host import HostError, doctor, engine, firewall, packages, processes
from ..host.network import ensure_hub_network
from ..hub_api import HubApi
from ..room import SOURCE, Room
from . import progress
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
    status_console,
    step,
)

DEMO_COURSE = SOURCE / "course_material" / "linux-intro"


def register(app: typer.Typer) -> None:
    """Add this module's commands to the tree."""
    for command in (up, down, status, logs):
        app.command()(command)
    app.command("doctor")(diagnose)


@contextmanager
def _resumable() -> Iterator[None]:
    """Say to whoever breaks it off that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        status_console.print("[red]machineroom:[/] broken off; ./machineroom up goes on where it was")
        raise


@_resumable()
def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65452, help="Public port on 127.0.0.1; the next hundred is ours too."),
    ] = None,
    state: State = None,
    course: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="A course folder to load as well; may be repeated."),
    ] = None,
    subdomains: Annotated[
        str | None,
        typer.Option(
            help="Give each user a host name below this one, such as lab.example.org, so that students' web "
            "pages reach nobody else; 'none' goes back to one name for all. See docs/operators.md."
        ),
    ] = None,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="No demo course and no demo accounts.")] = False,
    configure_docker: Annotated[
        bool,
        typer.Option("--configure-docker", help="Allow the change to Docker's settings that doctor prints."),
    ] = False,
) -> None:
    """Install what is missing, build images, start everything, print the URL and how to log in.

    Call it again whenever you like: it does only what is not done yet.
    """
    began = time.monotonic()
    room = Room(state)
    demo_wanted = not no_demo and room.settings.get("demo", True)
    folders = [*([DEMO_COURSE] if demo_wanted else []), *(course or [])]
    for folder in folders:
        read_course(folder)  # a mistake in it is told now, not after minutes
    host = room.subdomains if subdomains is None else _subdomain_host(room, subdomains)
    doctor.refuse_taken_ports(room, port or room.port)
    _found(room, port=port or room.port, demo=demo_wanted, subdomains=host)

    with step("Host: packages, Docker engine"):
        packages.install(packages.missing(), say)
        client = engine.ensure(say, room.id, configure=configure_docker)
        doctor.raise_kernel_limits(say)
    for folder in folders:  # before the images: a course may bring its own
        courses.add(room, folder, update=True)  # what instructors changed here is kept
    with ThreadPoolExecutor(1) as pool:
        proxy = pool.submit(node.install_proxy, room)  # npm works while images are built
        with progress.many() as told:
            images.build(room, progress=told)
        with step("Proxy: configurable-http-proxy"):
            proxy_path = proxy.result()
    with step("Network and firewall"):
        gateway = ensure_hub_network(client, room)
        firewall.apply(room)
    if demo_wanted:
        demo.make_accounts(room)
    with step("Proxy, hub and service"):
        processes.start(room, processes.programs(room, gateway, proxy_path, node.node_bin()))
        hub = HubApi(room, gateway)
        hub.wait_until_ready(60)
    if demo_wanted and not demo.released(room):
        with step("First assignment of the demo course"):
            demo.release_first(room)
    console.print(f"\n[bold]Machineroom is up[/] [dim]({time.monotonic() - began:.0f} s)[/]: {room.url}")
    if demo_wanted:
        rows = [[a["role"], a["name"], a["password"]] for a in demo.accounts_file(room)]
        print_table("", ["role", "user", "password"], rows, "")
    elif not accounts.listing(room):
        console.print("There are no accounts yet: ./machineroom accounts add NAME --course COURSE")
    console.print("[dim]Stop it with ./machineroom down; see it with ./machineroom status[/]")


def _found(room: Room, **settings: object) -> None:
    """Make the state directory with secret, database and settings, or bring them to this version."""
    try:
        _ = room.secret
        migrations.upgrade(room)
        room.save_settings(**settings)
    except OSError as error:
        raise HostError(
            f"{room.state} cannot be the state directory ({error.strerror}): "
            "mend that, or name another with ./machineroom up --state DIR"
        ) from None


def down(
    state: State = None,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge", help="Remove everything too: machines, homes, courses, accounts, images' cache."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
) -> None:
    """Stop everything. Machines, work and grades are kept, and are there again after `up`."""
    room = Room(state) if purge else installed(state)  # of one that broke, traces may be left to purge
    if purge and not yes:
        confirm(f"Remove every machine, home, course and grade of {room.state}, for ever?")
    if purge and engine.client() is None and shutil.which("dockerd"):
        engine.start(say, room.id)  # or what it keeps of this room would be left, and nobody's
    with step("Hub, proxy and service"):
        processes.stop(room)
    if purge and room.clouds.exists():
        _purge_cloud(room)
    client = engine.client()
    if client is not None:
        cloud.stop(client, room)
        label = f"machineroom.room={room.id}"
        running = client.containers.list(filters={"label": label}, ignore_removed=True)
        if running:
            with step(f"Workspaces and machines ({len(running)})"), ThreadPoolExecutor(8) as pool:
                list(pool.map(_stop, running))
        if purge:
            with step("Removing machines, homes, networks and snapshots"):
                engine.purge(client, room.id)
                images.remove_images(room)
    if purge:
        firewall.remove(room)
        firewall.remove_cloud(room)
        shutil.rmtree(room.state, ignore_errors=True)
        if room.state.exists():
            raise HostError(
                f"{room.state} could not be removed wholly (fuser -v {room.state} says what holds it): "
                "mend that and call this again"
            )
    engine.stop(say, room.id)
    console.print("Machineroom is down." + (" Nothing of it is left." if purge else " All work is kept."))


def _purge_cloud(room: Room) -> None:
    """Remove the room's servers, and all that belongs to them; a cloud that is away must not keep a room."""
    from machineroom_spawners.drivers.openstack.driver import OpenStackDriver  # slow to load

    try:
        with step("Removing servers, snapshots and addresses from the cloud"):
            OpenStackDriver(room.id, room.secret, room.clouds).purge()
    except MachineError as error:
        console.print(
            f"[yellow]![/] {error} What is left in the cloud is called mr-{room.id}-…, if anything is.",
        )


def status(state: State = None, json: Json = False) -> None:
    """Show what runs: processes, engine, people and machines."""
    room = Room(state)
    programs = processes.states(room)
    client = engine.client(timeout=10)
    containers = (
        client.containers.list(filters={"label": f"machineroom.room={room.id}"}, ignore_removed=True)
        if client
        else []
    )
    machines = sum("machineroom.machine" in c.labels for c in containers)
    clouds = sum("machineroom.cloud" in c.labels for c in containers)
    report = {
        "url": room.url,
        "state": str(room.state),
        "engine": str(client.version()["Version"]) if client else None,
        "processes": programs,
        "workspaces_running": len(containers) - machines - clouds,
        "machines_running": machines,
    }
    if json:
        print_json(report)
    else:
        rows = [[name, programs.get(name, "not running").lower()] for name in processes.PROGRAMS]
        rows += [
            ["engine", f"Docker {report['engine']}" if client else "does not answer"],
            [
                "running",
                ", ".join(
                    [
                        count(len(containers) - machines - clouds, "workspace"),
                        count(machines, "machine"),
                        *(["a cloud"] if clouds else []),
                    ]
                ),
            ],
        ]
        print_table(f"Machineroom at {report['url']} ({room.state})", ["part", "state"], rows, "")
    if set(programs.values()) != {"RUNNING"} or client is None:
        if not json and room.settings:
            console.print(
                "Not everything runs: ./machineroom up starts it, ./machineroom doctor says what is wrong."
            )
        elif not json:
            console.print(f"There is no installation in {room.state}: ./machineroom up makes it.")
        raise typer.Exit(1)


def diagnose(state: State = None, json: Json = False) -> None:
    """Say what is wrong with the host, and the command that mends it."""
    findings = doctor.examine(Room(state))
    if json:
        print_json([finding.__dict__ for finding in findings])
    else:
        for finding in findings:
            mark = {"ok": "[green]✓[/]", "advice": "[yellow]![/]", "wrong": "[red]✗[/]"}[finding.state]
            console.print(f"{mark} {finding.what}")
            if finding.mend:
                console.print(f"    {finding.mend}", style="dim", soft_wrap=True, markup=False)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def logs(
    part: Annotated[str, typer.Argument(help="hub, proxy, service or supervisord.")] = "hub",
    state: State = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines to begin with.")] = 60,
) -> None:
    """Show the log of one part."""
    room = installed(state)
    path = room.logs / f"{part}.log"
    if not path.is_file():
        known = (
            ", ".join(sorted(p.stem for p in room.logs.glob("*.log")))
            or "none yet; start with ./machineroom up"
        )
        raise HostError(f"there is no log of '{part}'; there are: {known}")
    subprocess.run(
        ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), str(path)], check=False
    )


def _subdomain_host(room: Room, said: str) -> str:
    """What `--subdomains` asks for. Notebooks that run know the addresses that they were started with."""
    try:
        host = "" if said == "none" else addresses.subdomain_host(said)
    except ValueError as error:
        raise HostError(str(error)) from None
    client = engine.client()
    if host != room.subdomains and client is not None:
        running = client.containers.list(filters={"name": f"^/mr-{room.id}-w-"}, ignore_removed=True)
        if running:
            raise HostError(
                f"{len(running)} notebooks run at their present addresses: stop them with "
                f"./machineroom down, which keeps all work, then ./machineroom up --subdomains {said}"
            )
    return host


def _stop(container) -> None:  # type: ignore[no-untyped-def]
    if container.attrs["State"].get("Paused") or container.status == "paused":
        container.unpause()
    container.stop(timeout=8)
