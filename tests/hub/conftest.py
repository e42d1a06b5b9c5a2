"""A real hub for the tests: our configuration, a real proxy, both as processes of their own."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from local import free_room_port, until
from machineroom_hub import accounts, node
from machineroom_hub.db import Base, connect
from machineroom_hub.room import SOURCE, Room

COURSE = """
title: Linux, first steps
assignments:
  - {name: first, title: First, lab: single}
  - {name: second, title: Second, lab: pair}
"""
SINGLE = "machines: {box: {image: lab-slim}}"
PAIR = "machines: {web: {image: lab-slim, ports: [80]}, db: {image: lab-slim}}"
PASSWORD = "correct horse battery"
PEOPLE = {"ada": "student", "bob": "student", "tariq": "ta", "ines": "instructor"}


class Hub:
    """Proxy and hub of a room. `restart` leaves the proxy alone, as the real thing does."""

    def __init__(self, room: Room, proxy: Path) -> None:
        self.room = room
        self.log = room.state / "hub.log"
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{SOURCE / 'hub_config'}:{SOURCE / 'spawners'}",
            "MACHINEROOM_STATE": str(room.state),
            "CONFIGPROXY_AUTH_TOKEN": room.token("proxy"),
        }
        public = ["--ip", "127.0.0.1", "--port", str(room.port)]
        api = ["--api-ip", "127.0.0.1", "--api-port", str(room.proxy_api_port), "--log-level", "warn"]
        self._proxy = self._process([str(node.node_bin()), str(proxy), *public, *api])
        self._hub = self._process(self._command)
        self.url = f"http://127.0.0.1:{room.port}"
        self.operator = httpx.Client(
            base_url=f"{self.url}/hub/api",
            headers={"Authorization": f"token {room.token('operator')}"},
            timeout=120,
        )

    @property
    def _command(self) -> list[str]:
        config = SOURCE / "hub_config" / "jupyterhub_config.py"
        return [sys.executable, "-m", "jupyterhub", "--config", str(config)]

    def _process(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, env=self.environment, cwd=self.room.state, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self) -> "Hub":
        def answers() -> bool:
            assert self._hub.poll() is None, self.log.read_text()[-4000:]
            try:
                return self.operator.get("/users").status_code == 200
            except httpx.HTTPError:
                return False

        until(answers, 60, "the hub does not answer")
        return self

    def restart(self, kill: bool = False) -> None:
        self._end(self._hub, kill)
        self._hub = self._process(self._command)
        self.wait()

    def close(self) -> None:
        self.operator.close()
        for process in (self._hub, self._proxy):
            self._end(process)

    @staticmethod
    def _end(process: subprocess.Popen[bytes], kill: bool = False) -> None:
        if process.poll() is None:
            process.kill() if kill else process.terminate()
        process.wait(60)

    def login(
        self, name: str, password: str = PASSWORD, client: httpx.Client | None = None
    ) -> httpx.Response:
        """Log in as a browser does; the answer to the form."""
        client = client or self.browser()
        page = client.get("/hub/login")
        token = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert token, page.text
        return client.post("/hub/login", data={"username": name, "password": password, "_xsrf": token[1]})

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    def token(self, user: str) -> str:
        answer = self.operator.post(f"/users/{user}/tokens", json={"note": "test"})
        answer.raise_for_status()
        return str(answer.json()["token"])

    def model(self, user: str) -> dict[str, Any]:
        answer = self.operator.get(f"/users/{user}")
        answer.raise_for_status()
        return dict(answer.json())

    def scopes(self, token: str) -> set[str]:
        """What a token may do, as a service is told."""
        answer = httpx.get(f"{self.url}/hub/api/user", headers={"Authorization": f"token {token}"})
        answer.raise_for_status()
        return set(answer.json()["scopes"])


@pytest.fixture(scope="session")
def proxy() -> Iterator[Path]:
    """configurable-http-proxy, installed once for all tests here."""
    with tempfile.TemporaryDirectory(prefix="machineroom-test-proxy-") as folder:
        yield node.install_proxy(Room(Path(folder)))


@pytest.fixture(scope="module")
def hub(room: Room, proxy: Path, engine: docker.DockerClient) -> Iterator[Hub]:
    """A hub with the course `linux` and its people."""
    course = room.courses / "linux"
    for lab, text in {"single": SINGLE, "pair": PAIR}.items():
        (course / "labs" / lab).mkdir(parents=True)
        (course / "labs" / lab / "lab.yml").write_text(text)
    (course / "course.yml").write_text(COURSE)
    Base.metadata.create_all(connect(room))
    for name, role in PEOPLE.items():
        accounts.add(room, name, password=PASSWORD)
        accounts.enrol(room, name, "linux", role)
    room.save_settings(port=free_room_port())
    hub = Hub(room, proxy)
    try:
        yield hub.wait()
    finally:
        hub.close()
