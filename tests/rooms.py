"""Installations for tests, each in a folder of its own, gone without a trace afterwards."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
from machineroom_hub.images import remove_images
from machineroom_hub.room import Room


@contextlib.contextmanager
def new_room(engine: docker.DockerClient) -> Iterator[Room]:
    """A room; everything that it leaves in the engine is removed at the end."""
    state = Path(tempfile.mkdtemp(prefix="machineroom-test-"))
    state.chmod(0o711)
    room = Room(state)
    try:
        yield room
    finally:
        sweep(engine, room)
        shutil.rmtree(state)


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
