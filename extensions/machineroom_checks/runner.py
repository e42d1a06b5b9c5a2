"""Runs an assignment's checks against a student's machines, and makes the reports.

    runner = CheckRunner()
    reports = runner.run(checks, ["notes"], {"web": lambda: session}, "web", addresses={"web": "10.0.0.2"})

Check code is the author's, not ours: it runs in a fork of a warm server (`forkserver`) that is
nobody, sees no file, process or variable of ours, and reaches machines only by asking us.
"""

import base64
import contextlib
import math
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .channel import Channel, Closed
from .forkserver import READY, RUN

EVIDENCE_BYTES = 4096
"""How much of each output is kept as evidence."""
EVIDENCE_ITEMS = 100
"""How many commands of one check are kept as evidence."""
CHECKS_BYTES = 4 << 20
"""How large the check files of one assignment may be together."""
START_SECONDS = 30.0
"""How long the fork server may take to start, on a busy host."""
GRACE_SECONDS = 2.0
"""How much longer than its limit a check may take to notice that it is over."""


class ChecksError(Exception):
    """The checks of an assignment cannot be run: what is wrong, where, and what to do next."""


class Result(Protocol):
    """What a command on a machine did: `machineroom_spawners.drivers.base.Result`."""

    @property
    def rc(self) -> int: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...
    @property
    def seconds(self) -> float: ...
    @property
    def trust(self) -> str: ...


class Session(Protocol):
    """Runs commands on a machine: `machineroom_spawners.drivers.base.Session`."""

    def run(self, command: str, *, timeout: float = ..., limit: int = ...) -> Result: ...
    def close(self) -> None: ...


