"""`%%on web` and `on("web", "uptime")`: run things on a machine from a notebook."""

import argparse
import codecs
import contextlib
import os
import secrets
import shlex
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from .workspace import NotPossible, about, place

if TYPE_CHECKING:  # asyncssh takes half a second to import, and not every notebook uses it
    from .ssh import Connections, Running, Write

SHOWN = 1 << 20
"""So many bytes of output are shown or returned; the rest is read and dropped."""
LONGEST = 100_000
"""So long a script may be: the machine's kernel takes no longer arguments."""

# Interrupted, the script's children that ignore that, such as those in the background, go too.
_RUN = 'trap stop=1 INT TERM; bash -c "$1"; rc=$?; [ -z "$stop" ] || kill -KILL 0; exit $rc'

# sshd passes no signals on to root's processes, so we send them from another command. All that a script
# starts has its mark in the environment: first its process group is interrupted, then everything is ended.
_STOP = """
left() { grep -ls "MACHINEROOM_RUN=$0" /proc/[0-9]*/environ | cut -d/ -f3; }
for signal in INT TERM KILL; do
    for p in $(left); do
        kill -$signal -- -$p || [ $signal = INT ] || kill -$signal $p
    done 2> /dev/null
    for n in $(seq 20); do [ -n "$(left)" ] || exit 0; sleep .1; done
done
exit 1
"""
_STOP_SECONDS = 20.0


class CommandFailed(NotPossible):
    """A cell's script ended with another exit status than 0."""


class Interrupted(KeyboardInterrupt):
    """The cell was interrupted, and what it ran on the machine has been stopped."""

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self}"]


@dataclass(frozen=True)
class Output:
    """What a command on a machine did. `rc` is its exit status; -1 when a signal ended it."""

    rc: int
    stdout: str
    stderr: str


def on(machine: str, command: str, *, timeout: float | None = None, user: str | None = None) -> Output:
    """Run `command` on `machine` as root, or as `user`, and return what it printed.

    `timeout` is in seconds; a command that takes longer is stopped. For output while it runs, use
    the cell magic `%%on machine`.
    """
    parts = bytearray(), bytearray()

    def keep(data: bytes, is_error: bool) -> None:
        part = parts[is_error]
        part += data[: SHOWN - len(part)]

    running = _run(machine, command, keep, timeout, user)
    stdout, stderr = (bytes(part).decode("utf-8", "replace") for part in parts)
    return Output(-1 if running.rc is None else running.rc, stdout, stderr)


def cell(line: str, script: str) -> None:
    """%%on MACHINE [--timeout SECONDS] [--user NAME]

    Run the cell as a bash script on a machine of the lab, as root or as the user NAME. Output
    appears as it comes. Interrupting the cell stops the script and all that it started.
    """
    options = _parse(line)
    if os.environ.get("NBGRADER_EXECUTION") == "autograde":
        print(f"Not run while grading: it would act on {options.machine}.")  # noqa: T201
        return
    screen = _Screen()
    try:
        running = _run(options.machine, script, screen.show, options.timeout, options.user)
    finally:
        screen.end()
    if running.signal_name:
        raise CommandFailed(f"the script on {options.machine} was ended by the signal {running.signal_name}.")
    if running.rc:
        raise CommandFailed(f"the script on {options.machine} ended with exit status {running.rc}.")


def load_ipython_extension(shell: Any) -> None:
    """Give IPython the cell magic `%%on`."""
    shell.register_magic_function(cell, "cell", "on")


