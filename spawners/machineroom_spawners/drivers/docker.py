"""The Docker driver: a machine is a container with an init, on its student's own network."""

import ipaddress
import time
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException
from traitlets import Any as AnyTrait
from traitlets import Float, Int, MetaHasTraits, Unicode, default
from traitlets.config import Configurable

from .. import names
from ..spec import MachineRef, MachineSpec
from . import disk, objects
from .base import Disk, Driver, Machine, MachineError, NoSuchMachine, Progress, Snapshot, State, Usage, silent
from .claims import Claimed, claim, is_claimed
from .console import DockerConsole
from .objects import LABEL
from .session import DockerSession
from .ssh import is_ssh
from .tools import PATH
from .usage import usage


class _Meta(ABCMeta, MetaHasTraits):
    """A class with abstract methods and traits."""


class DockerDriver(Driver, Configurable, metaclass=_Meta):
    """Makes machines on the Docker engine of this host."""

    name = "docker"

    room_id = Unicode(help="The installation's id, six hex digits; it stands in the name of every object.")

    address_pool = Unicode(
        "10.213.0.0/16",
        config=True,
        help="""Where the students' networks take their addresses from: each takes a /28, so a /16
        is room for 4096 networks. Subnets that this host or its engine already uses are passed over.""",
    )

    tools = Unicode(
        "/usr/local/lib/machineroom/tools",
        config=True,
        help="""Folder of the host that is mounted read-only in every machine at `/.machineroom`. It
        holds a statically linked `busybox`, root's, of mode 0711: sessions and consoles run from it, so
        that they work on a machine whose own files are gone.""",
    )

    boot_timeout = Float(
        45.0,
        config=True,
        help="Seconds that a machine which was just started has until its sshd answers.",
    )

    answer_timeout = Float(
        3.0,
        config=True,
        help="Seconds that a machine which was running already has until its sshd answers.",
    )

    setup_timeout = Float(
        300.0,
        config=True,
        help="Seconds that a lab's set-up script may take.",
    )

    snapshot_limit = Int(
        4 << 30,
        config=True,
        help="""Bytes that a machine may hold beyond its image when it is saved: a student who is root
        could fill the engine's disk with snapshots. Files with holes count as if they had none.""",
    )

    client = AnyTrait(help="The `docker.DockerClient` to use; by default what the environment names.")

    @default("client")
    def _client(self) -> docker.DockerClient:
        try:
            return docker.from_env(timeout=120, max_pool_size=32)
        except DockerException as error:
            raise MachineError(
                f"The Docker engine does not answer: {error}. Run ./machineroom doctor."
            ) from None

    @property
    def _api(self) -> Any:
        return self.client.api

    # Listing

    def machines(self, owner: str | None = None, course: str | None = None) -> list[Machine]:
        """All machines of this installation, or those of one owner or course, by one listing."""
        wanted = {LABEL + "owner": owner, LABEL + "course": course}
        found = self._list({key: value for key, value in wanted.items() if value is not None})
        by_ref: dict[MachineRef, Machine] = {}
        for summary in found:
            machine = objects.machine(summary)
            if machine.state is State.CREATING and not _is_alive(summary):
                continue
            if machine.ref not in by_ref or machine.state is State.CREATING:
                by_ref[machine.ref] = machine
        return [by_ref[ref] for ref in sorted(by_ref)]

    def poll(self, ref: MachineRef) -> Machine | None:
        """The machine as it is now, or None when it does not exist.

        A machine whose sshd is dead runs, as far as the engine knows: only `ensure` says BROKEN.
        """
        ready, making = self._find(ref)
        found = making if making and _is_alive(making) else ready
        return objects.machine(found) if found else None

    def usage(self, machine: Machine) -> Usage | None:
        """What the machine uses now; None when it does not run. See `usage`."""
        with self._errors(machine.ref, "could not be looked at"), suppress(docker.errors.NotFound):
            return usage(self._api.inspect_container(machine.id))
        return None

    def disks(self) -> list[Disk]:
        """How full the disks of the machines that run are; the engine itself mostly cannot bound them."""
        found = []
        for summary in self._list({}):
            if summary["State"] != "running" or objects.is_making(summary):
                continue
            with suppress(docker.errors.NotFound):
                storage = self._api.inspect_container(summary["Id"])["GraphDriver"]["Data"] or {}
                used = disk.used(Path(storage["UpperDir"])) if "UpperDir" in storage else None
                limit = int(summary["Labels"].get(LABEL + "disk") or 0)
                if used is not None:
                    found.append(Disk(objects.ref_of(summary["Labels"]), used, limit))
        return found

    # Making

    def ensure(self, spec: MachineSpec, progress: Progress = silent) -> Machine:
        """Make the machine exist, run and answer to ssh. See `base.Driver.ensure`.

        A machine that exists and does not answer, because its student broke it, is no error: it is
        given back as BROKEN within `boot_timeout`, so that the notebook comes all the same and
        the student can look at the machine's console, or reset it.
        """
        while True:
            ready = self._settle(spec.ref, progress)
            with suppress(_Taken, Claimed):
                if ready:
                    return self._wake(ready, spec, progress)
                return self._make(spec, names.image(self.room_id, spec.image), None, progress)

    def reset(self, spec: MachineSpec, progress: Progress = silent) -> Machine:
        """Replace the machine by a clean one. The old one is given up only when the new one is ready."""
        return self._replace(spec, names.image(self.room_id, spec.image), progress)

    def restore(self, spec: MachineSpec, name: str, progress: Progress = silent) -> Machine:
        """Replace the machine by one made from its snapshot `name`."""
        return self._replace(spec, self._snapshot(spec.ref, name).id, progress, setup=False)

    def _replace(self, spec: MachineSpec, image: str, progress: Progress, setup: bool = True) -> Machine:
        if not setup:
            spec = replace(spec, setup=None)
        while True:
            old = self._settle(spec.ref, progress)
            with suppress(_Taken, Claimed):
                return self._make(spec, image, old, progress)

    def _settle(self, ref: MachineRef, progress: Progress) -> Mapping[str, Any] | None:
        """Wait until nobody makes the machine, clear up after who died doing so, and say what is there."""
        told = False
        while True:
            with suppress(Claimed), claim(objects.making_name(self.room_id, ref)):
                return self._cleared(ref)
            if not told:
                progress(5, f"Machine {ref.machine} is being made already")
                told = True
            time.sleep(0.2)

    def _cleared(self, ref: MachineRef) -> Mapping[str, Any] | None:
        """What is there of the machine, and nothing half made. To be called by who holds its claim."""
        ready, making = self._find(ref)
        if not making:
            return ready
        if (
            making["Labels"].get(LABEL + "replaces") and not ready
        ):  # what it replaces goes when it is complete
            self._api.rename(making["Id"], objects.container_name(self.room_id, ref))
            return self._find(ref)[0]
        self._remove(making["Id"])
        return ready

    def tidy(self) -> list[MachineRef]:
        """Clear up after makers that died; the machines that it was about."""
        cleared = []
        for summary in self._list({}):
            if objects.is_making(summary):
                ref = objects.ref_of(summary["Labels"])
                name = objects.making_name(self.room_id, ref)
                with (
                    suppress(Claimed),
                    self._errors(ref, "is half made and could not be cleared up"),
                    claim(name),
                ):
                    self._cleared(ref)
                    cleared.append(ref)
        self._sweep_networks()
        return cleared

    def _make(
        self, spec: MachineSpec, image: str, old: Mapping[str, Any] | None, progress: Progress
    ) -> Machine:
        """A new machine in the place of `old`, or an error and `old` as it was, but stopped."""
        ref, what = spec.ref, f"Machine {spec.ref.machine}"
        making = objects.making_name(self.room_id, ref)
        progress(5, f"{what}: making it from image {spec.image}")
        with claim(making), self._errors(ref, "could not be made"):
            inspected = self._inspect_image(spec, image)
            replaces = old["Id"] if old else ""
            config = objects.container(spec, self.room_id, inspected, spec.image, self.tools, replaces)
            networks = self.ensure_networks([spec])
            try:
                new = self._api.create_container_from_config(config, making)["Id"]
            except APIError as error:
                if error.status_code == 409 or _is_missing_network(error):
                    raise _Taken from None
                raise
            try:
                for network in networks[1:]:
                    self._connect(new, network, objects.aliases(ref))
                self._api.put_archive(new, "/", objects.files(spec))
                if old:
                    progress(25, f"{what}: switching the old one off")
                    self._kill(old["Id"])
                progress(30, f"{what}: starting")
                self._api.start(new)
                answers = self._boot(
                    new, spec, progress, saved=image != names.image(self.room_id, spec.image)
                )
                if spec.setup:
                    self._set_up(new, spec, progress)
                if old:
                    self._remove(old["Id"])
                self._api.rename(new, objects.container_name(self.room_id, ref))
                self._sweep(ref)
            except BaseException:
                self._remove(new)
                raise
        progress(100, f"{what} is ready" if answers else f"{what} runs, and its ssh does not answer")
        return self._get(ref) if answers else replace(self._get(ref), state=State.BROKEN)

    def _wake(self, ready: Mapping[str, Any], spec: MachineSpec, progress: Progress) -> Machine:
        """Let an existing machine run and answer, or say that it is broken."""
        what, state = f"Machine {spec.ref.machine}", ready["State"]
        patience = self.boot_timeout
        problem = ""
        try:
            if state == "running":
                patience = self.answer_timeout
            elif state == "paused":
                progress(50, f"{what}: resuming")
                self._api.unpause(ready["Id"])
                patience = self.answer_timeout
            else:
                progress(30, f"{what}: starting")
                for network in self.ensure_networks([spec]):
                    self._connect(ready["Id"], network, objects.aliases(spec.ref))
                self._api.start(ready["Id"])
            progress(70, f"{what}: waiting for its ssh")
            if not self._answers(ready["Id"], patience):
                problem = "its ssh does not answer"
        except APIError as error:
            if error.status_code == 404 and "No such container" in str(error.explanation):
                raise _Taken from None
            problem = _sentence(error)
        machine = self._get(spec.ref)
        if problem and state == "running" and machine.state is State.STOPPED:
            raise _Taken  # it went down just now, and can be started
        if not problem:
            progress(100, f"{what} is ready")
            return machine
        progress(100, f"{what} is broken ({problem}): reset it")
        return replace(machine, state=State.BROKEN)

    def _boot(self, new: str, spec: MachineSpec, progress: Progress, saved: bool) -> bool:
        """Whether it answers to ssh once it has booted; a `saved` one may be as its student broke it."""
        progress(50, f"Machine {spec.ref.machine}: booting")
        answers = self._answers(new, self.boot_timeout)
        if not answers and not (saved and self._api.inspect_container(new)["State"]["Running"]):
            log = self._api.logs(new, tail=20).decode(errors="replace").strip()
            raise MachineError(
                f"{spec.ref}: its sshd did not answer within {self.boot_timeout:g} s after the start. "
                f"Look at image '{spec.image}'. The machine said: {log or 'nothing'}"
            )
        return answers

    def _set_up(self, new: str, spec: MachineSpec, progress: Progress) -> None:
        progress(70, f"Machine {spec.ref.machine}: setting up")
        script = objects.SETUP
        run = (
            f"export DEBIAN_FRONTEND=noninteractive PATH={PATH}; {script}; set -- $?; rm -f {script}; exit $1"
        )
        with DockerSession(self._api, lambda: new, str(spec.ref)) as session:
            result = session.run(run, timeout=self.setup_timeout)
        if result.rc:
            end = (
                f"did not end within {self.setup_timeout:g} s"
                if result.timed_out
                else f"ended with {result.rc}"
            )
            said = (result.stdout + result.stderr).decode(errors="replace").strip()[-2000:]
            raise MachineError(f"{spec.ref}: its set-up script {end}; mend it. It said:\n{said}")

    def _answers(self, container: str, patience: float) -> bool:
        """Whether an sshd answers on the container, waited for as long as it runs."""
        end = time.monotonic() + patience
        pause = 0.05
        while True:
            inspected = self._api.inspect_container(container)
            if not inspected["State"]["Running"]:
                return False
            ends = inspected["NetworkSettings"]["Networks"].values()
            address = next((e["IPAddress"] for e in ends if e["IPAddress"]), "")
            if address and is_ssh(address, max(0.1, min(2.0, end - time.monotonic()))):
                return True
            if time.monotonic() + pause > end:
                return False
            time.sleep(pause)
            pause = min(0.5, pause * 1.5)

    # Switching

    def suspend(self, ref: MachineRef) -> Machine:
        """Stop the machine using CPU, its processes and memory kept."""
        machine = self._get(ref)
        if machine.state is State.STOPPED:
            raise MachineError(f"{ref} is stopped, there is nothing to suspend. Start it first.")
        with self._errors(ref, "could not be suspended"):
            if machine.state is not State.SUSPENDED:
                self._switch(self._api.pause, machine.id, "already paused")
        return self._get(ref)

    def resume(self, ref: MachineRef) -> Machine:
        """Let a suspended machine go on."""
        machine = self._get(ref)
        if machine.state is State.STOPPED:
            raise MachineError(f"{ref} is stopped, not suspended. Start it.")
        with self._errors(ref, "could not be resumed"):
            if machine.state is State.SUSPENDED:
                self._switch(self._api.unpause, machine.id, "not paused")
        return self._get(ref)

    def stop(self, ref: MachineRef) -> Machine:
        """Shut the machine down; its disk is kept, and `ensure` starts it again."""
        machine = self._get(ref)
        with self._errors(ref, "could not be stopped"):
            if machine.state is State.SUSPENDED:
                self._switch(self._api.unpause, machine.id, "not paused")
            self._api.stop(machine.id, timeout=5)
        return self._get(ref)

    def delete(self, ref: MachineRef) -> None:
        """Remove the machine with everything that belongs to it alone; snapshots are kept.

        The networks on which nobody is left go with it.
        """
        with self._errors(ref, "could not be deleted"):
            for found in self._find(ref):
                if found:
                    self._remove(found["Id"])
            self._sweep(ref)
            self.release_networks(ref.owner)

    def introduce(self, owner: str) -> None:
        """Nothing: the engine tells names to all who are on a network with the machines."""

    # Snapshots

    def snapshot(self, ref: MachineRef, name: str, keeper: MachineRef | None = None) -> Snapshot:
        """Save the machine's disk under `name`, in the place of an older snapshot of this name.

        The engine pauses the machine while it copies, so that what is saved is of one moment.
        """
        machine, keeper = self._get(ref), keeper or ref
        if machine.state is State.CREATING:
            raise MachineError(f"{ref} is being made anew. Wait until it is ready, then try again.")
        repository, tag = objects.snapshot_tag(self.room_id, keeper, name)
        labels = {**objects.labels(self.room_id, keeper), LABEL + "snapshot": name}
        with self._errors(ref, f"could not be saved as '{name}'"):
            self._refuse_to_save_too_much(machine)
            self._api.commit(machine.id, repository=repository, tag=tag, conf={"Labels": labels})
            self._sweep(keeper)
        return self._snapshot(keeper, name)

    def _refuse_to_save_too_much(self, machine: Machine) -> None:
        """A copy of a disk takes as much again, and every hole in a file is filled."""
        listed = self._api.containers(all=True, size=True, filters={"id": machine.id})
        held = max((summary.get("SizeRw") or 0 for summary in listed), default=0)
        if held > self.snapshot_limit:
            raise MachineError(
                f"{machine.ref} holds {held / 1e9:.1f} GB beyond its image, more than the "
                f"{self.snapshot_limit / 1e9:.1f} GB that can be saved. Delete what is not needed there "
                "(du -xh / | sort -h | tail shows what is large), then try again."
            )

    def snapshots(self, ref: MachineRef | None = None) -> list[Snapshot]:
        """The machine's snapshots, or those of all machines; oldest first."""
        found = [objects.snapshot(image) for image in self._images(ref) if objects.is_tagged(image)]
        return sorted(found, key=lambda s: (s.created, s.name))

    def delete_snapshot(self, ref: MachineRef, name: str) -> None:
        """Forget a snapshot; one that does not exist is no error.

        The disk that a machine was restored to lives as long as the machine.
        """
        tag = ":".join(objects.snapshot_tag(self.room_id, ref, name))
        failure = f"has a snapshot '{name}' that could not be deleted"
        with self._errors(ref, failure), suppress(docker.errors.ImageNotFound):
            self._api.remove_image(tag, force=True)

    def _snapshot(self, ref: MachineRef, name: str) -> Snapshot:
        found = self.snapshots(ref)
        for snapshot in found:
            if snapshot.name == name:
                return snapshot
        known = ", ".join(s.name for s in found) or "none"
        raise MachineError(f"{ref} has no snapshot '{name}'; it has: {known}")

    def _images(self, ref: MachineRef | None) -> list[Mapping[str, Any]]:
        """The machine's snapshots, or all, and the forgotten ones that something still stood on."""
        wanted = objects.label_filter(
            objects.labels(self.room_id, ref) if ref else {LABEL + "room": self.room_id}
        )
        with self._errors(ref, "has snapshots that could not be listed"):
            return self._api.images(filters={"label": [*wanted["label"], LABEL + "snapshot"]})

    def _sweep(self, ref: MachineRef) -> None:
        """Remove forgotten snapshots on which nothing stands any more."""
        for image in self._images(ref):
            if not objects.is_tagged(image):
                with suppress(APIError):
                    self._api.remove_image(image["Id"])

    # Reaching in

    def open_session(self, ref: MachineRef) -> DockerSession:
        """A session in busybox's shell from the host's tools folder; see `session`."""
        self._running(ref)
        return DockerSession(self._api, lambda: self._running(ref), str(ref))

    def console(self, ref: MachineRef, rows: int = 24, columns: int = 80) -> DockerConsole:
        """A raw root terminal: bash, or busybox's shell when bash is gone."""
        container = self._running(ref)
        with self._errors(ref, "has no console now"):
            return DockerConsole(self._api, container, str(ref), rows, columns)

    def _running(self, ref: MachineRef) -> str:
        """The id of the machine's running container."""
        machine = self._get(ref)
        if machine.state is State.RUNNING:
            return machine.id
        todo = {
            State.CREATING: "is still being made. Wait a moment.",
            State.SUSPENDED: "is suspended. Resume it first.",
            State.STOPPED: "is stopped. Start it first.",
        }.get(machine.state, "is broken. Reset it.")
        raise MachineError(f"{ref} {todo}")

    # Networks

    def ensure_networks(self, specs: Iterable[MachineSpec]) -> list[str]:
        """Make all networks that the machines of `specs` are on; their names, each once, in order."""
        wanted = {
            objects.network_name(self.room_id, spec.ref, network): spec.ref.owner
            for spec in specs
            for network in spec.networks
        }
        for name, owner in wanted.items():
            self._ensure_network(owner, name)
        return list(wanted)

    def join(self, owner: str, container: str) -> None:
        """Join a workspace to all networks of its owner; on some already is fine.

        The owner's own network is made for it. Networks that come later are joined by themselves.
        """
        self._ensure_network(owner, names.network(self.room_id, owner))
        for network in self._networks(owner):
            self._connect(container, network["Name"], ["workspace"])

    def _connect(self, container: str, network: str, aliases: list[str]) -> None:
        try:
            self._api.connect_container_to_network(container, network, aliases=aliases)
        except APIError as error:
            if "already exists in network" not in str(error.explanation):
                raise MachineError(f"{container} cannot join network {network}: {_sentence(error)}") from None

    def release_networks(self, owner: str) -> None:
        """Remove the networks of `owner` on which no container is left, running or not."""
        for network in self._networks(owner):
            if not self._api.containers(all=True, filters={"network": network["Name"]}):
                with suppress(APIError):  # somebody has just joined it, or removed it
                    self._api.remove_network(network["Id"])

    def _sweep_networks(self) -> None:
        """Remove empty networks of owners that are no people: whoever made them has died in between."""
        before = datetime.now(UTC) - timedelta(seconds=30)
        for network in self._api.networks(filters=objects.label_filter({LABEL + "room": self.room_id})):
            owner = network["Labels"].get(LABEL + "owner", "")
            if ":" in owner and datetime.fromisoformat(network["Created"][:19] + "+00:00") < before:
                self.release_networks(owner)

    def _networks(self, owner: str) -> list[Mapping[str, Any]]:
        wanted = {LABEL + "room": self.room_id, LABEL + "owner": owner}
        return self._api.networks(filters=objects.label_filter(wanted))

    def _ensure_network(self, owner: str, name: str) -> None:
        for _ in range(50):
            existing = self._api.networks()
            if any(network["Name"] == name for network in existing):
                return
            taken = [
                pool["Subnet"]
                for network in existing
                for pool in (network["IPAM"]["Config"] or [])
                if ":" not in pool.get("Subnet", ":")
            ]
            subnet = next(objects.free_subnets(self.address_pool, [*taken, *_routes()], name), None)
            if subnet is None:
                raise MachineError(
                    f"No network for {owner}: every /28 of {self.address_pool} is taken. "
                    "Set c.DockerDriver.address_pool to a larger one."
                )
            try:
                self._api._result(
                    self._api._post_json(
                        self._api._url("/networks/create"),
                        data=objects.network(self.room_id, owner, name, subnet),
                    ),
                    True,
                )
            except APIError as error:
                # Somebody else took the subnet, or made this very network (it has the same bridge).
                if not any(
                    sign in str(error.explanation) for sign in ("overlap", "same bridge", "already exists")
                ):
                    raise MachineError(f"No network for {owner}: {_sentence(error)}") from None
                time.sleep(0.05)
            else:
                self._invite(owner, name)
                return
        raise MachineError(
            f"No network for {owner}: the engine refused 50 subnets. Run ./machineroom doctor."
        )

    def _invite(self, owner: str, network: str) -> None:
        """Join the owner's workspace, if it is there, to a network that is new."""
        wanted = {LABEL + "room": self.room_id, LABEL + "owner": owner}
        for summary in self._api.containers(all=True, filters=objects.label_filter(wanted)):
            if LABEL + "machine" not in summary["Labels"]:
                self._connect(summary["Id"], network, ["workspace"])

    # The engine

    def _list(self, wanted: Mapping[str, str]) -> list[Mapping[str, Any]]:
        filters = objects.label_filter({LABEL + "room": self.room_id, **wanted})
        filters["label"].append(LABEL + "machine")
        with self._errors(None, "could not be listed"):
            return self._api.containers(all=True, filters=filters)

    def _find(self, ref: MachineRef) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
        """The machine's container, and the one that is being made in its place."""
        found = self._list(objects.labels(self.room_id, ref))
        ready = next((s for s in found if not objects.is_making(s)), None)
        making = next((s for s in found if objects.is_making(s)), None)
        return ready, making

    def _get(self, ref: MachineRef) -> Machine:
        machine = self.poll(ref)
        if machine is None:
            raise NoSuchMachine(f"{ref} does not exist. Start the lab to make it.")
        return machine

    def _inspect_image(self, spec: MachineSpec, image: str) -> Mapping[str, Any]:
        try:
            return self._api.inspect_image(image)
        except docker.errors.ImageNotFound:
            raise MachineError(
                f"{spec.ref}: there is no image '{spec.image}' here. "
                f"Run ./machineroom image build {spec.image}"
            ) from None

    def _switch(self, action: Callable[[str], None], container: str, done: str) -> None:
        """Do what somebody else may have done at the same moment."""
        for last in (False,) * 9 + (True,):
            try:
                action(container)
            except APIError as error:
                # with cgroup v1 a container on a busy host may fork faster than it is frozen, for a moment
                if "unable to freeze" in str(error.explanation) and not last:
                    time.sleep(0.2)
                    continue
                if done not in str(error.explanation):
                    raise
            return

    def _kill(self, container: str) -> None:
        with suppress(docker.errors.NotFound):
            self._api.stop(container, timeout=0)

    def _remove(self, container: str) -> None:
        for _ in range(100):
            try:
                self._api.remove_container(container, v=True, force=True)
            except docker.errors.NotFound:
                return
            except APIError as error:
                if "already in progress" not in str(error.explanation):
                    raise
                time.sleep(0.1)
            else:
                return

    @contextmanager
    def _errors(self, ref: MachineRef | None, failure: str) -> Iterator[None]:
        """Turn what the engine says into a MachineError about `ref`."""
        what = str(ref or "The machines")
        try:
            yield
        except APIError as error:
            raise MachineError(f"{what} {failure}: {_sentence(error)}") from None
        except RequestException as error:
            raise MachineError(
                f"{what} {failure}: the Docker engine does not answer ({error}). Run ./machineroom doctor."
            ) from None


