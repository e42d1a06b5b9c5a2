"""From manifests to images: the plan, the making, and what there is."""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import docker
from docker.errors import APIError, ImageNotFound
from machineroom_spawners.content import ContentError
from machineroom_spawners.names import image as image_tag

from ..room import Room
from . import debian, kit, recipe
from .layers import Layer, Layers, Step
from .manifest import DEBIAN, Manifest, lineage, read_manifests
from .process import Processes, StepError

Progress = Callable[[str, int, str], None]
"""Told of an image's name, how far it is in percent, and a sentence."""


class ImageError(Exception):
    """An image could not be built: which, at which step, what was printed, and what to do next."""


def silent(image: str, percent: int, message: str) -> None:
    """A `Progress` for callers that nobody watches."""


@dataclass(frozen=True)
class Image:
    """An image that a manifest describes, and what the engine has of it.

    `size` is in bytes, `own_size` what it adds to the image below it; `seconds` is what building
    it from nothing took. `built` is None, and the rest nothing, when it was never built.
    """

    name: str
    description: str
    folder: Path
    up_to_date: bool = False
    built: datetime | None = None
    size: int = 0
    own_size: int = 0
    seconds: float = 0.0

    @property
    def age(self) -> float | None:
        """Seconds since it was built."""
        return (datetime.now(UTC) - self.built).total_seconds() if self.built else None


def list_images(room: Room) -> list[Image]:
    """Every image that the room's manifests describe. Raises ContentError."""
    client = docker.from_env()
    manifests = read_manifests(room)
    plan = _Plan(room, manifests, Layers(client, room))
    return [_image(plan, manifest) for manifest in manifests.values()]


def build(
    room: Room, names: Sequence[str] = (), *, progress: Progress = silent, force: bool = False
) -> list[Image]:
    """Build images that are missing or out of date, side by side, with all that they stand on.

    Without names, all of them but those whose manifests say `when_named`. With `force` the named
    ones are made anew from the first step, which brings in Debian's newest packages. What is done
    stays done: after an interruption or an error the next call goes on from there.

    Raises:
        ImageError: an image could not be built; independent ones were.
        ContentError: a manifest is wrong, or there is no image of that name.
    """
    manifests = read_manifests(room)
    wanted: dict[str, Manifest] = {}
    names = names or [each.name for each in manifests.values() if not each.when_named]
    for name in names:
        if name not in manifests:
            raise ContentError(f"there is no image '{name}'; there are: {', '.join(sorted(manifests))}")
        wanted.update({each.name: each for each in lineage(manifests[name], manifests)})
    forced = set(names) if force else set()
    client = docker.from_env(timeout=900)
    with _alone(room, wanted, progress):
        builder = _Builder(room, manifests, client, forced, progress)
        builder.run(list(wanted.values()))
        if kit.IMAGE in wanted:
            try:
                kit.install(client, room)
            except RuntimeError as error:
                raise ImageError(f"image {kit.IMAGE}: {error}; is it Debian's still?") from None
        return [_image(builder.plan, manifests[name]) for name in names]


def without_wheel(room: Room, name: str) -> str:
    """The id of image `name` as it is without our own wheel: the same base, packages and start.

    Made in no time of the layers that the image stands on; it belongs to `room`.

    Raises:
        ImageError: these layers are not there as the manifest has them now.
    """
    manifests = read_manifests(room)
    plan = _Plan(room, manifests, Layers(docker.from_env(timeout=900), room))
    bare = manifests[name].model_copy(update={"wheel": False})
    *below, start = plan.recipe.steps(bare, lineage(bare, manifests))
    layer = plan.bottom()
    for step in below:
        layer = layer and plan.layers.find(layer, step.hash)
    if layer is None:
        raise ImageError(f"image {name} is out of date: ./machineroom image build {name}")
    made = plan.layers.find(layer, start.hash)
    if made is None:
        made = plan.layers.make(layer, start, f"{name}-without-wheel", lambda _part, _words: None, {})
    return made.id