class CheckRunner:
    """Runs checks; one of these serves any number of threads. Must be made and used as root.

    `check_seconds` is how long a single check may take.
    """

    def __init__(self, *, check_seconds: float = 20.0) -> None:
        if os.geteuid() != 0:
            raise ChecksError(
                "Checks can only be run by root, who can give up all rights; start this with sudo."
            )
        self.check_seconds = check_seconds
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def run(
        self,
        checks: Path,
        tasks: Sequence[str] | None,
        machines: Mapping[str, Callable[[], Session]],
        default: str,
        *,
        addresses: Mapping[str, str],
        timeout: float = 60.0,
        only: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        shuffle: random.Random | None = None,
    ) -> list[dict[str, Any]]:
        """Run the checks in the folder `checks` of `tasks`, or of all tasks; a report for each task.

        `only` says of a check (`{"name", "task", "points", "reboot", …}`) whether it is wanted. They
        run in the order of the files, or in one that `shuffle` draws.
        `machines` opens a session to a machine when a check first asks for it. After `timeout` seconds,
        checks that have not ended are reported as such.

        Raises:
            ChecksError: there are no such checks, or no check could be started at all.
        """
        run = _Run(self, _read(checks), machines, default, addresses, time.monotonic() + timeout)
        try:
            found = run.collect()
            if tasks is not None:
                for task in tasks:
                    if not run.broken and task not in {c["task"] for c in found}:
                        known = ", ".join(sorted({c["task"] for c in found})) or "none"
                        raise ChecksError(f"There is no task '{task}' in {checks}; its tasks are: {known}.")
                found = [c for c in found if c["task"] in tasks]
            found = [c for c in found if only(c)]
            run.run(shuffle.sample(found, len(found)) if shuffle else found)
            names = dict.fromkeys([*(tasks or ()), *(c["task"] for c in found)])
            return [run.report(name) for name in names]
        finally:
            run.close()

    def collect(self, checks: Path) -> list[dict[str, Any]]:
        """The tasks in the folder `checks`: `{"task", "title", "points", "hints", "checks", "changes"}`.

        Raises:
            ChecksError: a check file has a mistake; the message names file and line, for its author.
        """
        run = _Run(self, _read(checks), {}, "", {}, time.monotonic() + START_SECONDS)
        try:
            found = run.collect()
        finally:
            run.close()
        if run.broken:
            raise ChecksError("\n".join(f"{checks / b['file']}: {b['error']}" for b in run.broken))
        return [
            {
                "task": task,
                "title": _title(task, members),
                "points": sum(c["points"] for c in members),
                "hints": [c["hint"] for c in members if c["hint"]],
                "checks": [c["name"] for c in members],
                "changes": sorted({path for c in members for path in c["changes"]}),
            }
            for task, members in _by_task(found).items()
        ]

    def close(self) -> None:
        """End the fork server, and with it every run."""
        with self._lock:
            self._stop()

    def start(self) -> tuple[Channel, socket.socket]:
        """Have the server fork a run: the channel to it, and its lifeline. Closing either ends it."""
        ours, theirs = socket.socketpair()
        life, line = socket.socketpair()
        with theirs, line, self._lock:
            try:
                socket.send_fds(self._ready(), [RUN], [theirs.fileno(), line.fileno()])
            except OSError:  # the server has died since the last run
                self._stop()
                socket.send_fds(self._ready(), [RUN], [theirs.fileno(), line.fileno()])
        return Channel(ours), life

    def _ready(self) -> socket.socket:
        """The control socket of a server that is up."""
        if self._control and self._server and self._server.poll() is None:
            return self._control
        self._stop()
        ours, theirs = socket.socketpair()
        source = str(Path(__file__).resolve().parents[1])
        code = (
            "import sys; sys.path.append(sys.argv[1]); sys.dont_write_bytecode = True; "
            "from machineroom_checks.forkserver import main; main(int(sys.argv[2]))"
        )
        self._server = subprocess.Popen(
            [sys.executable, "-I", "-c", code, source, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(START_SECONDS)
        self._control = ours
        try:
            said = ours.recv(4096)
        except TimeoutError:
            said = f"it was not ready after {START_SECONDS:g} seconds".encode()
        if said != READY:
            self._stop()
            reason = said.decode(errors="replace") or "it ended at once"
            raise ChecksError(
                f"The process that runs checks did not start: {reason}. './machineroom logs' may say more."
            )
        return ours

    def _stop(self) -> None:
        if self._control:
            self._control.close()
        if self._server:
            try:
                self._server.wait(2)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._server = self._control = None


class _Run:
    """One call of `CheckRunner.run`: a fork, and another for what is left when a check takes it down."""

    def __init__(
        self,
        runner: CheckRunner,
        files: dict[str, str],
        machines: Mapping[str, Callable[[], Session]],
        default: str,
        addresses: Mapping[str, str],
        deadline: float,
    ) -> None:
        self._runner = runner
        self._machines = machines
        self._default = default
        self._deadline = deadline
        self._sessions: dict[str, Session] = {}
        self._channel: Channel | None = None
        self._life: socket.socket | None = None
        self._job = {
            "files": files,
            "default": default,
            "addresses": {name: addresses.get(name, "") for name in machines},
            "seconds": runner.check_seconds,
        }
        self._checks: list[dict[str, Any]] = []
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._evidence: dict[str, list[dict[str, Any]]] = {}
        self.broken: list[dict[str, str]] = []

    def collect(self) -> list[dict[str, Any]]:
        """Start a fork and have it find the checks; files with mistakes are told in `broken`."""
        self._channel, self._life = self._runner.start()
        try:
            self._channel.send(self._job)
            message = self._channel.receive(min(self._left(), START_SECONDS))
            self._checks = [_checked(c) for c in message["collected"]]
            self.broken = [
                {"file": str(b["file"]), "error": str(b["error"])[:2000]} for b in message["broken"]
            ]
        except TimeoutError:
            raise ChecksError(
                "Reading the check files took too long: no code may run outside of their tests."
            ) from None
        except (Closed, KeyError, TypeError, ValueError, AttributeError):
            raise ChecksError(
                "The check files ended the process that reads them: look for code outside of tests."
            ) from None
        return self._checks

    def run(self, checks: list[dict[str, Any]]) -> None:
        """Run `checks`, to the verdict of each."""
        left = [c["id"] for c in checks]
        while left and self._left() > 0:
            if not self._channel:
                self.collect()
            try:
                self._serve(left)
            finally:
                self._end_fork()
            left = [name for name in left if name not in self._verdicts]
        for name in left:
            self._verdicts[name] = {
                "outcome": "timeout",
                "observed": "There was no time left for this check.",
            }

    def _serve(self, wanted: list[str]) -> None:
        """Let the fork run `wanted`, and answer what it asks, until it is done or has to be ended."""
        assert self._channel
        current, began, until = "", 0.0, time.monotonic() + GRACE_SECONDS
        try:
            self._channel.send({"run": wanted})
            while wanted != [name for name in wanted if name in self._verdicts]:
                message = self._channel.receive(max(0.001, min(until, self._deadline) - time.monotonic()))
                if "begin" in message and message["begin"] in wanted:
                    current, began = message["begin"], time.monotonic()
                    until = began + self._runner.check_seconds + GRACE_SECONDS
                elif "ask" in message:
                    answer = self._answer(current, message, until - GRACE_SECONDS)
                    self._channel.send(answer, timeout=max(0.001, until - time.monotonic()))
                elif "end" in message and message["end"] == current:
                    self._verdicts[current] = self._verdict(current, message)
                    current, until = "", time.monotonic() + GRACE_SECONDS
        except TimeoutError:
            outcome, observed = "timeout", self._too_long()
        except (Closed, TypeError, ValueError):
            outcome, observed = "error", "The check ended the process that it runs in. Tell your instructor."
        else:
            return
        # Without a check to blame, the first one is, so that every fork brings us further.
        name = current or next(name for name in wanted if name not in self._verdicts)
        seconds = round(time.monotonic() - began, 3) if current else 0.0
        self._verdicts[name] = {
            "outcome": outcome,
            "observed": observed or self._too_long(),
            "seconds": seconds,
        }

    def _answer(self, check: str, question: dict[str, Any], until: float) -> dict[str, Any]:
        """Run the command that a check asks for, and keep what came of it as evidence."""
        machine, command = str(question["machine"]), str(question["command"])
        seconds = min(float(question["timeout"]), until - time.monotonic(), self._left())
        if not seconds > 0:
            raise TimeoutError
        evidence = self._evidence.setdefault(check, [])
        try:
            if machine not in self._sessions:
                self._sessions[machine] = self._machines[machine]()
            result = self._sessions[machine].run(command, timeout=seconds)
        except Exception as error:  # whatever it is, it is this machine's failure and no one else's
            text = str(error) or type(error).__name__
            noted = {
                "rc": -1,
                "stdout": "",
                "stderr": text[:EVIDENCE_BYTES],
                "seconds": 0.0,
                "trust": "outside",
            }
            answer: dict[str, Any] = {"error": f"The machine {machine} cannot be reached: {text}"}
        else:
            noted = {
                "rc": result.rc,
                "stdout": _excerpt(result.stdout),
                "stderr": _excerpt(result.stderr),
                "seconds": round(result.seconds, 3),
                "trust": result.trust,
            }
            answer = {
                "rc": result.rc,
                "stdout": base64.b64encode(result.stdout).decode(),
                "stderr": base64.b64encode(result.stderr).decode(),
            }
        if len(evidence) < EVIDENCE_ITEMS:
            evidence.append({"machine": machine, "command": command[:EVIDENCE_BYTES], **noted})
        return {"ask": question["ask"], **answer}

    def _verdict(self, check: str, message: dict[str, Any]) -> dict[str, Any]:
        outcome = message["outcome"]
        if outcome not in {"passed", "failed", "error", "timeout"}:
            raise ValueError(outcome)
        observed = _plain(str(message.get("observed", "")))
        if outcome == "timeout":
            observed = self._too_long()
        elif outcome == "error" and not observed:
            mistake = _plain(str(message.get("mistake")))
            observed = f"This check has a mistake ({mistake}), which is not yours. Tell your instructor."
            self._evidence.setdefault(check, []).append(_mistake(str(message.get("traceback", ""))))
        return {
            "outcome": outcome,
            "observed": observed or ("As asked." if outcome == "passed" else "Not as asked."),
            "seconds": round(float(message["seconds"]), 3),
        }

    def _too_long(self) -> str:
        if self._left() <= 0:
            return "The time for all checks together was over before this one had ended."
        return (
            f"This check did not end within {self._runner.check_seconds:g} seconds. "
            "Something on the machine may hang: try by hand what the task asks for, then check again."
        )

    def report(self, task: str) -> dict[str, Any]:
        """The report of one task that has run."""
        checks = []
        for check in self._checks:
            if check["task"] != task or check["id"] not in self._verdicts:
                continue
            verdict = {"seconds": 0.0, **self._verdicts[check["id"]]}
            earned = check["points"] if verdict["outcome"] == "passed" else 0
            checks.append(
                {key: check[key] for key in ("name", "title", "points", "hint")}
                | ({"reboot": True} if check["reboot"] else {})
                | {"earned": earned, "evidence": self._evidence.get(check["id"], []), **verdict}
            )
        members = [c for c in self._checks if c["task"] == task]
        checks += [self._broken_file(b) for b in self.broken]
        return {
            "task": task,
            "title": _title(task, members),
            "points": sum(c["points"] for c in checks),
            "earned": sum(c["earned"] for c in checks),
            "machine": self._default,
            "checks": checks,
        }

    def _broken_file(self, broken: dict[str, str]) -> dict[str, Any]:
        """A check file that cannot be read, as a check: any task may be in it."""
        return {
            "name": broken["file"],
            "title": "Every check can be read",
            "points": 0,
            "earned": 0,
            "outcome": "error",
            "observed": "A file of checks has a mistake, which is not yours. Tell your instructor.",
            "hint": "",
            "seconds": 0.0,
            "evidence": [_mistake(broken["error"])],
        }

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _end_fork(self) -> None:
        """Have the fork killed with all that it started, and wait until it is."""
        if self._channel:
            self._channel.socket.close()
        if self._life:
            self._life.shutdown(socket.SHUT_WR)
            self._life.settimeout(GRACE_SECONDS)
            with contextlib.suppress(OSError):
                self._life.recv(1)
            self._life.close()
        self._channel = self._life = None

    def close(self) -> None:
        """End the fork and the sessions."""
        self._end_fork()
        for session in self._sessions.values():
            with contextlib.suppress(Exception):
                session.close()


def _read(checks: Path) -> dict[str, str]:
    """The files in the folder `checks`, base64. No link is followed: authors are not root, and we are."""
    files: dict[str, str] = {}
    size = 0
    for name, descriptor in _walk(checks):
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(CHECKS_BYTES + 1)
        size += len(data)
        if size > CHECKS_BYTES:
            raise ChecksError(
                f"{checks}: the files are larger than {CHECKS_BYTES >> 20} MB together; keep data out of it."
            )
        files[name] = base64.b64encode(data).decode()
    if not any(Path(name).name.startswith("test_") and name.endswith(".py") for name in files):
        raise ChecksError(f"{checks}: there are no checks; write them into files called test_*.py.")
    return files


def _walk(top: Path) -> Iterator[tuple[str, int]]:
    """Name below `top` and an open descriptor of every plain file."""
    if top.is_symlink():
        return
    for folder, folders, names, descriptor in os.fwalk(top, follow_symlinks=False):
        folders[:] = sorted(f for f in folders if f != "__pycache__" and not f.startswith("."))
        for name in sorted(names):
            with contextlib.suppress(OSError):
                opened = os.open(
                    name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor
                )
                if stat.S_ISREG(os.fstat(opened).st_mode):
                    yield str((Path(folder) / name).relative_to(top)), opened
                else:
                    os.close(opened)


def _checked(check: dict[str, Any]) -> dict[str, Any]:
    """A check as its fork described it, if it is as it should be; raises ValueError or TypeError."""
    texts = {key: _plain(str(check[key])) for key in ("name", "title", "task", "task_title", "hint")}
    points = float(check["points"])
    if not math.isfinite(points) or points < 0:
        raise ValueError(points)
    return {
        "id": str(check["id"]),
        **texts,
        "points": int(points) if points.is_integer() else points,
        "reboot": bool(check["reboot"]),
        "changes": [_plain(str(path)) for path in check["changes"]],
    }


def _by_task(checks: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    tasks: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        tasks.setdefault(check["task"], []).append(check)
    return tasks


def _title(task: str, checks: list[dict[str, Any]]) -> str:
    said = next((c["task_title"] for c in checks if c["task_title"]), "")
    return said or task.replace("-", " ").replace("_", " ").capitalize()


def _mistake(text: str) -> dict[str, Any]:
    """An author's mistake as evidence, for graders: no machine, no command."""
    return {
        "machine": "",
        "command": "",
        "rc": -1,
        "stdout": "",
        "stderr": text[:EVIDENCE_BYTES],
        "seconds": 0.0,
        "trust": "outside",
    }


def _plain(text: str) -> str:
    """`text` as one line that a page or a terminal can show."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 600 else line[:600] + "…"


def _excerpt(output: bytes) -> str:
    text = output[:EVIDENCE_BYTES].decode("utf-8", "replace")
    return text if len(output) <= EVIDENCE_BYTES else f"{text}\n… ({len(output)} bytes in all)"
