"""Where figures are taken: a room of the bench's own, our hub in it, and a stock hub beside it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import docker
import httpx
from machineroom_spawners import names
from machineroom_spawners.course import Course, read_course
from machineroom_spawners.drivers.docker import DockerDriver

from .. import accounts, images, migrations, node
from ..host import HostError, engine, firewall, processes
from ..host.network import ensure_hub_network
from ..interrupts import undisturbed
from ..room import Room

CHECKS = Path(__file__).parent / "checks"
"""The checks of the course, plain pytest: stock's pytest runs the same files."""

COURSE = """\
title: Bench
assignments:
  - {name: bench, lab: bench}
  - {name: slim, lab: slim}
"""

LABS = {
    "bench": "machines: {box: {image: lab}}\n",
    "slim": "machines: {box: {image: lab-slim}}\n",
}
"""`bench` is what a student gets when a server starts: a whole machine, as in the demo course."""

STOCK_CONFIG = """\
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://{gateway}:{hub_port}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.prefix = "mr-{room}-stock"
c.DockerSpawner.network_name = "{network}"
c.DockerSpawner.remove = True
c.DockerSpawner.extra_create_kwargs = {{"labels": {{"machineroom.room": "{room}"}}}}
c.ConfigurableHTTPProxy.command = ["{node}", "{proxy}"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers", "tokens"]}}
]
"""
"""All that is not a default is where things listen, what they are called, and who may ask."""


@dataclass(frozen=True)
class Hub:
    """A hub that runs: its API, what a browser reaches, the token of its bench, and its containers' names."""

    api: str
    public: str
    token: str
    workspace: str

    def client(self, token: str | None = None, timeout: float = 120) -> httpx.Client:
        """A client that shows `token`, or else the bench's own."""
        headers = {"Authorization": f"token {token or self.token}"}
        return httpx.Client(headers=headers, timeout=timeout, trust_env=False)

    def token_of(self, user: str) -> str:
        """A fresh token for `user`, with all that the user may do; the user is made if it is not there."""
        with self.client() as http:
            http.post(f"{self.api}/users/{user}")
            answer = http.post(f"{self.api}/users/{user}/tokens", json={"note": "bench"})
            return str(answer.raise_for_status().json()["token"])


@dataclass
class Stage:
    """A room of its own, and what is brought up in it when it is first asked for.

    `installation` has the images and the proxy that are measured; nothing of it is touched.
    """

    room: Room
    installation: Room
    client: docker.DockerClient
    closing: ExitStack
    students: list[str]
    graders: list[str]

    @property
    def driver(self) -> DockerDriver:
        """The driver of the room's machines."""
        return DockerDriver(room_id=self.room.id)

    @cached_property
    def course(self) -> Course:
        """A course with two labs of one machine."""
        folder = self.room.courses / "bench"
        for lab, text in LABS.items():
            (folder / "labs" / lab).mkdir(parents=True)
            (folder / "labs" / lab / "lab.yml").write_text(text)
        (folder / "course.yml").write_text(COURSE)
        shutil.copytree(CHECKS, folder / "checks" / "bench")
        return read_course(folder)

    @cached_property
    def ours(self) -> Hub:
        """Our proxy, hub and service, with the firewall, as `up` starts them."""
        migrations.upgrade(self.room)
        for people, role in ((self.students, "student"), (self.graders, "ta")):
            for name in people:
                accounts.add(self.room, name)
                accounts.enrol(self.room, name, self.course.id, role)
        gateway = ensure_hub_network(self.client, self.room)
        firewall.apply(self.room)
        proxy = node.install_proxy(self.installation)
        self.closing.callback(processes.stop, self.room)
        processes.start(self.room, processes.programs(self.room, gateway, proxy, node.node_bin()))
        api, public = f"http://{gateway}:{self.room.hub_port}/hub/api", f"http://127.0.0.1:{self.room.port}"
        _wait_for(f"{public}/hub/api/", self.room.logs)
        _wait_for(f"{public}/services/machineroom/api/openapi.json", self.room.logs)
        return Hub(api, public, self.room.token("operator"), f"mr-{self.room.id}-w-{{}}")

    @cached_property
    def stock(self) -> Hub:
        """A stock JupyterHub with stock DockerSpawner, on a network of its own."""
        port = self.room.port
        network = self.client.networks.create(
            f"mr-{self.room.id}-stock", labels={"machineroom.room": self.room.id}
        )
        network.reload()
        gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
        folder = self.room.state / "stock"
        folder.mkdir(mode=0o700)
        text = STOCK_CONFIG.format(
            port=port + 1,
            api_port=port + 2,
            hub_port=port + 3,
            gateway=gateway,
            room=self.room.id,
            network=network.name,
            image=self.stock_image,
            node=node.node_bin(),
            proxy=node.install_proxy(self.installation),
            token=self.room.token("bench"),
        )
        (folder / "jupyterhub_config.py").write_text(text)
        self.closing.enter_context(_running([sys.executable, "-m", "jupyterhub"], folder))
        hub = Hub(
            f"http://{gateway}:{port + 3}/hub/api",
            f"http://127.0.0.1:{port + 1}",
            self.room.token("bench"),
            f"mr-{self.room.id}-stock-{{}}",
        )
        _wait_for(f"{hub.public}/hub/api/", folder)
        return hub

    @cached_property
    def stock_image(self) -> str:
        """The workspace's image without our wheel and what it configures: the same base and packages."""
        return images.without_wheel(self.room, "workspace")


@contextmanager
def stage(
    installation: Room, students: list[str], graders: list[str], progress: images.Progress = images.silent
) -> Iterator[Stage]:
    """A stage in a folder of its own. However it is left, nothing of it stays.

    `progress` tells of images that are made anew, when they are older than their source.

    Raises:
        HostError: the engine does not answer, or an image is not built.
    """
    client = engine.client()
    if client is None:
        raise HostError("the Docker engine does not answer; start it with ./machineroom up")
    for name in ("workspace", "lab", "lab-slim"):
        if not client.images.list(names.image(installation.id, name)):
            raise HostError(f"there is no image '{name}' to measure: ./machineroom image build {name}")
    closing = ExitStack()
    try:
        state = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="machineroom-bench-")))
        state.chmod(0o711)
        room = Room(state)
        room.save_settings(port=_free_ports())
        closing.callback(firewall.remove, room)
        closing.callback(images.remove_images, room)
        closing.callback(engine.purge, client, room.id)
        images.build(room, progress=progress)  # mostly of layers that are there
        yield Stage(room, installation, client, closing, students, graders)
    finally:
        with undisturbed():
            closing.close()


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[None]:
    """A program in `folder`, apart from our terminal's Ctrl-C: we end it ourselves, and all it started."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, logs: Path) -> None:
    def answers() -> bool:
        try:
            return httpx.get(url, trust_env=False, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        processes.wait(answers, 90, f"{url} does not answer")
    except HostError as error:
        said = "".join(
            f"\n{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in logs.glob("*log")
        )
        raise HostError(f"{error}. The logs end with:{said}") from None


def _free_ports() -> int:
    """A port that is free together with those that follow from it: ours (see `Room`) and three of stock's."""
    for port in range(21000, 30000, 100):
        if all(_is_free(port + more) for more in (0, 1, 2, 3, 81, 82, 83)):
            return port
    raise HostError("no ports between 21000 and 30000 are free; see `ss -ltn`")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
