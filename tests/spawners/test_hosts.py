"""A workspace knows machines by name that no network tells it of."""

from collections.abc import Iterator
from datetime import UTC, datetime

import docker
import pytest
from machineroom_hub.room import Room
from machineroom_spawners.drivers import hosts
from machineroom_spawners.drivers.base import Machine, State
from machineroom_spawners.names import image
from machineroom_spawners.spec import MachineRef


def server(name: str, address: str) -> Machine:
    ref = MachineRef("ada", "linux", "first", name)
    return Machine(ref, State.RUNNING, "debian", "openstack", "id", datetime.now(UTC), address)


@pytest.fixture
def workspace(room: Room, engine: docker.DockerClient) -> Iterator[docker.models.containers.Container]:
    labels = {"machineroom.room": room.id, "machineroom.owner": "ada"}
    made = engine.containers.run(
        image(room.id, "lab-slim"),
        ["sleep", "600"],
        entrypoint="",
        detach=True,
        labels=labels,
        cap_drop=["ALL"],
        user="nobody",
        security_opt=["no-new-privileges"],
    )
    yield made
    made.remove(force=True)


def test_names_lead_to_the_last_address(
    workspace: docker.models.containers.Container, room: Room, engine: docker.DockerClient
) -> None:
    before = workspace.exec_run(["cat", "/etc/hosts"]).output.decode()
    hosts.introduce(room.id, "ada", [server("cloud", "203.0.113.7"), server("db", "203.0.113.8")], engine)
    hosts.introduce(room.id, "ada", [server("cloud", "203.0.113.9"), server("gone", "")], engine)
    hosts.introduce(room.id, "eve", [server("cloud", "203.0.113.66")], engine)
    after = workspace.exec_run(["cat", "/etc/hosts"]).output.decode()
    assert after.startswith(before), "the engine's own lines stay"
    found = {
        name: workspace.exec_run(["getent", "hosts", name]).output.decode().split()[:1]
        for name in ("cloud", "cloud.first", "cloud.first.linux", "db.first.linux", "gone")
    }
    assert found == {
        "cloud": ["203.0.113.9"],
        "cloud.first": ["203.0.113.9"],
        "cloud.first.linux": ["203.0.113.9"],
        "db.first.linux": ["203.0.113.8"],
        "gone": [],
    }


def test_a_student_cannot_change_where_names_lead(workspace: docker.models.containers.Container) -> None:
    assert workspace.exec_run(["sh", "-c", "echo >>/etc/hosts"]).exit_code != 0


def test_who_has_no_workspace_is_no_error(room: Room, engine: docker.DockerClient) -> None:
    hosts.introduce(room.id, "nobody", [server("cloud", "203.0.113.7")], engine)
