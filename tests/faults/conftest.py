"""A whole installation with a class at work, whose parts are killed."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xmlrpc.client import ServerProxy

import docker
import pytest
from docker.models.containers import Container
from faults.people import Person, until
from installation import Installation, new_installation
from machineroom_hub import accounts, courses
from machineroom_hub.hub_api import HubApi
from machineroom_hub.room import SOURCE
from machineroom_spawners import names
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef
from supervisor.xmlrpc import SupervisorTransport

STARTER = SOURCE / "course_material" / "starter"
COURSE, ASSIGNMENT, LAB, MACHINE = "faults", "hello", "box", "box"
PROGRAMS = ("hub", "proxy", "service")
PEOPLE = {"ana": "student", "bo": "student", "gil": "instructor"}

SLOW = '''

@pytest.mark.task("greeting")
@pytest.mark.points(0)
def test_slow(machine):
    """It takes its time where it is asked to"""
    machine.run("if test -e /root/slow; then touch /root/checking; sleep 4; rm -f /root/checking; fi")
'''


@dataclass
class World:
    """The installation, its people, and how to kill its parts."""

    installation: Installation
    engine: docker.DockerClient
    hub: HubApi
    driver: DockerDriver
    people: dict[str, Person]

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def ref(self, name: str) -> MachineRef:
        return MachineRef(name, COURSE, LAB, MACHINE)

    def machine(self, name: str) -> Container:
        """The container that is somebody's machine."""
        return self.engine.containers.get(
            names.machine(self.installation.room.id, name, COURSE, LAB, MACHINE)
        )

    def workspace(self, name: str) -> Container:
        """The container that is somebody's workspace."""
        return self.engine.containers.get(f"mr-{self.installation.room.id}-w-{names.slug(name)}")

    def containers(self, name: str) -> list[str]:
        """The names of all containers of somebody, running or not."""
        label = [f"machineroom.room={self.installation.room.id}", f"machineroom.owner={name}"]
        found = self.engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return sorted(container.name for container in found)

    def run(self, container: Container, command: str, **how: Any) -> str:
        """What a shell command in a container printed."""
        return str(container.exec_run(["sh", "-c", command], **how).output.decode(errors="replace"))

    def kill(self, part: str, name: str = "") -> None:
        """Kill a program of ours, or somebody's `workspace` or `machine`."""
        if part == "machine":
            self.machine(name).kill()
        elif part == "workspace":
            self.workspace(name).kill()
        else:
            self._supervisor.signalProcess(part, "KILL")

    @property
    def _supervisor(self) -> Any:
        way = SupervisorTransport(None, None, f"unix://{self.installation.room.run / 'supervisor.sock'}")
        return ServerProxy("http://127.0.0.1", transport=way).supervisor

    def pids(self) -> dict[str, int]:
        """The processes that are our programs now."""
        infos = self._supervisor.getAllProcessInfo()
        return {info["name"]: info["pid"] for info in infos if info["pid"]}

    def whole(self) -> bool:
        """Whether every part of ours answers, through the proxy, as a browser asks."""
        http = self.hub.http
        paths = ("/hub/api/", "/services/machineroom/api/openapi.json")
        return all(http.get(self.installation.url + path).status_code == 200 for path in paths)

    def at_work(self, name: str) -> Person:
        """Somebody whose notebook server and machine run."""
        person = self[name]
        until(person.has_server, f"{name}'s notebook server")
        if PEOPLE.get(name, "student") == "student":
            done = until(lambda: person.act("ensure", f"{LAB}/{MACHINE}").get("done"), f"{name}'s machine")
            assert done["state"] == "running"
        return person

    def person(self, name: str) -> Person:
        """Somebody with an account."""
        made = Person(self.installation.url, name, f"the password of {name}", COURSE, ASSIGNMENT)
        made.use(self.hub.token(name, "faults", 7200))
        self.people[name] = made
        return made

    def all_is_well(self, name: str) -> None:
        """Who works has one notebook server and one machine, gets in, and finds all that was handed in."""
        person = self.at_work(name)
        person.log_in()
        person.http.cookies.clear()
        expected = sorted([self.machine(name).name, self.workspace(name).name])
        until(lambda: self.containers(name) == expected, f"{name} has {expected} and nothing else")
        [machine] = person.call("GET", f"machines?owner={name}").json()
        assert (machine["state"], machine["course"]) == ("running", COURSE)
        ids = person.submitted()
        assert len(ids) == len(set(ids))
        assert {receipt["id"] for receipt in person.receipts.values()} <= set(ids)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What soak.py is told."""
    group = parser.getgroup("soak", "tests/faults/soak.py")
    group.addoption("--students", type=int, default=8)
    group.addoption("--minutes", type=float, default=5.0)
    group.addoption("--seed", type=int, default=0, help="that of an earlier run")


@pytest.fixture(scope="session")
def world(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation of its own: its parts die."""
    folder = tmp_path_factory.mktemp("courses") / COURSE
    shutil.copytree(STARTER, folder)
    with (folder / "checks/hello/test_greeting.py").open("a") as file:
        file.write(SLOW)
    with new_installation("--course", str(folder)) as installation:
        room = installation.room
        for name, role in PEOPLE.items():
            accounts.add(room, name, password=f"the password of {name}")
            accounts.enrol(room, name, COURSE, role)
        courses.release(room, COURSE, ASSIGNMENT, unproven=True)
        world = World(installation, engine, HubApi(room), DockerDriver(room_id=room.id, client=engine), {})
        for name in PEOPLE:
            world.person(name)
        yield world
