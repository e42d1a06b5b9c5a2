"""What the spawner would put into a workspace, for tests whose workspace is a folder of this host."""

import json
from pathlib import Path

from machineroom_hub.room import Room
from machineroom_spawners import workspace
from machineroom_spawners.course import read_course
from machineroom_spawners.drivers.base import Machine
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.keys import student_key
from machineroom_spawners.spec import MachineSpec, machine_spec

LAB = "shop"


def new_course(room: Room, name: str, machines: str) -> Path:
    """A course in the room with one assignment, `one`, on one lab, `shop`, of these machines (YAML)."""
    folder = room.courses / name
    (folder / "labs" / LAB).mkdir(parents=True)
    (folder / "course.yml").write_text(f"title: {name}\nassignments:\n  - {{name: one, lab: {LAB}}}\n")
    (folder / "labs" / LAB / "lab.yml").write_text(machines)
    return folder


def new_machine(room: Room, course: Path, owner: str) -> tuple[DockerDriver, MachineSpec, Machine]:
    """The real machine `web` of somebody in the course, running."""
    driver = DockerDriver(room_id=room.id)
    spec = machine_spec(read_course(course), LAB, "web", owner, room.secret)
    return driver, spec, driver.ensure(spec)


def put_etc(room: Room, course: Path, owner: str, service_url: str) -> Path:
    """The room's folder `etc`: the /etc/machineroom of a student's workspace, as the spawner makes it."""
    etc = room.state / "etc"
    seats = [workspace.Seat(read_course(course), "student")]
    (etc / "ssh").mkdir(parents=True)
    for name, text in {
        "workspace.json": json.dumps(workspace.description(owner, service_url, seats)),
        "ssh/config": workspace.ssh_config(seats).replace(workspace.SSH, str(etc / "ssh")),
        "ssh/known_hosts": workspace.known_hosts(owner, seats, room.secret),
        "ssh/id_ed25519": student_key(room.secret, owner).private,
    }.items():
        (etc / name).write_text(text)
        (etc / name).chmod(0o600)
    return etc
