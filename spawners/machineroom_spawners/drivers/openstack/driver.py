"""The OpenStack driver: a machine is a server of a cloud, reached by ssh."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ...spec import MachineRef, MachineSpec
from .. import hosts
from ..base import (
    Disk,
    Driver,
    Machine,
    MachineError,
    NoSuchMachine,
    Progress,
    Snapshot,
    State,
    Usage,
    silent,
)
from ..claims import Claimed, claim, turn
from ..serial import SerialConsole
from ..ssh import SshSession
from . import objects, words
from .api import Cloud, CloudError
from .door import Door
from .parts import Parts
from .servers import Servers
from .snapshots import Snapshots
from .watch import Server

BOOT_SECONDS = 600.0
"""From the order until ssh answers, for a server that is being made or started."""

ANSWER_SECONDS = 20.0
"""Until ssh answers, for a server that was running already."""


WRITE_BACK_SECONDS = 40.0
"""In which a kernel writes to the disk what was written to a file: Linux does after 30 s, looking every 5."""


class OpenStackDriver(Driver):
    """Makes machines on the cloud `machineroom` of the file `clouds`.

    Its credentials need no more than the role `member` in a project of their own. `secret` is the
    installation's, from which the keys of machines and of the service follow.
    """

    name = "openstack"

    def __init__(self, room_id: str, secret: bytes, clouds: Path) -> None:
        self.room_id = room_id
        self._cloud = Cloud(clouds)
        self._servers = Servers(self._cloud, room_id)
        self._snapshots = Snapshots(self._cloud, room_id)
        self._parts = Parts(self._cloud, room_id)
        self._door = Door(secret)

    # Listing

    def machines(self, owner: str | None = None, course: str | None = None) -> list[Machine]:
        """All machines of this installation, or those of one owner or course, by one listing."""
        with self._errors(None, "could not be listed"):
            found = [objects.machine(server) for server in self._servers.machines()]
        chosen = (m for m in found if owner in (None, m.ref.owner) and course in (None, m.ref.course))
        return sorted(chosen, key=lambda m: m.ref)

    def poll(self, ref: MachineRef) -> Machine | None:
        """The machine as it is now, or was a second ago; None when it does not exist."""
        with self._errors(ref, "could not be looked at"):
            found = self._servers.machine(ref)
        return objects.machine(found) if found else None

    def introduce(self, owner: str) -> None:
        """Write the addresses of the owner's servers into the owner's workspace."""
        hosts.introduce(self.room_id, owner, self.machines(owner))

    def usage(self, machine: Machine) -> Usage | None:  # noqa: ARG002
        """None: what a server uses is told to a cloud's operators alone."""
        return None

    def disks(self) -> list[Disk]:
        """Nothing: a server's disk is as large as its flavor says."""
        return []

    # Making

    def ensure(self, spec: MachineSpec, progress: Progress = silent) -> Machine:
        """Make the machine exist, run and answer to ssh. See `base.Driver.ensure`."""
        with self._alone(spec.ref, progress):
            if found := self._cleared(spec.ref):
                return self._wake(found, spec, progress)
            return self._make(spec, None, progress)

    def reset(self, spec: MachineSpec, progress: Progress = silent) -> Machine:
        """Replace the machine by a clean one, which keeps its addresses.

        The old server goes first: a project's quota need not have room for two. What the new one needs of
        the cloud is looked up before.
        """
        return self._replace(spec, None, progress)

    def restore(self, spec: MachineSpec, name: str, progress: Progress = silent) -> Machine:
        """Replace the machine by one made from its snapshot `name`."""
        with self._errors(spec.ref, "has snapshots that could not be listed"):
            image = self._snapshots.called(spec.ref, name).id
        return self._replace(replace(spec, setup=None), image, progress)

    def _replace(self, spec: MachineSpec, image: str | None, progress: Progress) -> Machine:
        with self._alone(spec.ref, progress):
            with self._errors(spec.ref, "stays as it is"):
                self._parts.choose(spec, image)
            if found := self._cleared(spec.ref):
                progress(5, f"Machine {spec.ref.machine}: removing the old one")
                with self._errors(spec.ref, "could not be replaced"):
                    self._servers.remove(found)
            return self._make(spec, image, progress)

    def _cleared(self, ref: MachineRef) -> Server | None:
        """The machine's server, and nothing half made or going. To be called by who holds its claim."""
        with self._errors(ref, "is half made and could not be cleared up"):
            whole = []
            for server in self._servers.of(ref):
                if objects.is_making(server) or objects.is_leaving(server):
                    self._servers.remove(server)
                else:
                    whole.append(server)
        return whole[0] if whole else None

    def tidy(self) -> list[MachineRef]:
        """Clear up what makers that died have left: servers, ports, floating IPs. See `base`."""
        cleared = []
        with self._errors(None, "could not be cleared up"):
            for server in self._servers.half_made():
                ref = objects.ref_of(server["metadata"])
                with suppress(Claimed), claim(server["name"]):
                    self._cleared(ref)
                    cleared.append(ref)
            self._parts.sweep(self._servers.is_there)
        return cleared

    def _make(self, spec: MachineSpec, image: str | None, progress: Progress) -> Machine:
        """A new server. What fails leaves nothing."""
        ref, what = spec.ref, f"Machine {spec.ref.machine}"
        with self._errors(ref, "could not be made"):
            try:
                progress(10, f"{what}: asking the cloud for a server")
                choice = self._parts.choose(spec, image)
                place = self._parts.settle(spec, choice.network)
                script = self._door.user_data(spec)
                body = objects.server(spec, self.room_id, choice.image, choice.flavor, *place, script)
                server = self._cloud.post("compute", "/servers", {"server": body})["server"]
                progress(20, f"{what}: the cloud builds it")
                server = self._servers.settled(server["id"], BOOT_SECONDS)
                if server["status"] != "ACTIVE":
                    raise CloudError(words.fault(server))
                progress(50, f"{what}: booting")
                answers = self._door.answers(ref, place.address, BOOT_SECONDS)
                if not answers and image is None:
                    raise CloudError(self._silence(server["id"], spec, place.address))
                if spec.setup:
                    progress(80, f"{what}: setting up")
                    self._door.set_up(spec, place.address)
                self._servers.complete(server["id"])
            except BaseException:
                self._discard(ref)
                raise
        machine = self._made_known(ref)
        progress(100, f"{what} is ready" if answers else f"{what} runs, and its ssh does not answer")
        return machine if answers else replace(machine, state=State.BROKEN)

    def _wake(self, found: Server, spec: MachineSpec, progress: Progress) -> Machine:
        """Let an existing machine run and answer, or say that it is broken."""
        ref, what = spec.ref, f"Machine {spec.ref.machine}"
        problem, patience = "", BOOT_SECONDS
        with self._errors(ref, "could not be started"):
            found = self._servers.settled(found["id"])
            state = objects.state(found)
            if state is State.RUNNING:
                patience = ANSWER_SECONDS
            elif state in (State.SUSPENDED, State.STOPPED):
                progress(30, f"{what}: " + ("resuming" if state is State.SUSPENDED else "starting"))
                found = self._servers.order(found, _WAKE[found["status"]])
            if found["status"] != "ACTIVE":
                problem = words.fault(found) if found["status"] == "ERROR" else f"it is {found['status']}"
            else:
                progress(70, f"{what}: waiting for its ssh")
                if not self._door.answers(ref, objects.machine(found).address, patience):
                    problem = "its ssh does not answer"
        machine = self._made_known(ref)
        if not problem:
            progress(100, f"{what} is ready")
            return machine
        progress(100, f"{what} is broken ({problem}): reset it")
        return replace(machine, state=State.BROKEN)

    def _silence(self, id: str, spec: MachineSpec, address: str) -> str:
        said = ""
        with suppress(CloudError):
            log = self._cloud.post(
                "compute", f"/servers/{id}/action", {"os-getConsoleOutput": {"length": 20}}
            )
            said = log["output"].strip()
        return (
            f"its ssh did not answer at {address} within {BOOT_SECONDS:g} s. Look whether this host reaches "
            f"that address, and whether image '{spec.image}' runs user data. Its console says: {said or '-'}"
        )

    # Switching

    def suspend(self, ref: MachineRef) -> Machine:
        """Stop the machine using CPU, its processes and memory kept."""
        return self._switch(ref, "suspended", {State.RUNNING: "suspend"}, State.SUSPENDED)

    def resume(self, ref: MachineRef) -> Machine:
        """Let a suspended machine go on."""
        return self._switch(ref, "resumed", {State.SUSPENDED: "resume"}, State.RUNNING)

    def stop(self, ref: MachineRef) -> Machine:
        """Shut the machine down; its disk is kept, and `ensure` starts it again."""
        orders = {State.RUNNING: "os-stop", State.SUSPENDED: "resume"}
        return self._switch(ref, "stopped", orders, State.STOPPED)

    def _switch(self, ref: MachineRef, done: str, orders: dict[State, str], wanted: State) -> Machine:
        """Give the orders that lead from the machine's state to the `wanted` one."""
        found = self._server(ref)
        with self._errors(ref, f"could not be {done}"):
            found = self._servers.settled(found["id"])
            while (state := objects.state(found)) is not wanted:
                if state not in orders:
                    raise MachineError(f"{ref} {_NOT[state]}")
                order = orders[state]
                found = self._servers.order(found, _WAKE[found["status"]] if order == "resume" else order)
                if objects.state(found) is state:
                    raise CloudError("Nova did not carry out the order. Try again")
        return self._get(ref)

    def delete(self, ref: MachineRef) -> None:
        """Remove the machine with everything that belongs to it alone; snapshots are kept."""
        with self._errors(ref, "could not be deleted"):
            for server in self._servers.of(ref):
                self._servers.remove(server)
            self._parts.vacate(ref)

    def purge(self) -> None:
        """Remove everything of this room from the cloud: machines, snapshots, ports, floating IPs, groups."""
        for machine in self.machines():
            self.delete(machine.ref)
        self.tidy()
        for snapshot in self.snapshots():
            self.delete_snapshot(snapshot.ref, snapshot.name)
        with self._errors(None, "could not all be removed"):
            self._parts.sweep_groups()

    # Snapshots

    def snapshot(self, ref: MachineRef, name: str, keeper: MachineRef | None = None) -> Snapshot:
        """Save the machine's disk under `name`, in the place of an older snapshot of this name.

        What its programs have written and its kernel has not is on the disk before: at once where we get
        in, and else, as its student can lock us out, when a kernel has had the time to do so by itself.
        """
        found, keeper = self._server(ref), keeper or ref
        if objects.is_making(found):
            raise MachineError(f"{ref} is being made anew. Wait until it is ready, then try again.")
        with self._errors(ref, f"could not be saved as '{name}'"):
            found = self._servers.settled(found["id"])
            if objects.state(found) is State.RUNNING and not self._written(ref):
                time.sleep(WRITE_BACK_SECONDS)
            saved = self._snapshots.take(found, keeper, name)
            self._servers.settled(found["id"])
        return saved

    def _written(self, ref: MachineRef) -> bool:
        """Have the machine's kernel write out what it holds back. Whether it did."""
        with suppress(MachineError), self.open_session(ref) as session:
            return session.run("sync", timeout=30).rc == 0
        return False

    def snapshots(self, ref: MachineRef | None = None) -> list[Snapshot]:
        """The machine's snapshots, or those of all machines by one listing; oldest first."""
        with self._errors(ref, "has snapshots that could not be listed"):
            return self._snapshots.of(ref)

    def delete_snapshot(self, ref: MachineRef, name: str) -> None:
        """Forget a snapshot; one that does not exist is no error."""
        with self._errors(ref, f"has a snapshot '{name}' that could not be deleted"):
            for found in self._snapshots.of(ref):
                if found.name == name:
                    self._snapshots.remove(found)

    # Reaching in

    def open_session(self, ref: MachineRef) -> SshSession:
        """A session over ssh: on a server every answer is the machine's word."""
        self._running(ref)
        return self._door.session(ref, lambda: self._running(ref).address)

    def console(self, ref: MachineRef, rows: int = 24, columns: int = 80) -> SerialConsole:  # noqa: ARG002
        """The server's serial port, which needs neither network nor ssh; images keep a root shell there."""
        machine = self._running(ref)
        with self._errors(ref, "has no console now"):
            wanted = {"remote_console": {"protocol": "serial", "type": "serial"}}
            answer = self._cloud.post("compute", f"/servers/{machine.id}/remote-consoles", wanted)
        return SerialConsole(answer["remote_console"]["url"], str(ref))

    def _running(self, ref: MachineRef) -> Machine:
        machine = self._get(ref)
        if machine.state is State.RUNNING:
            return machine
        raise MachineError(f"{ref} {_NOT[machine.state]}")

    def _server(self, ref: MachineRef) -> Server:
        with self._errors(ref, "could not be looked at"):
            found = self._servers.machine(ref)
        if found is None:
            raise NoSuchMachine(f"{ref} does not exist. Start the lab to make it.")
        return found

    def _get(self, ref: MachineRef) -> Machine:
        return objects.machine(self._server(ref))

    def _made_known(self, ref: MachineRef) -> Machine:
        """The machine, which its owner's workspace knows by name from now on."""
        machine = self._get(ref)
        hosts.introduce(self.room_id, ref.owner, [machine])
        return machine

    def _discard(self, ref: MachineRef) -> None:
        """Leave nothing of a machine that could not be made; what cannot be removed now, `tidy` removes."""
        with suppress(CloudError):
            for server in self._servers.of(ref):
                self._servers.remove(server)
            self._parts.vacate(ref)

    @contextmanager
    def _alone(self, ref: MachineRef, progress: Progress) -> Iterator[None]:
        """Wait until nobody else makes or wakes the machine."""
        message = f"Machine {ref.machine} is being made or started already"
        with turn(objects.machine_name(self.room_id, ref), lambda: progress(5, message)):
            yield

    @contextmanager
    def _errors(self, ref: MachineRef | None, failure: str) -> Iterator[None]:
        """Turn what the cloud says into a MachineError about `ref`."""
        try:
            yield
        except CloudError as error:
            raise MachineError(f"{ref or 'The machines'} {failure}: {error}.") from None


_WAKE = {
    "PAUSED": "unpause",
    "SUSPENDED": "resume",
    "SHUTOFF": "os-start",
    "SHELVED": "unshelve",
    "SHELVED_OFFLOADED": "unshelve",
}
"""What has to be said to Nova so that a server runs again, by its status."""

_NOT = {
    State.CREATING: "is still being made. Wait a moment.",
    State.SUSPENDED: "is suspended. Resume it first.",
    State.STOPPED: "is stopped. Start it first.",
    State.BROKEN: "is broken. Reset it.",
}
"""What to do first with a machine that does not run."""
