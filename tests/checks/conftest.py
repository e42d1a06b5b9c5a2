"""A runner that all tests share; a machine that is this host's own shell, and a real one; a real kernel."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from local import serving
from machineroom_checks.runner import CheckRunner, ChecksError
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Machine
from machineroom_spawners.drivers.docker import DockerDriver
from workspaces import LAB, new_course, new_machine, put_etc

COURSE = "checks-course"
EXTENSIONS = Path(__file__).parents[2] / "extensions"


@dataclass(frozen=True)
class Result:
    rc: int
    stdout: bytes
    stderr: bytes
    seconds: float
    trust: str = "machine"


class Shell:
    """A session on this host, for tests of the runner that no machine can make a difference to."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.closed = False

    def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Result:
        self.commands.append(command)
        began = time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
            rc = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            rc = -1
        return Result(rc, out[:limit], err[:limit], time.monotonic() - began)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def runner() -> Iterator[CheckRunner]:
    """The runner, with a time limit for checks that tests can wait for."""
    runner = CheckRunner(check_seconds=2)
    yield runner
    runner.close()


@pytest.fixture
def checks(tmp_path: Path, runner: CheckRunner) -> Callable[..., list[dict[str, Any]]]:
    """Runs a check file's text against `Shell`s called web and db; the reports' checks, in order."""

    def run(text: str, **options: Any) -> list[dict[str, Any]]:
        (tmp_path / "test_it.py").write_text(dedent(text))
        machines = {"web": Shell, "db": Shell}
        addresses = {"web": "127.0.0.1", "db": "127.0.0.1"}
        reports = runner.run(tmp_path, None, machines, "web", addresses=addresses, **options)
        return [check for report in reports for check in report["checks"]]

    return run


@dataclass
class Lab:
    """The student ada's machine `web`, and the /etc/machineroom of her workspace."""

    driver: DockerDriver
    machine: Machine
    etc: Path
    home: Path

    def on_machine(self, command: str) -> str:
        session = self.driver.open_session(self.machine.ref)
        try:
            return session.run(command).stdout.decode()
        finally:
            session.close()


@pytest.fixture(scope="module")
def lab(room: Room) -> Lab:
    """A real machine, and what the spawner would put into the workspace that belongs to it."""
    course = new_course(room, COURSE, "machines:\n  web: {image: lab-slim}\n")
    driver, _, machine = new_machine(room, course, "ada")
    etc = put_etc(room, course, "ada", "http://127.0.0.1:1")
    full = f"web.{LAB}.{COURSE}"  # the test stands on no student's network, where this would be a name
    for name, before in {"config": f"HostName {full}", "known_hosts": full}.items():
        file = etc / "ssh" / name
        file.write_text(file.read_text().replace(before, before.replace(full, machine.address)))
    home = room.state / "home"
    (home / COURSE / "one").mkdir(parents=True)
    return Lab(driver, machine, etc, home)


@dataclass
class Ran:
    """What came of a cell: its streams, what it displayed (by display id), its error."""

    stdout: str = ""
    stderr: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    value: str = ""


class Kernel:
    """A real kernel in the student's workspace."""

    def __init__(self, lab: Lab, **env: str) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("MACHINEROOM", "NBGRADER"))},
            "HOME": str(lab.home),
            "MACHINEROOM_ETC": str(lab.etc),
            "PYTHONPATH": str(EXTENSIONS),
            "IPYTHONDIR": str(lab.home / ".ipython"),
            "JUPYTERHUB_API_TOKEN": "ada",
            **env,
        }
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", env=environment, cwd=str(lab.home / COURSE / "one")
        )
        self.run("from machineroom_checks import check, on")

    def run(self, code: str, until: str = "", then: Callable[[], None] | None = None) -> Ran:
        """Run a cell; when `until` has been printed, call `then` once."""
        ran = Ran()
        message = self.client.execute(code)
        while True:
            told = self.client.get_iopub_msg(timeout=30)
            if told["parent_header"].get("msg_id") != message:
                continue
            content = told["content"]
            if told["msg_type"] == "stream":
                setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
            elif told["msg_type"] in ("display_data", "update_display_data"):
                ran.shown.append(content)
            elif told["msg_type"] == "execute_result":
                ran.value = content["data"]["text/plain"]
            elif told["msg_type"] == "error":
                ran.error = "\n".join(content["traceback"])
            elif told["msg_type"] == "status" and content["execution_state"] == "idle":
                return ran
            if then and until in ran.stdout + ran.stderr:
                then()
                then = None

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(lab: Lab, service: str) -> Iterator[Kernel]:
    """A kernel in which `check` and `on` are imported."""
    kernel = Kernel(lab, MACHINEROOM_SERVICE_URL=service)
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def service(runner: CheckRunner, lab: Lab) -> Iterator[str]:
    """The two calls of the service that a notebook makes, over the real runner and machine.

    The checks are those that `lab.home/test_*.py` hold; the token is the user's name.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["Authorization"] != "token ada":
                return self.answer(401, {"detail": "Who are you?"})
            if self.path == f"/api/machines/ada/{COURSE}/{LAB}/web/resume":
                lab.driver.resume(lab.machine.ref)
                return self.answer(200, {"done": {}})
            assert self.path == f"/api/courses/{COURSE}/checks"
            assert asked["assignment"] == "one"
            machines = {"web": lambda: lab.driver.open_session(lab.machine.ref)}
            addresses = {"web": lab.machine.address}
            try:
                (report,) = runner.run(lab.home, [asked["task"]], machines, "web", addresses=addresses)
            except ChecksError as error:
                return self.answer(404, {"detail": str(error)})
            return self.answer(200, {**report, "time": "2026-11-21T09:41:00+00:00"})

        def answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    with serving(Handler) as url:
        yield url