def _run(machine: str, script: str, write: "Write", timeout: float | None, user: str | None) -> "Running":
    """Run `script` to its end, whichever that is; it is over when this returns or raises."""
    host = _host(machine)
    if len(script.encode()) > LONGEST:
        raise NotPossible(
            f"The script is longer than {LONGEST} bytes: put it into a file and copy that over."
        )
    mark = secrets.token_hex(8)

    def stop() -> None:
        if not _stop(host, machine, mark):
            raise NotPossible(
                f"What runs on {machine} could not be stopped: the machine may have no processes or memory "
                "left. Reset it in the launcher if it stays so."
            ) from None
        with contextlib.suppress(TimeoutError):
            running.follow(write, time.monotonic() + 1)

    running = _connections().start(host, machine, _command(script, user, mark))
    try:
        running.follow(write, timeout and time.monotonic() + timeout)
    except KeyboardInterrupt:
        stop()
        raise Interrupted(f"what ran on {machine} has been stopped.") from None
    except TimeoutError:
        stop()
        raise NotPossible(
            f"The script on {machine} was stopped: it took longer than {timeout:g} seconds."
        ) from None
    if running.rc is None:
        raise NotPossible(
            f"The connection to {machine} was lost while the script ran: the machine was stopped, reset or "
            "ran out of memory. See in the launcher how it is; your notebook is unharmed."
        )
    return running


def _stop(host: str, machine: str, mark: str) -> bool:
    """End all that bears `mark` on a machine; whether that was done."""
    command = f"exec bash -c {shlex.quote(_STOP)} {mark}"
    try:
        stopping = _connections().start(host, machine, command)
        stopping.follow(lambda _data, _is_error: None, time.monotonic() + _STOP_SECONDS)
    except (NotPossible, TimeoutError):
        return False
    return stopping.rc == 0


def _command(script: str, user: str | None, mark: str) -> str:
    """The shell command that runs `script` in a process group of its own, with `mark` in its environment."""
    if user:
        name, at_home = shlex.quote(user), f"cd\n{script}"
        script = (
            f"exec setpriv --reuid={name} --regid=$(id -g {name}) --init-groups --reset-env "
            f"env MACHINEROOM_RUN={mark} bash -c {shlex.quote(at_home)}"
        )
    return f"MACHINEROOM_RUN={mark} exec bash -c {shlex.quote(_RUN)} on {shlex.quote(script)}"


def _host(machine: str) -> str:
    """The full name, `machine.lab.course`, of what the user calls `machine`. Raises NotPossible."""
    known = [
        (m["name"], lab["id"], course["id"])
        for course in about()["courses"]
        for lab in course["labs"]
        for m in lab["machines"]
    ]
    wanted = tuple(machine.split("."))
    found = [names for names in known if names[: len(wanted)] == wanted]
    course, _ = place()
    found = [names for names in found if names[2] == course] or found
    if len(found) == 1:
        return ".".join(found[0])
    if found:
        choices = ", ".join(".".join(names) for names in found)
        raise NotPossible(f"Several machines are called {machine}: write which one, {choices}.")
    names = ", ".join(dict.fromkeys(name for name, _, of in known if of == course or not course)) or "none"
    raise NotPossible(f"There is no machine '{machine}' here. The machines: {names}.")


@cache
def _connections() -> "Connections":
    from .ssh import Connections

    return Connections()


class _Screen:
    """Shows output as it comes: whole characters, and not without end."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = decoder("replace"), decoder("replace")
        self._left = SHOWN

    def show(self, data: bytes, is_error: bool) -> None:
        if self._left <= 0:
            return
        self._write(self._decoders[is_error].decode(data[: self._left]), is_error)
        self._left -= len(data)
        if self._left <= 0:
            self._write(f"\n… the output is longer than {SHOWN >> 20} MB; the rest is not shown.\n", True)

    def end(self) -> None:
        for is_error, decoder in enumerate(self._decoders):
            self._write(decoder.decode(b"", final=True), bool(is_error))

    @staticmethod
    def _write(text: str, is_error: bool) -> None:
        if text:
            stream = sys.stderr if is_error else sys.stdout
            stream.write(text)
            stream.flush()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise NotPossible(f"{message}. Write: %%on MACHINE [--timeout SECONDS] [--user NAME]")


def _parse(line: str) -> argparse.Namespace:
    parser = _Parser("%%on", add_help=False)
    parser.add_argument("machine")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--user")
    return parser.parse_args(shlex.split(line))


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()):
    load_ipython_extension(_shell)