class _Taken(Exception):
    """What was just seen is so no more, for somebody else was at it: look again."""


def _is_alive(making: Mapping[str, Any]) -> bool:
    """Whether somebody is still making the machine that this container is to become."""
    return any(is_claimed(name.lstrip("/")) for name in making["Names"])


def _routes() -> list[str]:
    """The IPv4 networks that this host has a route to, its default route left out."""
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[i])[::-1], "big") for i in (1, 7))
        if mask:
            found.append(str(ipaddress.IPv4Network((address, bin(mask).count("1")))))
    return found


def _is_missing_network(error: APIError) -> bool:
    return error.status_code == 404 and "network" in str(error.explanation)


def _sentence(error: APIError) -> str:
    """What the engine said, with what to do about it where we know."""
    said = str(error.explanation).strip().rstrip(".")
    if "nknown runtime" in said or "unknown or invalid runtime" in said:
        return f"the engine has no OCI runtime '{objects.RUNTIME}' for systemd. Run ./machineroom doctor"
    if "no space left on device" in said:
        return f"{said}: the engine's disk is full. Make room (docker system df says what takes it)"
    if "bind source path does not exist" in said:
        return f"{said}. Run ./machineroom up, which puts it there"
    if "no available IPv4 addresses" in said:
        return f"{said}: a student's network holds 13 machines and workspaces. Delete some"
    return said
