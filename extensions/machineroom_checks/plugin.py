"""The pytest plugin of checks, and the work of one run, inside its sandbox.

Marks: `task("name", title=…)`, `points(n)`, `hint("…")`, `reboot`. Fixtures: `machine` (the lab's default
machine), `machines["db"]`, and Root'n'Roll's `s`. See docs/checks.md.
"""

import base64
import http.client
import io
import math
import os
import signal
import socket
import tempfile
import time
import traceback
import urllib.error
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import testinfra.modules
from _pytest.outcomes import Failed, Skipped

from .channel import Channel, Closed
from .facts import NotRead
from .machine import Machine, Machines, RootNRoll, Sight, Unreachable

COMMAND_SECONDS = 10.0
"""How long a command on a machine may take, unless the check says `timeout=`."""

_MARKS = {
    "task(name, title=None): the task that a check belongs to; by default the file's name",
    "points(n): what passing the check earns; 1 by default",
    "hint(text): shown to the student when the check does not pass",
    "changes(path, ...): what the check itself changes on a machine, which `course prove` then allows",
    "reboot: what is checked has to survive a restart; counted is what a copy shows after one",
}

_ARGUMENTS = (
    # Plain asserts: their introspection would tell the student what was expected.
    "--assert=plain",
    "--capture=no",
    "--import-mode=importlib",
    "--continue-on-collection-errors",
    *("-c", os.devnull),
    *(
        word
        for name in ("cacheprovider", "terminal", "junitxml", "pastebin", "faulthandler")
        for word in ("-p", f"no:{name}")
    ),
)


class TimeUp(BaseException):
    """The check has used up its time. Not an Exception, so that a check does not catch it by the way."""


