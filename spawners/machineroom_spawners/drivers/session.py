"""Sessions: one shell loop on a machine that lives on, and runs one command after another.

Commands go in over the loop's stdin, output comes back in frames of two streams, as the engine makes
them, between markers that are new for every command. How the loop is started is the driver's affair.

On machines that are containers it is one of the engine's execs, in the static busybox of the host's
tools folder, which the student can neither replace nor delete. The command's own shell, and the tools
that read facts (`test`, `cat`, `stat`, `grep`, …), are busybox's too, so that a student who swaps
`/bin/sh` or `/usr/bin/stat` changes no verdict. What busybox lacks or has in words of its own (`ps`,
`ip`, `systemctl`, …) comes from the kit beside it; only tools that are in neither are the machine's.
Each result says whose word it is (`trust`): that of a session over ssh is always the machine's.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import Any, ClassVar, Protocol, Self

from .base import MachineError, Result
from .stream import ExecStream
from .tools import BUSYBOX, ENVIRONMENT, INVENTORY, Tools
from .trust import trust

_LOOP = r"""
IFS= read -r key
finish() {  # kills every process of the session $1, which a fork bomb in it may outrun once or twice
    for round in 1 2 3 4 5; do
        found=
        kill -9 "-$1"
        for stat in /proc/[0-9]*/stat; do
            read -r line <"$stat" || continue
            set -- "$1" "${line%% *}" ${line##*) }
            [ "$6" = "$1" ] && [ "$3" != Z ] && kill -9 "$2" && found=1
        done
        [ "$found" ] || break
    done
}
{
    while IFS= read -r line; do
        case $line in
            "$key "*) finish "${line#"$key "}" ;;
            *) printf '%s\n' "$line" || break ;;
        esac
    done
    ours=" "  # nobody listens any more: what runs for a process of this session ends, too
    for stat in /proc/[0-9]*/stat; do
        read -r line <"$stat" || continue
        set -- "${line%% *}" ${line##*) }
        if [ "$5" = $$ ]; then ours="$ours$1 "; fi
        case $ours in *" $3 "*) [ "$5" = $$ ] || finish "$5" ;; esac
    done
} 2>&- | sh
"""

_GRACE = 5.0
"""Seconds that a killed command has to be gone, and an exec to begin."""

_SILENCE = 1.0
"""Seconds after which a command that has not begun makes us ask for the machine's state."""


class _Output:
    """One output stream of one command: what lies between its two markers."""

    def __init__(self, marker: str, limit: int) -> None:
        self._first, self._last, self._limit = f"{marker}<".encode(), f"{marker}>".encode(), limit
        self._buffer = bytearray()
        self.before = b""
        self.pid: int | None = None
        self.rc: int | None = None
        self.body = bytearray()
        self.over = False

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        if self.rc is not None:
            return
        self._buffer += data
        if self.pid is None:
            at = self._buffer.find(self._first)
            end = self._buffer.find(b"\n", at) if at >= 0 else -1
            if end < 0:
                if at < 0 and len(self._buffer) > 8192:
                    del self._buffer[:4096]
                self.before = bytes(self._buffer)
                return
            self.pid = int(self._buffer[at + len(self._first) : end])
            del self._buffer[: end + 1]
        at = self._buffer.find(self._last)
        end = self._buffer.find(b"\n", at) if at >= 0 else -1
        if end >= 0:
            self.rc = int(self._buffer[at + len(self._last) : end])
        body = at if at >= 0 else max(0, len(self._buffer) - len(self._last))
        room = self._limit - len(self.body)
        self.body += self._buffer[: min(body, room)]
        self.over = self.over or body > room
        del self._buffer[:body]


class _NotStarted(Exception):
    """The command was not started; the text is what the machine or the engine said instead."""


