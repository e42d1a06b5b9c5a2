"""A workspace without its container: a Jupyter server with our extension, a machine, the service.

All of them are real. Only the hub is none: who somebody is, is all that the service asks it here.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import websockets
from local import free_port, serving, until
from machineroom_hub.room import Room
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineSpec
from workspaces import new_course, new_machine, put_etc

REPOSITORY = Path(__file__).parents[2]
BASE = "/user/ada"
COURSE = "terminal-course"
LAB_TOKEN = "token-of-adas-workspace"
OTHER_TOKEN, TA_TOKEN = "token-of-eve", "token-of-tom"
PEOPLE = {
    LAB_TOKEN: ("ada", [f"custom:machineroom:learn:{COURSE}"]),
    OTHER_TOKEN: ("eve", [f"custom:machineroom:learn:{COURSE}"]),
    TA_TOKEN: ("tom", [f"custom:machineroom:{power}:{COURSE}" for power in ("learn", "assist")]),
}
OTHERS = [
    *("jupyterlab", "jupyter_lsp", "notebook", "notebook_shim"),
    *(
        f"nbgrader.server_extensions.{p}"
        for p in ("assignment_list", "course_list", "formgrader", "validate_assignment")
    ),
]
"""Server extensions that are not ours, and would take their time."""

PYTHONPATH = os.pathsep.join(
    [
        *filter(None, [os.environ.get("PYTHONPATH")]),
        *(str(REPOSITORY / p) for p in ("hub_config", "spawners", "extensions")),
    ]
)


@dataclass
class Workspace:
    """What a test talks to. `hosts` stands for the DNS of the student's network."""

    url: str
    token: str
    etc: Path
    hosts: Path
    service_url: str
    driver: DockerDriver
    spec: MachineSpec
    engine: docker.DockerClient

    @property
    def client(self) -> httpx.Client:
        headers = {"Authorization": f"token {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def cookies(self) -> dict[str, str]:
        """What the browser of somebody who has logged in holds."""
        with httpx.Client(trust_env=False) as browser:
            browser.get(f"{self.url}/tree?token={self.token}")
            return dict(browser.cookies)

    def address(self) -> str:
        """Where the machine is now; its names lead there."""
        machine = self.driver.poll(self.spec.ref)
        assert machine
        self.hosts.write_text(
            f"127.0.0.1 localhost\n{machine.address} web web.shop web.shop.{COURSE}\n"
            f"169.254.169.254 meta meta.shop meta.shop.{COURSE}\n"
        )
        return machine.address

    def on_machine(self, command: str) -> str:
        """Run a command as root on the machine."""
        with self.driver.open_session(self.spec.ref) as session:  # type: ignore[attr-defined]
            return session.run(command).stdout.decode()

    def pid(self) -> int:
        """The machine's first process, as this host numbers it."""
        machine = self.driver.poll(self.spec.ref)
        assert machine
        return self.engine.api.inspect_container(machine.id)["State"]["Pid"]

    def new(self, **wanted: Any) -> str:
        """Make a terminal; returns its name."""
        with self.client as client:
            answer = client.post("/api/terminals", json=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()["name"]

    def terminals(self) -> list[str]:
        """The names of those that are open."""
        with self.client as client:
            return [one["name"] for one in client.get("/api/terminals").json()]

    @asynccontextmanager
    async def open(self, name: str) -> "AsyncIterator[Terminal]":
        """Connect to a terminal as JupyterLab does."""
        url = f"{self.url.replace('http', 'ws')}/terminals/websocket/{name}"
        headers = {"Authorization": f"token {self.token}"}
        async with websockets.connect(url, additional_headers=headers, max_size=None, proxy=None) as socket:
            yield Terminal(socket)
            socket.transport.abort()  # a browser does not wait for the closing handshake either


class Terminal:
    """One browser's view of a terminal."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.shown = ""

    async def type(self, text: str) -> None:
        await self._socket.send(json.dumps(["stdin", text]))

    async def resize(self, rows: int, columns: int) -> None:
        await self._socket.send(json.dumps(["set_size", rows, columns, 0, 0]))

    async def read(self) -> str:
        """The next output."""
        while True:
            kind, *content = json.loads(await self._socket.recv())
            if kind == "stdout":
                return content[0]
            assert kind != "disconnect", f"the terminal closed; it showed: {self.shown!r}"

    async def see(self, pattern: str, seconds: float = 20) -> re.Match[str]:
        """Wait until `pattern` is shown, and forget all up to there."""
        try:
            async with asyncio.timeout(seconds):
                while not (match := re.search(pattern, self.shown)):
                    self.shown += await self.read()
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} within {seconds} s in: {self.shown!r}") from None
        self.shown = self.shown[match.end() :]
        return match

    async def run(self, command: str) -> str:
        """Run a shell command and return what it shows."""
        mark = secrets.token_hex(4)
        await self.type(f"{command}; echo {mark[:4]}''{mark[4:]}\n")
        await self.see(r"echo \w{4}''\w{4}\r\n")
        shown = await self.see(rf"(?s)(.*?){mark}")
        return re.sub(r"\x1b\[\?2004[hl]\r?", "", shown[1])


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """What the service asks a hub: whose token is this, who is in the course, and whose workspace runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("token ")
            if "/groups/" in self.path:
                answer: Any = {"users": ["ada", "eve"] if "/nbgrader-" in self.path else ["tom"]}
            elif "/users?" in self.path:
                answer = {"items": [{"name": "ada"}], "_pagination": {"next": None}}
            else:
                name, scopes = PEOPLE.get(token, ("", []))
                answer = {"kind": "user", "name": name, "scopes": scopes} if name else None
            self.send_response(200 if answer else 403)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args: Any) -> None:
            pass

    with serving(Handler) as url:
        yield f"{url}/hub/api"


@pytest.fixture(scope="module")
def course(room: Room) -> Path:
    """A course with one lab, `shop`, of the machines `web`, the default, and `meta`, which is never made."""
    machines = "machines:\n  meta: {image: lab-slim}\n  web: {image: lab-slim, ports: [8000]}\n"
    return new_course(room, COURSE, machines + "default: web\n")


@pytest.fixture(scope="module")
def service(room: Room, course: Path, hub: str) -> Iterator[str]:
    """The Machineroom service of the room."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/services/machineroom"
    command = [sys.executable, "-m", "machineroom_hub.service", "--state", str(room.state)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--hub-api-url", hub]
    log = room.state / "service.log"
    with running(command, log, {"PYTHONPATH": PYTHONPATH}):
        until(answers(f"{url}/api/openapi.json"), 60, log.read_text)
        yield url


@pytest.fixture(scope="module")
def ws(room: Room, course: Path, service: str, engine: docker.DockerClient) -> Iterator[Workspace]:
    """A workspace of the student ada, whose machine `web` runs."""
    driver, spec, _ = new_machine(room, course, "ada")
    etc = put_etc(room, course, "ada", service)
    with jupyter(room.state, etc) as (url, token, hosts):
        workspace_ = Workspace(url, token, etc, hosts, service, driver, spec, engine)
        workspace_.address()
        yield workspace_


@contextmanager
def jupyter(folder: Path, etc: Path) -> Iterator[tuple[str, str, Path]]:
    """A Jupyter server with our extension: its URL, its token, and the file that is its /etc/hosts."""
    token, port = secrets.token_hex(16), free_port()
    hosts, home, log = folder / "hosts", folder / "home", folder / "jupyter.log"
    hosts.write_text("127.0.0.1 localhost\n")
    home.mkdir(exist_ok=True)
    server = [sys.executable, "-m", "jupyter", "server", "--allow-root", "--no-browser"]
    server += [
        "--ip=127.0.0.1",
        f"--port={port}",
        f"--ServerApp.base_url={BASE}",
        "--ServerApp.port_retries=0",
    ]
    only = folder / "only" / "jupyter_server_config.d"
    only.mkdir(parents=True, exist_ok=True)
    (only / "others.json").write_text(
        json.dumps({"ServerApp": {"jpserver_extensions": dict.fromkeys(OTHERS, False)}})
    )
    script = 'mount --bind "$0" /etc/hosts && cd "$HOME" && exec "$@"'
    environment = {
        "HOME": str(home),
        "SHELL": "/bin/bash",
        "MACHINEROOM_ETC": str(etc),
        "JUPYTER_TOKEN": token,
        "JUPYTERHUB_API_TOKEN": LAB_TOKEN,
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_PATH": f"{only.parent}:{REPOSITORY / 'extensions' / 'jupyter-config'}",
        "PYTHONPATH": PYTHONPATH,
    }
    with running(["unshare", "--mount", "sh", "-c", script, str(hosts), *server], log, environment):
        url = f"http://127.0.0.1:{port}{BASE}"
        until(answers(f"{url}/api"), 60, log.read_text)
        yield url, token, hosts


@contextmanager
def running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    """A process in the background, ended with everything that it started."""
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> Callable[[], bool]:
    """Asks whether something answers there, and well."""

    def ask() -> bool:
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    return ask
