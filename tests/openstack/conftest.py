"""Machines to make on the real cloud."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Driver
from machineroom_spawners.keys import host_key, student_key
from machineroom_spawners.spec import MachineRef, MachineSpec

SpecFactory = Callable[..., MachineSpec]


def login(cloud: Path) -> dict[str, Any]:
    """What an operator gives a room: the member's login, and from where servers are reached."""
    member = yaml.safe_load(cloud.read_text())["clouds"]["machineroom"]
    api = urlsplit(member["auth"]["auth_url"]).hostname
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.connect((api, 9))
        settings = {"network": "machineroom", "reached_from": f"{here.getsockname()[0]}/32"}
    return {"clouds": {"machineroom": member}, "machineroom": settings}


@pytest.fixture(scope="module")
def clouds(cloud: Path, room: Room) -> Path:
    """A room's clouds.yaml."""
    room.clouds.parent.mkdir(mode=0o700, exist_ok=True)
    room.clouds.write_text(yaml.safe_dump(login(cloud)))
    room.clouds.chmod(0o600)
    return room.clouds


@pytest.fixture(scope="module")
def cloud_driver(room: Room, clouds: Path) -> Iterator[Driver]:
    """An OpenStack driver whose objects are swept away after the tests."""
    pytest.importorskip("keystoneauth1", reason="the environment has no openstacksdk")
    from machineroom_spawners.drivers.openstack.driver import OpenStackDriver

    driver = OpenStackDriver(room.id, room.secret, clouds)
    yield driver
    driver.purge()


@pytest.fixture(scope="module")
def spec(room: Room) -> SpecFactory:
    """Descriptions of servers: `spec("box", owner="ada", flavor="small")`."""

    def make(machine: str = "box", owner: str = "ada", **changed: Any) -> MachineSpec:
        given: dict[str, Any] = {
            "ref": MachineRef(owner, "linux", "first", machine),
            "image": "tiny",
            "flavor": "tiny",
            "driver": "openstack",
            "memory": 128 << 20,
            "cpus": 1.0,
            "pids": 128,
            "networks": ("",),
            "authorized_key": student_key(room.secret, owner).public,
            "host_key": host_key(room.secret, owner, "linux", "first", machine).private,
        }
        return MachineSpec(**{**given, **changed})

    return make
