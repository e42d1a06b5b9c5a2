"""The driver interface: all that the rest of Machineroom knows about an infrastructure.

A driver makes machines on one kind of infrastructure. Its callers are the spawner, the
service, the grader and the command line, and none of them knows which driver it has.

What every driver owes, and every caller may assume:

- **The infrastructure is the record.** A driver keeps no list of its own: `machines()` reads
  labels or metadata, so it is right after any crash, and two processes may use one driver each.
- **Every method is idempotent**: calling it again after a crash in the middle leads to the same end.
- **Methods block** and are safe to call from many threads; async callers use a thread pool.
- **One machine's failure is its own**: it is raised as `MachineError`, whose text says what
  happened, to which machine, and what to do next.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from ..spec import MachineRef, MachineSpec


class State(StrEnum):
    """What state a machine is in, as the infrastructure tells it."""

    CREATING = "creating"
    RUNNING = "running"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    BROKEN = "broken"


@dataclass(frozen=True)
class Machine:
    """A machine that exists. `address` is an IP address, "" unless it runs; `driver` a driver's name."""

    ref: MachineRef
    state: State
    image: str
    driver: str
    id: str
    created: datetime
    address: str = ""


@dataclass(frozen=True)
class Usage:
    """What a machine that runs uses at the moment `time`, and how much it may. Memory is in bytes.

    `ports` are the TCP ports, other than ssh's, on which it listens for others than itself; `network`
    is how many bytes went in and out since it started, `typed` when a terminal of it was last used.
    """

    time: datetime
    started: datetime
    cpu_seconds: float
    cpus: float
    memory: int
    memory_limit: int
    processes: int
    process_limit: int
    ports: tuple[int, ...]
    network: int
    typed: datetime | None


@dataclass(frozen=True)
class Disk:
    """What a machine that runs has written beyond its image, and how much it may, in bytes; 0: anything."""

    ref: MachineRef
    used: int
    limit: int


@dataclass(frozen=True)
class Snapshot:
    """A saved state of a machine. `size` is what it costs beyond its image, in bytes."""

    ref: MachineRef
    name: str
    id: str
    created: datetime
    size: int


class MachineError(Exception):
    """What happened, to which machine, and what to do next."""


class NoSuchMachine(MachineError):
    """The machine that was named does not exist."""


Progress = Callable[[int, str], None]
"""Told of each step: percent done (0 to 100) and a short sentence for the person who waits."""


def silent(percent: int, message: str) -> None:
    """A `Progress` for callers that nobody watches."""


Trust = Literal["outside", "machine"]
"""Whose word an answer is. `outside`: tools that the machine cannot change read it from the kernel or the
disk. `machine`: it hangs on programs of the machine, which whoever is root there can change."""


@dataclass(frozen=True)
class Result:
    """What a command on a machine did. `seconds` is wall time.

    `rc` is -1 when the command was ended by its time limit (`timed_out`); `truncated` says that
    there was more output than was asked for; `trust` says whose word it is.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False
    trust: Trust = "machine"


class Session(Protocol):
    """Runs one command after another on a machine as root, without a new process on our side for each."""

    def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Result:
        """Run a shell command; `timeout` in seconds, `limit` of each output stream in bytes.

        A command that runs too long is killed with everything it started. Raises MachineError
        when the machine cannot be reached at all.
        """

    def close(self) -> None:
        """End the session and everything that still runs in it."""


class Console(Protocol):
    """A raw terminal on a machine, for when its ssh is broken. Bytes in, bytes out."""

    def read(self, size: int = 65536) -> bytes:
        """Wait for output; b"" when the console is closed."""

    def write(self, data: bytes) -> None:
        """Type `data`."""

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size, in characters."""

    def close(self) -> None:
        """Close the console."""


class Driver(ABC):
    """Makes machines on one kind of infrastructure."""

    name: str
    """How `lab.yml` names this driver."""

    @abstractmethod
    def ensure(self, spec: MachineSpec, progress: Progress = silent) -> Machine:
        """Make the machine exist, run and answer to ssh; start, resume or create it as needed.

        A machine that exists is never changed or recreated to fit a changed spec: it holds
        somebody's work. Set-up is run once, and a machine whose set-up did not end is made anew.
        One that exists and does not answer, because its student broke it, is given back as BROKEN
        within a bounded time; one that cannot be made is a MachineError, and leaves nothing.
        """

    @abstractmethod
    def machines(self, owner: str | None = None, course: str | None = None) -> list[Machine]:
        """All machines of this installation, or those of one owner or course, by one listing."""

    @abstractmethod
    def poll(self, ref: MachineRef) -> Machine | None:
        """The machine as it is now, or None when it does not exist."""

    @abstractmethod
    def tidy(self) -> list[MachineRef]:
        """Clear up what was being made by who died meanwhile; the machines that it was about.

        Called now and then. Until it is, what is half made is no machine: it is not listed, and
        `ensure` and `reset` make it good.
        """

    @abstractmethod
    def usage(self, machine: Machine) -> Usage | None:
        """What the machine uses now, at little cost; None when it does not run."""

    @abstractmethod
    def disks(self) -> list[Disk]:
        """How full the disks of the machines that run are, where the driver itself has to look after that.

        It may take long: every file is looked at.
        """

    @abstractmethod
    def suspend(self, ref: MachineRef) -> Machine:
        """Stop the machine using CPU, its processes and memory kept."""

    @abstractmethod
    def resume(self, ref: MachineRef) -> Machine:
        """Let a suspended machine go on."""

    @abstractmethod
    def stop(self, ref: MachineRef) -> Machine:
        """Shut the machine down; its disk is kept, and `ensure` starts it again."""

    @abstractmethod
    def reset(self, spec: MachineSpec, progress: Progress = silent) -> Machine:
        """Replace the machine by a clean one. Its state is lost; its snapshots are kept."""

    @abstractmethod
    def snapshot(self, ref: MachineRef, name: str, keeper: MachineRef | None = None) -> Snapshot:
        """Save the machine's disk under `name`, while it runs or not.

        It is a snapshot of the machine's own, or of `keeper`: then the machine's owner neither sees
        it nor can take it away, and a copy of the machine is made by restoring `keeper`.
        A disk that holds more than the driver saves is a MachineError that says what to do.
        """

    @abstractmethod
    def snapshots(self, ref: MachineRef | None = None) -> list[Snapshot]:
        """The machine's snapshots, or those of all machines by one listing; oldest first."""

    @abstractmethod
    def restore(self, spec: MachineSpec, name: str, progress: Progress = silent) -> Machine:
        """Replace the machine by one made from its snapshot `name`.

        One that runs and does not answer to ssh is given back as BROKEN: so it was saved.
        """

    @abstractmethod
    def delete_snapshot(self, ref: MachineRef, name: str) -> None:
        """Forget a snapshot; one that does not exist is no error."""

    @abstractmethod
    def delete(self, ref: MachineRef) -> None:
        """Remove the machine with everything that belongs to it alone; snapshots are kept."""

    @abstractmethod
    def introduce(self, owner: str) -> None:
        """Have the owner's workspace, if it runs, know the owner's machines by name.

        To be called when a workspace has started; machines that come later are made known by themselves.
        Nothing has to be done where an infrastructure tells names itself.
        """

    @abstractmethod
    def open_session(self, ref: MachineRef) -> Session:
        """A session that does not depend on anything that the student can break, where that can be had."""

    @abstractmethod
    def console(self, ref: MachineRef, rows: int = 24, columns: int = 80) -> Console:
        """A raw root terminal that does not need ssh."""
