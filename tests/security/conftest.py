"""A class on a real installation, seen by somebody who wants more than their own."""

import http.client
import ipaddress
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import docker
import httpx
import pytest
from docker.models.containers import Container
from installation import Installation
from machineroom_hub.host.network import hub_gateway
from machineroom_hub.hub_api import HubApi
from machineroom_spawners import names

COURSE, LAB, MACHINE = "linux-intro", "box", "box"
SERVICE = "/services/machineroom/api"


@dataclass
class School:
    """The installation with the servers of ada (who attacks), brook (a student like her) and tariq (a TA)."""

    installation: Installation
    engine: docker.DockerClient
    hub: HubApi
    gateway: str
    tokens: dict[str, str]

    @property
    def url(self) -> str:
        return self.installation.url

    def client(self, token: str = "", **headers: str) -> httpx.Client:
        """Somebody who calls from outside, as a browser would, with a token or without."""
        if token:
            headers["Authorization"] = f"token {token}"
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def raw(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """GET exactly this path: no client in between that tidies it up."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.url).port, timeout=20)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read(100_000)
        connection.close()
        return answer

    def machine(self, owner: str) -> Container:
        return self.engine.containers.get(
            names.machine(self.installation.room.id, owner, COURSE, LAB, MACHINE)
        )

    def workspace(self, owner: str) -> Container:
        return self.engine.containers.get(f"mr-{self.installation.room.id}-w-{names.slug(owner)}")

    def ready(self, user: str) -> bool:
        """Whether somebody's server runs; it is started if it does not."""
        server = self.hub.call("GET", f"/users/{user}").json()["servers"].get("", {})
        if not server:
            self.hub.call("POST", f"/users/{user}/server")
        return bool(server.get("ready"))


def run(container: Container, command: str, user: str = "root") -> tuple[int, str]:
    """Exit status and output of a shell command in a container."""
    done = container.exec_run(["sh", "-c", command], user=user)
    return done.exit_code, done.output.decode(errors="replace")


def addresses(container: Container) -> dict[str, str]:
    """The container's address on each of its networks."""
    container.reload()
    return {name: end["IPAddress"] for name, end in container.attrs["NetworkSettings"]["Networks"].items()}


def host_addresses() -> list[str]:
    """Every IPv4 address of this host, but for the loopback ones."""
    said = subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[3].partition("/")[0] for line in said.splitlines()]
    return [a for a in found if not ipaddress.ip_address(a).is_loopback]


@pytest.fixture(scope="session")
def school(installation: Installation, engine: docker.DockerClient) -> Iterator[School]:
    """Everybody's servers run; what this starts it also stops."""
    hub = HubApi(installation.room)
    tokens = {name: hub.token(name, "security tests", 3600) for name in ("ada", "brook", "tariq", "ines")}
    school = School(installation, engine, hub, hub_gateway(engine, installation.room), tokens)
    people = ("ada", "brook", "tariq")
    running = [u for u in people if hub.call("GET", f"/users/{u}").json()["servers"]]
    deadline = time.monotonic() + 120
    while not all(school.ready(user) for user in people):
        assert time.monotonic() < deadline, "the servers do not start"
        time.sleep(0.3)
    yield school
    for user in people:
        if user not in running:
            hub.call("DELETE", f"/users/{user}/server")
