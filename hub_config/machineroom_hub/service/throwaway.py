"""Containers in which students' code is executed for a grade: each for one submission, then thrown away.

Such a container is a workspace without all that makes a workspace somebody's: no network, no volume, no
token, a root file system that nobody can write. Its process (`machineroom_nbgrader.inside`) has imported
what kernels need before anybody's code comes. Nothing that it answers is trusted with more than being
the outputs of the cells that it was given.
"""

import contextlib
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

import docker
from docker.errors import APIError, DockerException, NotFound
from machineroom_spawners import names
from machineroom_spawners.course import Grading
from machineroom_spawners.drivers.objects import LABEL, label_filter
from machineroom_spawners.drivers.stream import Stream
from machineroom_spawners.workspace import HOME, UID
from requests.exceptions import RequestException

from ..host import HostError
from ..host.network import ensure_executions_network
from ..room import Room

EXECUTION = LABEL + "execution"
START_SECONDS = 120.0
"""How long a container may take until it is warm, on a busy host."""
MOST_OUTPUT = 64 << 20
"""Of all cells of a submission together, in bytes."""
IDLE_SECONDS = 60.0
"""How long a warm container waits for the next submission."""

ENGINE = (APIError, DockerException, HostError, RequestException, OSError)


class Ended(Exception):
    """The container ended, or had to be ended. The message says why, for graders."""


class Late(Exception):
    """Nothing came in time."""


def container(image: str, room: str, grading: Grading, network: str) -> dict[str, Any]:
    """A throw-away container, as `POST /containers/create` wants it."""
    scratch = f"rw,nosuid,nodev,uid={UID},gid={UID},mode=700,size={grading.memory // 2}"
    return {
        "Image": image,
        "Cmd": ["python", "-m", "machineroom_nbgrader.inside"],
        "Env": [f"HOME={HOME}", "JUPYTER_PLATFORM_DIRS=1", "PYTHONDONTWRITEBYTECODE=1"],
        "Hostname": "autograde",
        "Labels": {LABEL + "room": room, EXECUTION: "1"},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": not network,
        "HostConfig": {
            "NetworkMode": network or "none",
            "ReadonlyRootfs": True,
            "Tmpfs": {HOME: f"exec,{scratch}", "/tmp": f"exec,{scratch}"},  # noqa: S108 its own
            "Memory": grading.memory,
            "MemorySwap": grading.memory,
            "NanoCpus": int(min(grading.cpus, os.cpu_count() or 1) * 1e9),
            "CpuShares": 256,  # students who work now come first
            "OomScoreAdj": 500,
            "PidsLimit": grading.pids,
            "ShmSize": grading.memory // 4,
            "Ulimits": [
                {"Name": "nofile", "Soft": 1024, "Hard": 4096},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "none", "Config": {}},
            "CgroupnsMode": "private",
        },
    }


