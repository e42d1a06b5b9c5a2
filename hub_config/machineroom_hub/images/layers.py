"""Layers in the engine: each is the one below it and one step, found again by the hash of the two.

A layer is made by committing a container, and what a step only needs while it runs comes on a
volume of its own: nothing of the host has to be readable for the engine's user namespace, and
nothing that is not meant to stay gets into the image.
"""

import hashlib
import json
import shlex
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount
from requests import RequestException

from ..room import Room
from .process import Interrupted, StepError
from .tree import Tree, digest, pack

REPOSITORY = "machineroom/layer"
INPUTS = "/mnt"
"""Where a step's script finds its inputs."""

Tell = Callable[[float, str], None]
"""Told how far a step is (0 to 1), and in a few words what it does."""


@dataclass(frozen=True)
class Step:
    """What turns one layer into the next.

    `files` stay in the image; `inputs` are made on the host when they are needed, lie in /mnt
    while `script` runs, and are gone afterwards; `key` stands for them in the step's hash.
    `changes` are lines of a Dockerfile that set how the image starts; `stop_signal` is set apart, since
    the engine takes it on a container only.
    """

    title: str
    seconds: int
    script: str = ""
    files: Tree = field(default_factory=dict)
    inputs: Callable[[Tell], Tree] = lambda _tell: {}
    key: str = ""
    changes: tuple[str, ...] = ()
    stop_signal: str | None = None
    network: bool = False

    @property
    def hash(self) -> str:
        """Changes whenever the step would make something else."""
        return _hash(self.script, digest(self.files), self.key, self.stop_signal or "", *self.changes)


@dataclass(frozen=True)
class Layer:
    """A layer that exists. `chain` are the keys of it and of all below it; `seconds` what they took."""

    key: str
    id: str
    size: int
    seconds: float
    chain: tuple[str, ...]


