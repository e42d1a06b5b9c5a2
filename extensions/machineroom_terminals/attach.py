"""`machineroom-attach [machine]`: a root shell on a machine, in the terminal that one sits at.

The shell is ssh, on the shortest way there is: neither hub nor service is asked when the machine
answers. When it does not, the service is asked to start it; when only its ssh is broken, the
service's console takes its place; when the connection is lost, it is made again.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from . import service
from .topology import Machine, Topology, UnknownMachine, etc, read_topology

OPTIONS = {
    "IgnoreUnknown": "ObscureKeystrokeTiming",
    "ObscureKeystrokeTiming": "no",  # it makes each key wait for up to 20 ms; ssh older than 9.5 has none
    "BatchMode": "yes",
    "EscapeChar": "none",
    "LogLevel": "INFO",  # below, it does not say why a connection was lost
    "ControlPath": "none",
    "TCPKeepAlive": "yes",  # and none of ssh's own: a machine that is suspended would seem lost
    "SendEnv": "LANG LC_*",
    "PermitLocalCommand": "yes",
}

REFUSED = re.compile("Permission denied|Host key verification failed|Too many authentication")
"""What ssh says when to try again would change nothing."""

SANE = "\x1b[?1047l\x1b[?1000;1002;1003;1004;1006;2004;1l\x1b>\x1b[?25h\x1b[0m"
"""Undoes what a program left switched on when its connection was cut: alternate screen, mouse, paste."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a shell ended. With a `reason`, ssh failed; without one, the shell ended."""

    connected: bool
    rc: int
    reason: str


def shell(machine: Machine, patience: int) -> Outcome:
    """Run ssh in our own terminal until it ends; `patience` is how long it may take to connect, in s."""
    with tempfile.TemporaryDirectory(prefix="machineroom-") as folder, tempfile.TemporaryFile() as errors:
        connected = Path(folder) / "connected"
        options = {
            **OPTIONS,
            "ConnectTimeout": str(patience),
            "LocalCommand": f"touch {shlex.quote(str(connected))}".replace("%", "%%"),
        }
        argv = ["ssh", "-F", str(etc() / "ssh" / "config"), "-tt"]
        for name, value in options.items():
            argv += ["-o", f"{name}={value}"]
        environment = {"LANG": "C.UTF-8", **os.environ}
        with terminal_kept():
            rc = subprocess.call([*argv, "--", machine.host], stderr=errors, env=environment)
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        # 255 is also what ssh answers when the shell was killed, as it is when its machine goes down.
        reason = last.removeprefix("ssh: ").rstrip(".") or "the shell was killed"
        return Outcome(connected.exists(), rc, reason if rc == 255 else "")


def stay(topology: Topology, machine: Machine, again: bool = False) -> int:
    """A shell on `machine`, through everything that can happen to it, until the shell is left.

    `again`: in the place of one that ended with the workspace's server. It starts no machine unasked.
    """
    if again:
        say("Your server was restarted: this is a new shell, and what ran in the old one has ended.")
    outcome = shell(machine, patience=3)
    while outcome.reason:
        lost = outcome.connected
        if lost:
            sys.stdout.write(f"{SANE}\n")
            say(f"The connection to {machine.title} was lost ({outcome.reason}).")
            say("What ran in this shell has ended. Trying to come back …")
            if _state(topology, machine) != "suspended":
                outcome = _again(machine, seconds=10)
                if outcome.connected:
                    continue
        outcome = _help(topology, machine, outcome, lost or again)
    return outcome.rc


def _help(topology: Topology, machine: Machine, outcome: Outcome, lost: bool) -> Outcome:
    """Get to a machine that ssh does not reach."""
    try:
        state = service.state(topology, machine)
        if state == "running":
            if not REFUSED.search(outcome.reason):  # sshd shuts out those who are refused again and again
                outcome = _again(machine, seconds=5)
            return outcome if outcome.connected else _console(topology, machine, outcome)
        say(f"{machine.title} {'is ' + state if state else 'does not exist yet'}.")
        if lost and state in ("stopped", "suspended"):
            _wait_for_enter(f"start {machine.title}")
        for step in service.ensure(topology, machine):
            say(step)
    except service.ServiceError as error:
        say(f"{machine.title} does not answer ({outcome.reason}). {error}")
        _wait_for_enter("try again")
    return shell(machine, patience=15)


def _state(topology: Topology, machine: Machine) -> str:
    """The machine's state, "" if it cannot be known."""
    try:
        return service.state(topology, machine)
    except service.ServiceError:
        return ""


def _again(machine: Machine, seconds: float) -> Outcome:
    """Try ssh until it connects, or for so many seconds."""
    end = time.monotonic() + seconds
    while True:
        outcome = shell(machine, patience=3)
        if outcome.connected or REFUSED.search(outcome.reason) or time.monotonic() > end:
            return outcome
        time.sleep(0.5)


def _console(topology: Topology, machine: Machine, outcome: Outcome) -> Outcome:
    """The service's console, for a machine that runs and whose ssh is broken."""
    say(f"{machine.title} runs, but its ssh does not work ({outcome.reason}).")
    say("This is its console instead. Repair ssh here, or choose “Reset” in the launcher.")
    try:
        _bridge(topology, machine)
    except service.ServiceError as error:
        say(f"The console of {machine.title} cannot be had either: {error}")
        say("Choose “Reset” in the launcher for a clean machine.")
        _wait_for_enter("try again")
        return shell(machine, patience=15)
    return Outcome(True, 0, "")


def _bridge(topology: Topology, machine: Machine) -> None:
    from . import console  # brings tornado, which no other way needs

    with terminal_kept():
        console.run(topology, machine)


def console_only(topology: Topology, machine: Machine) -> int:
    """The machine's console because it is asked for, until it is left."""
    while True:
        say(f"This is the console of {machine.title}: it works without ssh. Leave it with Ctrl-D.")
        try:
            _bridge(topology, machine)
        except service.ServiceError as error:
            say(f"The console of {machine.title} cannot be had: {error}")
            _wait_for_enter("try again")
        else:
            return 0


def say(text: str) -> None:
    """Tell the student something in a line of its own, apart from what the machine says."""
    sys.stdout.write(f"\x1b[36m{text}\x1b[0m\n")
    sys.stdout.flush()


def _wait_for_enter(purpose: str) -> None:
    say(f"Press Enter to {purpose}, or Ctrl-D to close.")
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    if not sys.stdin.readline():
        raise SystemExit(0)


class terminal_kept:
    """Whatever is run inside, the terminal's settings are as before afterwards."""

    def __enter__(self) -> None:
        self._before = termios.tcgetattr(0) if os.isatty(0) else None

    def __exit__(self, *error: object) -> None:
        if self._before:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)


def main() -> int:
    """The command line: `machineroom-attach [--console | --again] [machine]`."""
    topology = read_topology()
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    try:
        machine = topology.find(words[0]) if words else topology.default
    except UnknownMachine as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if machine is None:
        sys.stderr.write("None of your courses has a machine.\n")
        return 2
    if sys.stdout.isatty():
        sys.stdout.write(f"\x1b]0;{machine.title}\x07")
    try:
        if "--console" in sys.argv:
            return console_only(topology, machine)
        return stay(topology, machine, again="--again" in sys.argv)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
