"""image: build and list the images of workspaces and machines."""

from typing import Annotated

import typer

from .. import images
from ..host import engine, packages
from ..images import Image
from ..room import Room
from . import progress
from .common import Json, State, console, print_json, print_table, say

app = typer.Typer(help="Build and list the images of workspaces and machines.", no_args_is_help=True)


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which images; all that `up` builds when left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build every layer anew.")] = False,
    state: State = None,
) -> None:
    """Build images that are missing or whose manifest, files or packages have changed."""
    packages.install(packages.missing(), say)
    room = Room(state)
    engine.ensure(say, room.id)
    with progress.many() as told:
        images.build(room, names or (), progress=told, force=force)
    console.print(
        "Machines that exist keep the image that they were made from; a reset gives them the new one."
    )


@app.command("list")
def show(state: State = None, json: Json = False) -> None:
    """List images with size, build time and age."""
    found = images.list_images(Room(state))
    if json:
        print_json([{**image.__dict__, "age": image.age} for image in found])
        return
    rows = [_row(image) for image in found]
    columns = ["image", "what it is", "size", "own", "built in", "age", "state"]
    print_table("", columns, rows, "There are no manifests.")


def _row(image: Image) -> list[str]:
    if image.age is None:
        return [
            image.name,
            image.description,
            "–",
            "–",
            "–",
            "–",
            f"not built: ./machineroom image build {image.name}",
        ]
    state = "up to date" if image.up_to_date else "out of date: ./machineroom image build"
    size, own = f"{image.size / 1e6:.0f} MB", f"{image.own_size / 1e6:.0f} MB"
    return [image.name, image.description, size, own, f"{image.seconds:.0f} s", _age(image.age), state]


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
