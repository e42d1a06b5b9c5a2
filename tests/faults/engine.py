"""The engine itself is killed in the middle. Run by test_engine.py, in a network of its own: a second
engine in the first one's would take its bridges and rules for its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from archives import GOOD
from classroom import Classroom
from faults.people import until
from machineroom_hub.room import Room
from machineroom_spawners import names
from machineroom_spawners.drivers.base import MachineError, State
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef

COURSES = Path(__file__).parents[1] / "service" / "courses"
GROUPS = {"nbgrader-demo": ["ada"], "formgrade-demo": ["tom"]}
BOX = MachineRef("ada", "demo", "pair", "box")
ACT = "machines/ada/demo/pair/box"
SLOW = """
@pytest.mark.task("notes")
def test_slow(machine):
    machine.run("touch /root/checking; sleep 5")
"""


class Engine:
    """A Docker engine of our own, with nothing but an image of a small machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._settings = folder / "daemon.json"  # instead of the host's
        self._settings.write_text("{}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> docker.DockerClient:
        """Start it, and wait until it answers."""
        self._begin()
        return until(self._answers, "the engine starts")

    def _begin(self) -> None:
        flags = ["--host", self.address, "--data-root", f"{self._folder}/data"]
        flags += ["--exec-root", f"{self._folder}/exec", "--pidfile", f"{self._folder}/pid"]
        flags += ["--config-file", str(self._settings)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["dockerd", *flags], stdout=log, stderr=log)

    def _answers(self) -> docker.DockerClient | None:
        if self._process and self._process.poll() is not None:
            self._begin()  # it gives its containerd fifteen seconds, which may be little on a busy host
        try:
            client = docker.DockerClient(base_url=self.address, timeout=60)
            client.ping()
        except (docker.errors.DockerException, OSError):
            return None
        return client

    def clear(self) -> None:
        """Remove every container, and end."""
        client = until(self._answers, "the engine answers")
        for container in client.containers.list(all=True):
            container.remove(force=True)
        self.kill(signal.SIGTERM)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if line.split()[1].startswith(str(self._folder)):  # each that was killed has left its own
                subprocess.run(["umount", "--lazy", line.split()[1]], check=True)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End it with a signal, and wait for its end."""
        assert self._process
        self._process.send_signal(how)
        self._process.wait(60)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="machineroom-engine-") as folder:
        made = Engine(Path(folder))
        try:
            client = made.start()
            with Path(os.environ["MACHINEROOM_SAVED_IMAGE"]).open("rb") as file:
                client.images.load(file)
            yield made
        finally:
            made.clear()


@pytest.fixture(scope="module")
def school(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """Hub and service of a class on that engine."""
    room = Room(tmp_path_factory.mktemp("room"))
    shutil.copytree(COURSES, room.courses)
    with (room.courses / "demo/checks/first/test_notes.py").open("a") as file:
        file.write(SLOW)
    os.environ["DOCKER_HOST"] = engine.address
    client = docker.from_env()
    [image] = client.images.list()
    for name in ("lab", "lab-slim"):
        image.tag(*names.image(room.id, name).split(":"))
    made = Classroom(room, GROUPS)
    try:
        made.start_hub()
        made.start_service()
        made.release("first")
        yield made
    finally:
        made.close()


class Killed:
    """Something that is done while the engine is killed: what came of it."""

    def __init__(self, engine: Engine, do: Callable[[], Any], under_way: Callable[[], Any]) -> None:
        self.answer: Any = None

        def work() -> None:
            self.answer = do()

        thread = threading.Thread(target=work)
        thread.start()
        until(under_way, "it begins")
        assert thread.is_alive(), self.answer
        engine.kill()
        thread.join(200)
        assert not thread.is_alive(), "whoever asked is left waiting"
        engine.start()


def act(school: Classroom, action: str) -> str:
    """What was said last."""
    return school["ada"].post(f"{ACT}/{action}", timeout=200).text.splitlines()[-1]


def containers(school: Classroom) -> dict[str, Any]:
    """What there is of ada's box, by name."""
    label = [f"machineroom.room={school.room.id}", "machineroom.machine=box", "machineroom.owner=ada"]
    found = docker.from_env().containers.list(all=True, filters={"label": label}, ignore_removed=True)
    return {container.name: container for container in found}


def one_machine(school: Classroom) -> Any:
    """Ada's box, running, and nothing else of it."""
    until(lambda: '"done"' in act(school, "ensure"), "the machine is there again")
    [container] = containers(school).values()
    assert not container.name.endswith("-making")
    assert DockerDriver(room_id=school.room.id).poll(BOX).state is State.RUNNING  # type: ignore[union-attr]
    return container


def making(school: Classroom) -> bool:
    return any(n.endswith("-making") and c.status == "running" for n, c in containers(school).items())


def test_making_a_machine(engine: Engine, school: Classroom) -> None:
    killed = Killed(engine, lambda: act(school, "ensure"), lambda: making(school))
    assert "Docker engine" in killed.answer or "could not be made" in killed.answer
    driver = DockerDriver(room_id=school.room.id)
    until(
        lambda: not any(n.endswith("-making") for n in containers(school)), "the half made one is cleared up"
    )
    assert driver.poll(BOX) is None
    one_machine(school)


def test_resetting_a_machine(engine: Engine, school: Classroom) -> None:
    one_machine(school).exec_run(["sh", "-c", "echo mine > /root/mine"])
    killed = Killed(engine, lambda: act(school, "reset"), lambda: making(school))
    assert '"error"' in killed.answer
    kept = one_machine(school).exec_run(["cat", "/root/mine"])
    assert kept.output == b"mine\n", "a reset that was cut short has taken the old machine"
    assert '"done"' in act(school, "reset")
    assert one_machine(school).exec_run(["cat", "/root/mine"]).exit_code != 0


def checking(school: Classroom) -> bool:
    [box] = containers(school).values()
    return bool(box.exec_run(["test", "-e", "/root/checking"]).exit_code == 0)


def test_checking(engine: Engine, school: Classroom) -> None:
    one_machine(school)
    ask = {"assignment": "first"}
    killed = Killed(
        engine, lambda: school["ada"].post("courses/demo/checks", json=ask), lambda: checking(school)
    )
    assert killed.answer.status_code in (200, 503), killed.answer.text
    if killed.answer.status_code == 200:
        assert "error" in killed.answer.text
    one_machine(school).exec_run(["rm", "-f", "/root/checking"])
    reports = school["ada"].post("courses/demo/checks", json=ask).json()
    assert [c["outcome"] for report in reports for c in report["checks"] if c["name"] == "test_slow"] == [
        "passed"
    ]


def test_submitting(engine: Engine, school: Classroom) -> None:
    one_machine(school)
    place, key = "courses/demo/assignments/first/submissions", {"Idempotency-Key": "a click"}

    def submit() -> Any:
        return school["ada"].post(place, content=GOOD, headers=key, timeout=200)

    killed = Killed(engine, submit, lambda: checking(school))
    assert killed.answer.status_code in (201, 409, 503), killed.answer.text
    one_machine(school)
    assert until(lambda: (answer := submit()).status_code == 201 and answer, "it is taken").json()["id"]
    [receipt] = school["ada"].get(place).json()
    assert school["ada"].get(f"submissions/{receipt['id']}").content == GOOD


def test_an_engine_that_is_away_is_said(engine: Engine, school: Classroom) -> None:
    engine.kill(signal.SIGTERM)
    try:
        with pytest.raises(MachineError, match="Docker engine"):
            DockerDriver(room_id=school.room.id).poll(BOX)
        assert "Docker engine" in act(school, "ensure")
    finally:
        engine.start()
    one_machine(school)
