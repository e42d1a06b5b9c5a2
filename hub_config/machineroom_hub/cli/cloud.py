"""cloud: an OpenStack of one's own to test against."""

import shutil
from typing import Annotated

import typer

from .. import cloud, images
from ..host import HostError, engine, packages
from ..room import Room
from . import progress
from .common import Json, State, confirm, console, print_json, print_table, say, step

app = typer.Typer(
    help="A real OpenStack in a container, to test and to learn with: docs/openstack.md.",
    no_args_is_help=True,
)


@app.command()
def up(state: State = None) -> None:
    """Build the cloud's image where it is missing, start the cloud, and wait until it answers.

    Call it again whenever you like: it does only what is not done yet.
    """
    room = Room(state)
    with step("Host: packages, Docker engine"):
        packages.install(packages.missing(), say)
        client = engine.ensure(say, room.id)
    _ = room.secret
    with progress.many() as told:
        images.build(room, [cloud.IMAGE], progress=told)
    with progress.one("cloud") as tell:
        logins = cloud.up(client, room, tell)
    if cloud.is_outdated(client, room):
        console.print("It was made of an older image: cloud down --purge, then cloud up, make it anew.")
    console.print("[bold]The cloud is up.[/] An ordinary user of it:")
    console.print(f"    export OS_CLIENT_CONFIG_FILE={logins} OS_CLOUD=machineroom", markup=False)
    console.print(
        "[dim]Its administrator is OS_CLOUD=admin. See it with ./machineroom cloud status, "
        "stop it with ./machineroom cloud down[/]"
    )


@app.command()
def down(
    state: State = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove it with all servers, images and data in it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
) -> None:
    """Stop the cloud. Its servers and data are kept, and are there again after `cloud up`."""
    room = Room(state)
    if purge and not yes:
        confirm(f"Remove the cloud of {room.state} with every server in it, for ever?")
    if purge and engine.client() is None and shutil.which("dockerd"):
        engine.start(say, room.id)  # or what it keeps of the cloud would be left
    client = engine.client()
    if client is None:
        raise HostError(
            "the Docker engine does not answer, so no cloud runs; systemctl start docker starts it"
        )
    with step("Stopping the cloud"):
        stopped = cloud.stop(client, room)
    if purge:
        with step("Removing its container, network and firewall rules"):
            cloud.purge(client, room)
        console.print("Nothing of the cloud is left but its image, which the next cloud up starts from.")
    else:
        console.print("The cloud is down; all in it is kept." if stopped else "No cloud runs.")


@app.command()
def status(state: State = None, json: Json = False) -> None:
    """Say of each of the cloud's services whether it answers."""
    room = Room(state)
    client = engine.client(timeout=60)
    found = cloud.health(client, room) if client else None
    if json:
        print_json({"services": found or [], "logins": str(cloud.clouds_file(room)) if found else None})
    else:
        rows = [[each["service"], each["state"], each["detail"]] for each in found or []]
        print_table(
            "", ["service", "state", ""], rows, "There is no cloud: ./machineroom cloud up makes one."
        )
    if not found or any(each["state"] != "ok" for each in found):
        raise typer.Exit(1)
