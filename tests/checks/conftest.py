"""A runner that all tests share, and a machine that is this host's own shell."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from machineroom_checks.runner import CheckRunner


@dataclass(frozen=True)
class Result:
    rc: int
    stdout: bytes
    stderr: bytes
    seconds: float


class Shell:
    """A session on this host: the driver's own sessions need images, and are tested with the driver."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.closed = False

    def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Result:
        self.commands.append(command)
        began = time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
            rc = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            rc = -1
        return Result(rc, out[:limit], err[:limit], time.monotonic() - began)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def runner() -> Iterator[CheckRunner]:
    """The runner, with a time limit for checks that tests can wait for."""
    runner = CheckRunner(check_seconds=2)
    yield runner
    runner.close()


@pytest.fixture
def checks(tmp_path: Path, runner: CheckRunner) -> Callable[..., list[dict[str, Any]]]:
    """Runs a check file's text against `Shell`s called web and db; the reports' checks, in order."""

    def run(text: str, **options: Any) -> list[dict[str, Any]]:
        (tmp_path / "test_it.py").write_text(dedent(text))
        machines = {"web": Shell, "db": Shell}
        addresses = {"web": "127.0.0.1", "db": "127.0.0.1"}
        reports = runner.run(tmp_path, None, machines, "web", addresses=addresses, **options)
        return [check for report in reports for check in report["checks"]]

    return run