class Checks:
    """Collects checks, runs those that are asked for, and tells the runner of each."""

    def __init__(self, channel: Channel, job: dict[str, Any], folder: Path) -> None:
        self._channel = channel
        self._job = job
        self._folder = folder
        self._sight = Sight()
        self._process = os.getpid()
        self._asked = 0
        self._broken: list[dict[str, str]] = []
        self._machines = Machines(job.get("addresses", {}), self._ask, self._sight)

    def _tell(self, message: dict[str, Any]) -> None:
        """Send the runner a message; a child that a check forked and let stray to here ends instead."""
        if os.getpid() != self._process:
            os._exit(0)
        self._channel.send(message)

    def _ask(self, machine: str, command: str, timeout: float | None) -> dict[str, Any]:
        """Have the runner run a command; answers to questions that TimeUp cut off are passed over."""
        self._asked += 1
        number = self._asked
        self._tell(
            {"ask": number, "machine": machine, "command": command, "timeout": timeout or COMMAND_SECONDS}
        )
        while True:
            answer = self._channel.receive()
            if answer.get("ask") == number:
                return answer

    @pytest.fixture(scope="session")
    def machines(self) -> Mapping[str, Machine]:
        """The lab's machines, by name."""
        return self._machines

    @pytest.fixture(scope="session")
    def machine(self) -> Machine:
        """The lab's default machine."""
        return self._machines[self._job["default"]]

    @pytest.fixture(scope="session")
    def s(self, machine: Machine) -> RootNRoll:
        """The default machine in Root'n'Roll's words."""
        return RootNRoll(machine)

    def pytest_configure(self, config: pytest.Config) -> None:
        for mark in _MARKS:
            config.addinivalue_line("markers", mark)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            text = str(report.longrepr) if crash is None else f"line {crash.lineno}: {crash.message}"
            self._broken.append({"file": report.nodeid, "error": text[-2000:]})

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        described = []
        for item in items:
            try:
                described.append(_describe(item))
            except ValueError as error:
                self._broken.append({"file": item.nodeid, "error": str(error)})
        self._tell({"collected": described, "broken": self._broken})
        wanted = {name: place for place, name in enumerate(self._channel.receive()["run"])}
        items[:] = sorted(
            (item for item in items if item.nodeid in wanted), key=lambda item: wanted[item.nodeid]
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._sight.clear()
        self._error: BaseException | None = None
        self._began = time.monotonic()
        self._tell({"begin": nodeid})
        signal.signal(signal.SIGALRM, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, self._job["seconds"])

    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Called for set-up, call and tear-down; the first thing that went wrong is what counts."""
        if call.excinfo and not self._error:
            self._error = call.excinfo.value

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(self._error, Closed):
            raise self._error
        seconds = round(time.monotonic() - self._began, 3)
        self._tell({"end": nodeid, "seconds": seconds, **self._verdict(self._error)})

    def _verdict(self, error: BaseException | None) -> dict[str, str]:
        """The outcome, and what may be said of it to the student: never what the check expected."""
        seen = self._sight.sentence()
        if error is None:
            return {"outcome": "passed", "observed": seen}
        if isinstance(error, TimeUp):
            return {"outcome": "timeout"}
        if isinstance(error, Unreachable):
            return {"outcome": "error", "observed": str(error)}
        raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        if isinstance(error, Failed):
            return {"outcome": "failed", "observed": error.msg or seen}
        if isinstance(error, AssertionError) and raised_in.is_relative_to(self._folder):
            return {"outcome": "failed", "observed": str(error) or seen}
        if isinstance(error, NotRead) or (
            isinstance(error, (AssertionError, RuntimeError)) and "testinfra" in raised_in.parts
        ):
            return {"outcome": "failed", "observed": seen}
        if _is_network(error):
            return {
                "outcome": "failed",
                "observed": f"a request to the machine failed: {_network_reason(error)}",
            }
        if isinstance(error, Skipped):
            return {"outcome": "error", "observed": f"this check was skipped: {error.msg}"}
        text = "".join(traceback.format_exception(error))[-4000:]
        return {"outcome": "error", "mistake": type(error).__name__, "traceback": text}


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeUp


def _describe(item: pytest.Item) -> dict[str, Any]:
    """What the runner knows of a check. Raises ValueError in words for the author."""
    task = item.get_closest_marker("task")
    points = item.get_closest_marker("points")
    hint = item.get_closest_marker("hint")
    by_file = item.path.stem.removeprefix("test_").replace("_", "-")
    name = _only(task, str, "the task's name") if task else by_file
    earns = _only(points, (int, float), "a number") if points else 1
    if isinstance(earns, bool) or not math.isfinite(earns) or earns < 0:
        raise ValueError(f"points({earns!r}): write a number that is not negative")
    lines = (getattr(getattr(item, "function", None), "__doc__", None) or "").strip().splitlines()
    test, _, variant = item.name.partition("[")
    title = lines[0].rstrip(".") if lines else test.removeprefix("test_").replace("_", " ").capitalize()
    return {
        "id": item.nodeid,
        "name": item.name,
        "title": f"{title} ({variant.rstrip(']')})" if variant else title,
        "task": name,
        "task_title": str(task.kwargs.get("title", "")) if task else "",
        "points": earns,
        "hint": _only(hint, str, "a text") if hint else "",
        "reboot": item.get_closest_marker("reboot") is not None,
        "changes": _paths(item),
    }


def _paths(item: pytest.Item) -> list[str]:
    """What the marks `changes` of a check name."""
    paths = [path for mark in item.iter_markers("changes") for path in mark.args]
    for path in paths:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"changes({path!r}): write the paths of files and folders on the machine")
    return paths


def _only(mark: pytest.Mark, kind: Any, what: str) -> Any:
    """The one argument of `mark`."""
    if len(mark.args) != 1 or not isinstance(mark.args[0], kind):
        raise ValueError(f"{mark.name}{mark.args!r}: write {what}, and nothing else")
    return mark.args[0]


def _is_network(error: BaseException) -> bool:
    """Whether a check asked something of a machine over the network and got no good answer."""
    return isinstance(
        error, (ConnectionError, TimeoutError, urllib.error.URLError, http.client.HTTPException)
    ) or type(error).__module__.split(".")[0] in {"requests", "httpx", "urllib3"}


def _network_reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    while isinstance(reason, BaseException) and (reason.__cause__ or reason.__context__):
        reason = reason.__cause__ or reason.__context__  # the libraries wrap the socket's own error
    return (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)[:200]


def work(sock: socket.socket) -> None:
    """A run: take the job, unpack the check files, and have pytest run them."""
    channel = Channel(sock)
    job = channel.receive(10)
    folder = Path.cwd() / "files"
    for name, content in job["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    _pytest(folder, Checks(channel, job, folder))


def _pytest(folder: Path, checks: object) -> None:
    pytest.main([*_ARGUMENTS, f"--rootdir={folder}", str(folder)], plugins=[checks])


class _Practice(Checks):
    """Stands in for the runner, for `warm_up`: answers every question with an empty success."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            super().__init__(Channel(ours), {"addresses": {"m": ""}, "default": "m", "seconds": 9}, folder)
        self._channel = self  # type: ignore[assignment]

    def send(self, message: dict[str, Any]) -> None:
        self._said = message

    def receive(self) -> dict[str, Any]:
        if "collected" in self._said:
            return {"run": [check["id"] for check in self._said["collected"]]}
        return {"ask": self._said["ask"], "rc": 0, "stdout": "", "stderr": ""}


def warm_up() -> None:
    """Run one check of everything, so that whatever is imported on first use has been imported."""
    for name in testinfra.modules.modules:
        testinfra.modules.get_module_class(name)
    with (
        tempfile.TemporaryDirectory() as name,
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        folder = Path(name).resolve()
        (folder / "test_practice.py").write_text(
            "import requests, pytest\n"
            "@pytest.mark.parametrize('n', [1, 2])\n"
            "def test_pass(s, n): assert s.run('true').succeeded\n"
            "def test_fail(machine): assert machine.file('/').exists, 'no'\n"
            "def test_error(): raise ValueError\n"
        )
        _pytest(folder, _Practice(folder))