class Throwaway:
    """One container, from its making, which ends when it is warm, to its removal."""

    _stream: Stream | None = None

    def __init__(self, client: docker.DockerClient, room: Room, grading: Grading) -> None:
        api: Any = client.api
        self.grading = grading
        self._api = api
        self._left = MOST_OUTPUT
        self._frames, self._line, self._complaint = bytearray(), bytearray(), bytearray()
        network = ensure_executions_network(client, room) if grading.network else ""
        wanted = container(names.image(room.id, "workspace"), room.id, grading, network)
        made = api._url("/containers/create")
        name = f"mr-{room.id}-x-{secrets.token_hex(4)}"
        self.id: str = api._result(api._post_json(made, data=wanted, params={"name": name}), json=True)["Id"]
        try:
            self._stream = Stream(
                api, api._url("/containers/{0}/attach?stream=1&stdin=1&stdout=1&stderr=1", self.id)
            )
            api.start(self.id)
            self.read(time.monotonic() + START_SECONDS)
        except Late:
            self.remove()
            raise Ended(f"its container was not ready after {START_SECONDS:.0f} s") from None
        except BaseException:
            self.remove()
            raise

    def say(self, line: dict[str, Any], files: IO[bytes] | None = None) -> None:
        """Send a line, and after it a file. Raises Ended."""
        assert self._stream
        try:
            self._stream.send(json.dumps(line).encode() + b"\n", 30)
            while files and (chunk := files.read(1 << 16)):
                self._stream.send(chunk, 30)
        except OSError:
            raise Ended(self._why()) from None

    def read(self, deadline: float, cancelled: threading.Event | None = None) -> dict[str, Any]:
        """The next line. Raises Late when none comes before `deadline`, and Ended."""
        assert self._stream
        while b"\n" not in self._line:
            if cancelled and cancelled.is_set():
                raise Ended("nobody waits for its outputs any more")
            left = deadline - time.monotonic()
            if left <= 0:
                raise Late
            data = self._stream.recv(min(left, 1.0))
            if data == b"":
                raise Ended(self._why())
            self._take(data or b"")
        line, _, self._line = self._line.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Ended("it sent what is no output of a kernel")
        return answer

    def _take(self, data: bytes) -> None:
        """Add to the line what the engine's frames hold."""
        self._left -= len(data)
        if self._left < 0:
            raise Ended(f"it printed more than {MOST_OUTPUT >> 20} MB")
        self._frames += data
        while len(self._frames) >= 8:
            end = 8 + int.from_bytes(self._frames[4:8], "big")
            if len(self._frames) < end:
                return
            if self._frames[0] == 2:  # of the container's own process: cells have no way to it
                self._complaint = (self._complaint + self._frames[8:end])[-2000:]
            else:
                self._line += self._frames[8:end]
            del self._frames[:end]

    def interrupt(self) -> None:
        """What Ctrl-C does to a cell."""
        with contextlib.suppress(*ENGINE):
            self._api.kill(self.id, signal.SIGINT)

    def _why(self) -> str:
        try:
            state = self._api.inspect_container(self.id)["State"]
        except ENGINE:
            return "its container is gone"
        if state["OOMKilled"]:
            return f"it used more than its {self.grading.memory >> 20} MB of memory"
        said = self._complaint.decode(errors="replace")
        return f"its container ended {said}".strip()

    def remove(self) -> bool:
        """Away with it, and whatever runs in it; whether it is gone. A busy engine may need a second call."""
        if self._stream:
            with contextlib.suppress(*ENGINE):
                self._stream.close()
        try:
            self._api.remove_container(self.id, force=True, v=True)
        except NotFound:
            return True
        except ENGINE:
            return False
        return True


class Pool:
    """Containers that are warm before they are needed. None is ever used for a second submission.

    The first submission has to wait for its container. From then on as many are kept ready as run at
    once, until nobody has wanted one for a minute.
    """

    def __init__(self, room: Room, at_once: int) -> None:
        self._room, self._at_once = room, at_once
        self._client = docker.from_env(timeout=120, max_pool_size=4 * at_once)
        self._lock = threading.Lock()
        self._warm: list[Throwaway] = []
        self._stubborn: list[Throwaway] = []
        self._making = 0
        self._used = 0.0
        self._closed = False

    @contextlib.contextmanager
    def lend(self, grading: Grading) -> Iterator[Throwaway]:
        """A warm container, gone afterwards. Raises Ended, and what the engine raises."""
        with self._lock:
            self._used = time.monotonic()
            same = [kept for kept in self._warm if kept.grading == grading]
            found = same[0] if same else None
            if found:
                self._warm.remove(found)
            wanted = len(same) + self._making < self._at_once
            self._making += wanted
        if wanted:
            threading.Thread(target=self._add, args=(grading,), daemon=True).start()
        found = found or Throwaway(self._client, self._room, grading)
        try:
            yield found
        finally:
            self._remove(found)

    def _add(self, grading: Grading) -> None:
        made = None
        with contextlib.suppress(Ended, *ENGINE):  # whoever needs one makes it, and is told what is wrong
            made = Throwaway(self._client, self._room, grading)
        with self._lock:
            self._making -= 1
            if made and not self._closed:
                self._warm.append(made)
                made = None
        if made:
            self._remove(made)

    def _remove(self, old: Throwaway) -> None:
        if not old.remove():
            with self._lock:
                self._stubborn.append(old)

    def tidy(self, idle: float = IDLE_SECONDS) -> None:
        """Remove what nobody has wanted for so long, and what the engine has failed to remove."""
        with self._lock:
            old, self._stubborn = self._stubborn, []
            if time.monotonic() - self._used >= idle:
                old, self._warm = old + self._warm, []
        for each in old:
            self._remove(each)

    def close(self) -> None:
        """Remove everything, in use or not."""
        with self._lock:
            self._closed = True
        self.tidy(0)
        self.sweep()

    def sweep(self) -> None:
        """Remove every container of this kind: at the start, what a killed service left."""
        wanted = label_filter({LABEL + "room": self._room.id, EXECUTION: "1"})
        with contextlib.suppress(*ENGINE):
            for summary in self._client.api.containers(all=True, filters=wanted):
                with contextlib.suppress(*ENGINE):
                    self._client.api.remove_container(summary["Id"], force=True, v=True)