class Layers:
    """The engine's layers, and the making of new ones."""

    def __init__(self, client: docker.DockerClient, room: Room) -> None:
        self.client = client
        self.room = room
        self.touched: set[str] = set()
        self._prefix = f"mr-{room.id}-build-"
        self._running: set[Container] = set()
        self._stopped = False
        self._lock = Lock()

    def find(self, below: Layer | None, step: str) -> Layer | None:
        """The layer that a step of hash `step` made of `below`, if the engine has it."""
        key = _key(below, step)
        self.touched.add(key)
        try:
            return _layer(key, self.client.api.inspect_image(_tag(key)))
        except ImageNotFound:
            return None

    def load(self, archive: Path, step: str, image: str, seconds: float) -> Layer:
        """The lowest layer, from a tar archive of a whole system."""
        key = _key(None, step)
        labels = _labels(self._labels(image, seconds, (key,)))
        with self._explained():
            self.client.api.import_image(str(archive), REPOSITORY, key, changes=labels)
            return _layer(key, self.client.api.inspect_image(_tag(key)))

    def make(self, below: Layer, step: Step, image: str, tell: Tell, labels: Mapping[str, str]) -> Layer:
        """Do `step` in a container of `below`, and keep what came of it. Raises StepError."""
        started = monotonic()
        inputs = step.inputs(tell) if step.script else {}
        key = _key(below, step.hash)
        with self._explained(), self._container(below, step) as container:
            if step.files:
                with pack(step.files) as archive:
                    container.put_archive("/", archive)
            if step.script:
                with pack({**inputs, "step": step.script.encode()}) as archive:
                    container.put_archive(INPUTS, archive)
                self._run(container, tell)
            said = self._labels(image, below.seconds + monotonic() - started, (*below.chain, key))
            changes = "\n".join([*step.changes, *_labels({**said, **labels})])
            container.commit(REPOSITORY, key, changes=changes)
            return _layer(key, self.client.api.inspect_image(_tag(key)))

    def stop(self) -> None:
        """End the steps that run."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for container in running:
            _remove(container)

    def sweep(self) -> None:
        """Remove what a build that was killed left running."""
        # Told by name: a label would be inherited by the image, and by every machine made of it.
        ours = f"^/{self._prefix}"
        for container in self.client.containers.list(all=True, filters={"name": ours}, ignore_removed=True):
            _remove(container)

    def prune(self, images: set[str]) -> None:
        """Forget the layers that building `images` once made and on which no image stands any more."""
        self._forget(lambda labels: labels["machineroom.layer-of"] in images)

    def remove(self) -> None:
        """Forget the layers that this room made and on which no other room's image stands."""
        self._forget(lambda labels: labels["machineroom.room"] == self.room.id)

    def _forget(self, chosen: Callable[[Mapping[str, str]], bool]) -> None:
        layers: dict[str, Mapping[str, str]] = {}
        used = set(self.touched)
        for image in self.client.api.images(filters={"reference": "machineroom/*"}):
            labels = image["Labels"] or {}
            for tag in image["RepoTags"]:
                repository, _, key = tag.partition(":")
                if repository == REPOSITORY:
                    layers[key] = labels
                else:
                    used.update(labels.get("machineroom.layers", "").split(","))
        # The highest first: the engine keeps what something stands on.
        for key, labels in sorted(layers.items(), key=lambda item: -len(item[1]["machineroom.layers"])):
            if key not in used and chosen(labels):
                with suppress(APIError):  # a container still stands on it; the next build asks again
                    self.client.api.remove_image(_tag(key))

    @contextmanager
    def _container(self, below: Layer, step: Step) -> Iterator[Container]:
        """A container of `below`, ready to run the step's script; removed in any case."""
        with self._lock:
            if self._stopped:
                raise Interrupted
            container = self.client.containers.create(
                below.id,
                # One stream, so that an error stands where it was printed.
                ["/bin/sh", "-c", 'exec "$0" "$@" 2>&1', *_interpreter(step.script), f"{INPUTS}/step"],
                entrypoint=[""],
                stop_signal=step.stop_signal,
                user="0",
                working_dir="/",
                name=f"{self._prefix}{_key(below, step.hash)}",
                labels={"machineroom.room": self.room.id},
                mounts=[Mount(INPUTS, None)],
                network_mode="bridge" if step.network else "none",
            )
            self._running.add(container)
        try:
            yield container
        finally:
            with self._lock:
                self._running.discard(container)
            _remove(container)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the engine refuses into a StepError, or into Interrupted if we pulled the rug."""
        try:
            yield
        except (DockerException, RequestException) as error:
            if self._stopped:
                raise Interrupted from None
            text = error.explanation if isinstance(error, APIError) and error.explanation else error
            raise StepError(f"the engine could not do it: {text}") from None

    def _run(self, container: Container, tell: Tell) -> None:
        tail: deque[str] = deque(maxlen=20)
        output = container.attach(stream=True, logs=True)
        container.start()
        pending = ""
        for chunk in output:
            *lines, pending = (pending + chunk.decode(errors="replace")).replace("\r", "\n").split("\n")
            for line in filter(None, map(str.rstrip, lines)):
                if not _apt_status(line, tell):
                    tail.append(line)
        code = container.wait()["StatusCode"]
        if self._stopped:
            raise Interrupted
        if code:
            raise StepError(f"it ended with code {code}", [*tail, *filter(None, [pending])])

    def _labels(self, image: str, seconds: float, chain: tuple[str, ...]) -> dict[str, str]:
        return {
            "machineroom.room": self.room.id,
            "machineroom.layer-of": image,
            "machineroom.layers": ",".join(chain),
            "machineroom.seconds": f"{seconds:.1f}",
        }


def _interpreter(script: str) -> list[str]:
    first = script.partition("\n")[0]
    return shlex.split(first[2:]) if first.startswith("#!") else ["/bin/sh", "-e"]


def _apt_status(line: str, tell: Tell) -> bool:
    """Pass on apt's progress; its status lines are `pmstatus:nginx:52.4:Unpacking nginx`."""
    kind, *rest = line.split(":", 3)
    if kind not in ("dlstatus", "pmstatus", "pmerror", "pmconffile") or len(rest) < 3:
        return False
    try:
        percent = float(rest[1])
    except ValueError:
        return False
    # Fetching is about a third of the work.
    tell(percent / 300 if kind == "dlstatus" else 1 / 3 + percent / 150, rest[2])
    return True


def _layer(key: str, found: dict[str, Any]) -> Layer:
    labels = found["Config"]["Labels"]
    chain = tuple(labels["machineroom.layers"].split(","))
    return Layer(key, found["Id"], found["Size"], float(labels["machineroom.seconds"]), chain)


def _key(below: Layer | None, step: str) -> str:
    return _hash(below.id if below else "", step)[:24]


def _tag(key: str) -> str:
    return f"{REPOSITORY}:{key}"


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [f"LABEL {key}={json.dumps(value)}" for key, value in labels.items()]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _remove(container: Container) -> None:
    with suppress(APIError):  # gone, or going: stop() and the step's own end may meet here
        container.remove(force=True, v=True)
