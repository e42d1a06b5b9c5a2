"""Fixtures shared by all tests: a real engine, built images, and a room of one's own that is cleaned up."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from machineroom_hub.room import Room


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """The Docker engine. Without one nothing here means anything, so its absence is an error."""
    client = docker.from_env(timeout=120)
    client.ping()
    return client


@pytest.fixture(scope="module")
def room(engine: docker.DockerClient) -> Iterator[Room]:
    """An installation in a folder of its own; everything that it leaves in the engine is removed."""
    state = Path(tempfile.mkdtemp(prefix="machineroom-test-"))
    state.chmod(0o711)
    room = Room(state)
    yield room
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
    for image in engine.images.list(filters=ours):
        engine.images.remove(image.id, force=True)
