"""Installations for tests, each in a folder of its own, gone without a trace afterwards."""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
from machineroom_hub.images import build, remove_images
from machineroom_hub.room import Room
from machineroom_spawners import names


@contextlib.contextmanager
def new_room(engine: docker.DockerClient) -> Iterator[Room]:
    """A room; everything that it leaves in the engine is removed at the end."""
    state = Path(tempfile.mkdtemp(prefix="machineroom-test-"))
    state.chmod(0o711)
    room = Room(state)
    try:
        for name, built in _images(engine).items():
            engine.api.tag(built, names.image(room.id, name))
        yield room
    finally:
        sweep(engine, room)
        shutil.rmtree(state)


@functools.cache
def _images(engine: docker.DockerClient) -> dict[str, str]:
    """The ids of this version's own images, built if need be; a room has them by its own names."""
    room = Room()
    return {image.name: engine.images.get(names.image(room.id, image.name)).id for image in build(room)}


def sweep(engine: docker.DockerClient, room: Room) -> None:
    """Remove every container, network, volume and image of `room` from the engine."""
    ours = {"label": f"machineroom.room={room.id}"}
    for container in engine.containers.list(all=True, filters=ours, ignore_removed=True):
        container.remove(force=True, v=True)
    for network in engine.networks.list(filters=ours):
        network.remove()
    for volume in engine.volumes.list(filters=ours):
        volume.remove(force=True)
    remove_images(room)
