"""Machines to test: a driver for a room of one's own, and descriptions of machines."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from machineroom_hub.host.engine import TOOLS
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Machine
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.keys import host_key, student_key
from machineroom_spawners.spec import MachineRef, MachineSpec

SpecFactory = Callable[..., MachineSpec]


@pytest.fixture(scope="module")
def tools(room: Room) -> Path:
    """A tools folder as the host package makes it."""
    folder = room.state / "tools"
    folder.mkdir()
    shutil.copy("/usr/bin/busybox", folder)
    (folder / "busybox").chmod(0o711)
    shutil.copytree(TOOLS / "kit", folder / "kit", symlinks=True)
    return folder


@pytest.fixture(scope="module")
def docker_driver(room: Room, engine: docker.DockerClient, tools: Path) -> DockerDriver:
    """A Docker driver whose objects are swept away after the tests."""
    return DockerDriver(room_id=room.id, tools=str(tools), client=engine)


@pytest.fixture(scope="module")
def spec(room: Room) -> SpecFactory:
    """Descriptions of machines: `spec("box", owner="ada", image="lab", pids=64)`."""

    def make(machine: str = "box", owner: str = "ada", **changed: Any) -> MachineSpec:
        given: dict[str, Any] = {
            "ref": MachineRef(owner, "linux", "first", machine),
            "image": "lab-slim",
            "driver": "docker",
            "memory": 128 << 20,
            "cpus": 1.0,
            "pids": 128,
            "networks": ("",),
            "authorized_key": student_key(room.secret, owner).public,
            "host_key": host_key(room.secret, owner, "linux", "first", machine).private,
        }
        return MachineSpec(**{**given, **changed})

    return make


@pytest.fixture(scope="module")
def box(docker_driver: DockerDriver, spec: SpecFactory) -> Iterator[Machine]:
    """A running slim machine that tests share and leave as it was."""
    machine = docker_driver.ensure(spec("shared"))
    yield machine
    docker_driver.delete(machine.ref)