class Frames(Protocol):
    """A two-way stream to a loop; `drivers.stream.Stream` is one."""

    def recv(self, seconds: float | None = None) -> bytes | None:
        """What has come, in the engine's frames; b"" at the end, None when nothing came in time."""

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of `data`. Raises OSError."""

    def close(self) -> None:
        """Hang up."""


class LoopSession(ABC):
    """Runs one command after another on a machine as root. See `base.Session`.

    `find` gives what of the machine a connection needs, or raises a `MachineError` that says why
    there is none. `machine` is how errors call it.
    """

    patience: ClassVar[float] = _GRACE
    """Seconds, beside the first command's own, that a new connection may take."""

    def __init__(self, find: Callable[[], Any], machine: str) -> None:
        self._find, self._machine = find, machine
        self._lock = Lock()
        self._stream: Frames | None = None
        self._key = ""
        self._tools = Tools()

    @abstractmethod
    def _connect(self, loop: str) -> Frames:
        """Start the shell script `loop` on the machine. Raises OSError in words."""

    def _learn(self, run: Callable[[str], Result]) -> None:
        """Ask by a first command what there is to know about the machine's tools."""
        run(":")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Result:
        """Run a shell command. See `base.Session.run`.

        A session that has ended, because the machine was stopped or reset or its student killed
        it, is opened again. A command is never run twice.
        """
        if "\0" in command:
            raise ValueError("a shell command cannot hold a NUL character")
        with self._lock:
            if self._stream:
                try:
                    return self._run(self._stream, "", command, timeout, limit)
                except _NotStarted:
                    self.close()
            try:
                stream, greeting = self._open()
                # A connection takes its time on a busy host, and the command is not to pay for it.
                self._learn(lambda ask: self._run(stream, greeting, ask, timeout, limit, self.patience))
                return self._run(stream, "", command, timeout, limit)
            except _NotStarted as failure:
                self.close()
                raise self._unreachable(str(failure)) from None

    def close(self) -> None:
        """End the session and what still runs in it."""
        stream, self._stream = self._stream, None
        if stream:
            stream.close()

    def _open(self) -> tuple[Frames, str]:
        """A new stream, and what has to be said to it first."""
        try:
            stream = self._connect(_LOOP)
        except OSError as error:
            raise _NotStarted(str(getattr(error, "explanation", None) or error)) from None
        self._stream, self._key = stream, os.urandom(16).hex()
        return stream, f"{self._key}\ntrap 'echo {self._key}' EXIT\n"

    def _run(
        self, stream: Frames, greeting: str, command: str, timeout: float, limit: int, patience: float = 0
    ) -> Result:
        marker = os.urandom(16).hex()
        out, err = _Output(marker, limit), _Output(marker, limit)
        began = time.monotonic()
        deadline = began + timeout + patience
        wondering = began + _SILENCE
        timed_out = killed = False
        frames = bytearray()
        try:
            stream.send((greeting + _script(command, marker, self._tools)).encode(), timeout + patience)
            while out.rc is None or err.rc is None:
                data = stream.recv(min(deadline, wondering) - time.monotonic())
                if data:
                    frames += data
                    _demultiplex(frames, out, err)
                if data == b"" or (data and self._key.encode() in data):
                    if out.pid is None:
                        raise _NotStarted((out.before + err.before).decode(errors="replace"))
                    self.close()
                    raise self._unreachable("its session ended while a command ran in it")
                if out.pid is None and time.monotonic() >= wondering:
                    self._find()  # raises when the machine is suspended, which looks like silence
                    wondering = deadline
                late = time.monotonic() >= deadline
                if late and out.pid is None:
                    raise _NotStarted(f"no command could be started within {timeout + patience:g} s")
                if late and killed:
                    self.close()
                    self._find()
                    break
                if not killed and (late or out.over or err.over):
                    killed, timed_out = True, late
                    deadline = time.monotonic() + _GRACE
                    stream.send(f"{self._key} {out.pid}\n".encode(), _GRACE)
        except OSError as error:
            raise _NotStarted(f"its session takes no commands ({error})") from None
        return Result(
            rc=-1 if timed_out or out.rc is None else out.rc,
            stdout=bytes(out.body),
            stderr=bytes(err.body).removesuffix(b"Killed\n" if killed else b""),
            seconds=time.monotonic() - began,
            timed_out=timed_out,
            truncated=out.over or err.over,
            trust=trust(command, self._tools.ours(command)) if self._tools else "machine",
        )

    def _unreachable(self, said: str) -> MachineError:
        """Why no command runs: the machine's state if that says it, else what was `said` instead."""
        self._find()
        said = said.replace(self._key or "\0", "").strip()
        if "allocate memory" in said or "ut of memory" in said:
            return MachineError(
                f"{self._machine} has no memory left, so no command can be started on it. "
                "End some of its processes, or reset it."
            )
        if any(sign in said for sign in ("can't fork", "temporarily unavailable", "pthread_create")):
            return MachineError(
                f"{self._machine} runs as many processes as it may, so no command can be started on it. "
                "End some of them, or reset it."
            )
        return MachineError(f"No command can be run on {self._machine}: {said or 'no answer'}. Reset it.")


class DockerSession(LoopSession):
    """A session in a container; `find` gives the id of the running one."""

    def __init__(self, api: Any, find: Callable[[], str], machine: str) -> None:
        super().__init__(find, machine)
        self._api = api

    def _connect(self, loop: str) -> Frames:
        command = [BUSYBOX, "env", "-i", *ENVIRONMENT, BUSYBOX, "sh", "-c", loop]
        return ExecStream(self._api, self._find(), command, tty=False)  # the engine's errors are OSErrors

    def _learn(self, run: Callable[[str], Result]) -> None:
        self._tools = Tools.of(run(INVENTORY).stdout.decode())


def _script(command: str, marker: str, tools: Tools) -> str:
    """What the loop is told: run `command` in a session of its own, between two lines on each stream."""
    return (
        f"setsid sh /proc/self/fd/9 9<<'{marker}s' <<'{marker}i'\n"
        f"exec 9<&-; echo '{marker}<'$$; echo '{marker}<'$$ >&2; cd /root 2>&- || cd /; "
        f"{tools.preferred(command)}\n{command}\n"
        f"{marker}s\n{marker}i\n"
        f"set -- $?; echo '{marker}>'$1; echo '{marker}>'$1 >&2\n"
    )


def _demultiplex(frames: bytearray, out: _Output, err: _Output) -> None:
    """Hand the complete frames of the engine's stream on, and keep what is left."""
    while len(frames) >= 8:
        size = int.from_bytes(frames[4:8], "big")
        if len(frames) < 8 + size:
            return
        (err if frames[0] == 2 else out).feed(bytes(frames[8 : 8 + size]))
        del frames[: 8 + size]
