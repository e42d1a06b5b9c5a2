"""A real hub and the real service for a small class, with real tokens, scopes and machines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import httpx
from archives import GOOD
from local import free_port
from machineroom_hub.room import SOURCE, Room
from machineroom_spawners.drivers.docker import DockerDriver
from rooms import new_room

PREFIX = "/services/machineroom"

HUB_CONFIG = """
from jupyterhub.proxy import Proxy
from traitlets import Bool
from machineroom_hub import auth

class NoProxy(Proxy):
    "The tests speak to hub and service directly."
    should_start = Bool(False)
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {{}}

c = get_config()
courses = {courses}
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = "http://127.0.0.1:1"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = set({everybody})
c.JupyterHub.load_groups = {{name: {{"users": users}} for name, users in {groups}.items()}}
c.JupyterHub.custom_scopes = auth.scopes(courses)
c.JupyterHub.extra_user_scopes = {{auth.ACCESS}}
c.JupyterHub.services = [
    {{"name": "machineroom", "url": "http://127.0.0.1:{service}", "api_token": "{token}",
      "oauth_no_confirm": True, "oauth_client_allowed_scopes": [auth.ACCESS, *auth.scopes(courses)]}},
    {{"name": "test", "api_token": "{test}"}},
    {{"name": "operator", "api_token": "{operator}"}},
]
c.JupyterHub.load_roles = [
    *auth.roles(courses),
    {{"name": "service", "scopes": ["list:users", "read:users", "read:groups"], "services": ["machineroom"]}},
    {{"name": "test", "scopes": ["admin:users", "admin:groups", "tokens", "read:hub", "read:metrics"],
      "services": ["test"]}},
    {{"name": "command-line", "scopes": ["custom:machineroom:operate"], "services": ["operator"]}},
]
"""


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until something answers at `url`."""
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url).status_code < 500:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@dataclass
class Classroom:
    """A room with a hub and the service, its courses, and the hub's groups of its people."""

    room: Room
    groups: Mapping[str, Sequence[str]]
    hub_port: int = field(default_factory=free_port)
    service_port: int = field(default_factory=free_port)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    @property
    def hub(self) -> str:
        return f"http://127.0.0.1:{self.hub_port}"

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.service_port}"

    def start_hub(self) -> None:
        folder = self.room.state / "hub"
        folder.mkdir(exist_ok=True)
        everybody = {name for names in self.groups.values() for name in names} | {"stranger"}
        config = folder / "config.py"
        config.write_text(
            HUB_CONFIG.format(
                hub=self.hub_port,
                service=self.service_port,
                folder=folder,
                courses=sorted(path.name for path in self.room.courses.iterdir()),
                everybody=sorted(everybody),
                groups=dict(self.groups),
                token=self.room.token("service"),
                test=self.room.token("test"),
                operator=self.room.token("operator"),
            )
        )
        self._start("hub", f"{self.hub}/hub/api/", "jupyterhub", "--config", str(config))

    def start_service(self) -> None:
        place = ("--host", "127.0.0.1", "--port", str(self.service_port))
        self._start(
            "service",
            f"{self.service}{PREFIX}/api/openapi.json",
            *("machineroom_hub.service", "--state", str(self.room.state)),
            *(*place, "--hub-api-url", f"{self.hub}/hub/api"),
        )

    def _start(self, name: str, url: str, *command: str) -> None:
        path = os.pathsep.join(str(SOURCE / folder) for folder in ("hub_config", "spawners", "extensions"))
        log = self.log(name)
        with log.open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=output,
                stderr=output,
                cwd=self.room.state,
                env={**os.environ, "PYTHONPATH": path},
            )
        wait_for(url, self._processes[name], log)

    def stop(self, name: str, how: int = signal.SIGTERM) -> None:
        """End a process; for the service, whatever it started must end with it."""
        process = self._processes.pop(name)
        process.send_signal(how)
        process.wait(30)

    def log(self, name: str) -> Path:
        return self.room.state / f"{name}.log"

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        for name in list(self._processes):
            self.stop(name)

    def hub_call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The hub's API, as an administrator."""
        headers = {"Authorization": f"token {self.room.token('test')}"}
        reply = httpx.request(method, f"{self.hub}/hub/api/{path}", headers=headers, timeout=30, **arguments)
        assert reply.status_code < 400, reply.text
        return reply

    def token(self, name: str, **request: Any) -> str:
        """A new token of somebody, with all of their scopes unless `scopes` says otherwise."""
        return str(self.hub_call("POST", f"users/{name}/tokens", json=request).json()["token"])

    def client(self, token: str | None = None) -> httpx.Client:
        """A client of the API with any token, or none."""
        headers = {"Authorization": f"token {token}"} if token else {}
        return httpx.Client(base_url=f"{self.service}{PREFIX}/api/", headers=headers, timeout=90)

    def __getitem__(self, name: str) -> httpx.Client:
        """The API for one of our people."""
        if name not in self._clients:
            self._clients[name] = self.client(self.token(name))
        return self._clients[name]

    def container(
        self,
        engine: docker.DockerClient,
        owner: str,
        machine: str = "box",
        course: str = "demo",
        lab: str = "pair",
    ) -> Any:
        """The container that is somebody's machine."""
        labels = {"room": self.room.id, "owner": owner, "course": course, "lab": lab, "machine": machine}
        filters = {"label": [f"machineroom.{key}={value}" for key, value in labels.items()]}
        [found] = engine.containers.list(all=True, filters=filters)
        return found

    def remove_machines(self, owner: str) -> None:
        """Leave somebody without machines, as they were before a test made some."""
        driver = DockerDriver(room_id=self.room.id)
        for machine in driver.machines(owner=owner):
            driver.delete(machine.ref)

    def release(self, assignment: str = "first", course: str = "demo", grader: str = "tom") -> None:
        """Have an assignment released."""
        reply = self[grader].put(f"courses/{course}/assignments/{assignment}/release", content=GOOD)
        assert reply.status_code == 200, reply.text


@contextmanager
def open_classroom(
    engine: docker.DockerClient, courses: Path, groups: Mapping[str, Sequence[str]]
) -> Iterator[Classroom]:
    """Hub and service in a room of their own, with copies of `courses`, for as long as needed."""
    with new_room(engine) as room:
        shutil.copytree(courses, room.courses)
        made = Classroom(room, groups)
        try:
            made.start_hub()
            made.start_service()
            yield made
        finally:
            made.close()