def remove_images(room: Room) -> None:
    """Remove what the room has among the engine's images: its tags, machines' snapshots, layers it made.

    Its containers must be gone. Rooms of one version share layers, whoever made them: those on which
    another room's images stand are left.
    """
    client = docker.from_env(timeout=900)
    for image in client.images.list("machineroom/*"):
        for tag in image.tags:
            if tag.endswith(f":{room.id}"):
                client.images.remove(tag)
    Layers(client, room).remove()
    for image in client.images.list(filters={"label": f"machineroom.room={room.id}"}):
        if not any(tag.startswith("machineroom/") for tag in image.tags):  # else a layer that another needs
            with suppress(APIError):  # another snapshot stands on it, and takes it along
                client.images.remove(str(image.id), force=True)


class _Plan:
    """Which steps make which image, and which of them are done."""

    def __init__(self, room: Room, manifests: dict[str, Manifest], layers: Layers) -> None:
        self.room = room
        self.manifests = manifests
        self.layers = layers
        self.archive = debian.host_archive()
        self.recipe = recipe.Recipe(room.state / "cache", Processes())

    def tag(self, image: str) -> str:
        return image_tag(self.room.id, image)

    def steps(self, manifest: Manifest) -> list[Step]:
        return self.recipe.steps(manifest, lineage(manifest, self.manifests))

    def bottom(self) -> Layer | None:
        return self.layers.find(None, self.archive.hash)

    def top(self, manifest: Manifest) -> Layer | None:
        """The image's last layer, if all of it is there."""
        layer = self.bottom()
        for each in lineage(manifest, self.manifests):
            for step in self.steps(each):
                layer = layer and self.layers.find(layer, step.hash)
        return layer


def _image(plan: _Plan, manifest: Manifest) -> Image:
    image = Image(manifest.name, manifest.description, manifest.folder)
    try:
        found = plan.layers.client.api.inspect_image(plan.tag(manifest.name))
    except ImageNotFound:
        return image
    labels = found["Config"]["Labels"]
    top = plan.top(manifest)
    return replace(
        image,
        up_to_date=top is not None and top.id == found["Id"],
        built=datetime.fromisoformat(labels["machineroom.built"]),
        size=found["Size"],
        own_size=found["Size"] - int(labels["machineroom.base-size"]),
        seconds=float(labels["machineroom.seconds"]),
    )


class _Builder:
    """One call of `build`."""

    def __init__(
        self,
        room: Room,
        manifests: dict[str, Manifest],
        client: docker.DockerClient,
        forced: set[str],
        progress: Progress,
    ) -> None:
        self.client = client
        self.layers = Layers(client, room)
        self.plan = _Plan(room, manifests, self.layers)
        self.processes = self.plan.recipe.processes
        self.forced = forced
        self.progress = progress
        self.scratch = room.state / "cache" / "tmp"

    def run(self, wanted: Sequence[Manifest]) -> None:
        self.layers.sweep()
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        futures: dict[str, Future[Layer]] = {}
        with ThreadPoolExecutor(max_workers=2 * len(wanted) + 1) as pool:
            try:
                for manifest in wanted:
                    pool.submit(self._prefetch, manifest)
                futures[DEBIAN] = pool.submit(self._bottom, [m.name for m in wanted if m.base == DEBIAN])
                for manifest in wanted:
                    futures[manifest.name] = pool.submit(self._image, manifest, futures[manifest.base])
                wait(futures.values())
            except BaseException:
                self.processes.stop()
                self.layers.stop()
                raise
        errors = [error for future in futures.values() if (error := future.exception())]
        shown = [error for error in errors if isinstance(error, ImageError)]
        # An image whose base failed has that same error; it is told once.
        if shown:
            raise ImageError("\n\n".join(dict.fromkeys(map(str, shown))))
        if errors:
            raise errors[0]
        self._prune(wanted)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _prefetch(self, manifest: Manifest) -> None:
        """Have the host fetch and build what the image's steps will ask for, while Debian is made."""
        if self.plan.top(manifest) is None:
            for step in self.plan.steps(manifest):
                step.inputs(lambda _part, _words: None)  # if it fails, the step will, and say so

    def _bottom(self, waiting: Sequence[str]) -> Layer:
        """Debian itself, on which the images `waiting` stand."""
        found = self.plan.bottom()
        if found and not self.forced.intersection(waiting):
            return found
        target = self.scratch / "debian.tar"
        started = monotonic()

        def heard(line: str) -> None:
            for words, percent in debian.PHASES:
                if words in line:
                    for name in waiting:
                        self.progress(name, percent // 3, f"Debian 13: {words}")

        with _explained(waiting[0], "Debian itself, from the host's mirror"):
            self.processes.run(
                self.plan.archive.bootstrap(target), env={"TMPDIR": str(self.scratch)}, heard=heard
            )
            layer = self.layers.load(target, self.plan.archive.hash, DEBIAN, monotonic() - started)
        target.unlink()
        return layer

    def _image(self, manifest: Manifest, below: Future[Layer]) -> Layer:
        name = manifest.name
        base = layer = below.result()
        steps = self.plan.steps(manifest)
        total = sum(step.seconds for step in steps)
        # The share of the bar that waiting for Debian itself had.
        first = 33 if manifest.base == DEBIAN else 0
        done = 0
        for number, step in enumerate(steps, 1):

            def tell(part: float, words: str, step: Step = step, done: int = done) -> None:
                share = (done + min(part, 1.0) * step.seconds) / total
                self.progress(
                    name, int(first + share * (99 - first)), f"{step.title}: {words}" if words else step.title
                )

            found = None if name in self.forced else self.layers.find(layer, step.hash)
            if found is None:
                tell(0, "")
                labels = {} if number < len(steps) else self._last_labels(manifest, base, step)
                with _explained(name, step.title):
                    found = self.layers.make(layer, step, name, tell, labels)
            layer = found
            done += step.seconds
        self.client.api.tag(layer.id, self.plan.tag(name))
        self.progress(name, 100, "ready")
        return layer

    def _last_labels(self, manifest: Manifest, base: Layer, step: Step) -> dict[str, str]:
        return {
            "machineroom.image": manifest.name,
            "machineroom.built": datetime.now(UTC).isoformat(timespec="seconds"),
            "machineroom.digest": step.hash,
            "machineroom.base-size": str(base.size),
        }

    def _prune(self, wanted: Sequence[Manifest]) -> None:
        self.layers.prune({DEBIAN, *(manifest.name for manifest in wanted)})


@contextmanager
def _explained(image: str, step: str) -> Iterator[None]:
    """Say of a step's error which image and step it was, and what to do next."""
    try:
        yield
    except StepError as error:
        lines = [f"image {image}: step '{step}': {error}", *(f"    {line}" for line in error.output)]
        whole = "\n".join(lines).lower()
        if "no space left" in whole or "disk quota" in whole:
            advice = "free some space on the disk (docker system df says what the engine holds)"
        elif any(words in whole for words in ("unable to locate package", "no installation candidate")):
            advice = "mend the package's name in its image.yml (Debian 13 has: apt-cache search on a machine)"
        elif any(
            words in whole for words in ("could not resolve", "failed to fetch", "connection", "timed out")
        ):
            advice = "see that this host reaches its package mirror (apt-get update, pip download)"
        else:
            advice = "mend what the last lines tell of"
        lines.append(
            f"Next: {advice}, then run: ./machineroom image build {image}. What is done so far is kept."
        )
        raise ImageError("\n".join(lines)) from None


@contextmanager
def _alone(room: Room, wanted: dict[str, Manifest], progress: Progress) -> Iterator[None]:
    """One build at a time in a room; a second one waits, and then finds most of its work done."""
    cache = room.state / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "images.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for name in wanted:
                progress(name, 0, "waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
