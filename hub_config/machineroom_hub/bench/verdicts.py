"""Verdicts: from the click on Check to what the student reads, beside pytest and testinfra run from cold."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from machineroom_spawners import names
from machineroom_spawners.drivers.base import Progress
from machineroom_spawners.spec import machine_spec

from ..host import HostError
from .figures import Figure
from .stage import CHECKS, Stage

STOCK = "pytest with testinfra's docker backend, same check files"

CONFTEST = """\
import pytest


@pytest.fixture
def machine(host):
    return host
"""
"""What lets stock's pytest run our check files."""


def people(count: int) -> list[str]:
    """Those who check; graders may check what is not released."""
    return [f"g{number}" for number in range(count)]


def measure(stage: Stage, counts: list[int], runs: int, progress: Progress) -> list[Figure]:
    """One check, ten checks, and ten checks of several students at once, each on machines of their own."""
    graders = people(max(counts))
    driver = stage.driver
    for number, name in enumerate(graders):
        progress(40 * number // len(graders), f"machine {number + 1} of {len(graders)}")
        driver.ensure(machine_spec(stage.course, "bench", "box", name, stage.room.secret))
    progress(40, "our hub and service")
    tokens = [stage.ours.token_of(name) for name in graders]
    folder = stage.room.state / "pytest"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    for file in CHECKS.glob("test_*.py"):
        (folder / file.name).write_bytes(file.read_bytes())

    figures = []
    cases = [("one", "1 check", 1), ("ten", "10 checks", 1)]
    cases += [("ten", f"10 checks, {count} students at once", count) for count in counts if count > 1]
    for part, (task, name, count) in enumerate(cases):
        figure = Figure(f"{name}: click to verdict", "s", STOCK)
        for run in range(runs):
            progress(45 + 55 * (part * runs + run) // (len(cases) * runs), f"{name}, run {run + 1} of {runs}")
            with ThreadPoolExecutor(count) as pool:
                figure.ours += pool.map(partial(_click, stage, task), tokens[:count])
                figure.stock += pool.map(partial(_pytest, stage, folder, task), graders[:count])
        figures.append(figure)
    for name in graders:
        for machine in driver.machines(name):
            driver.delete(machine.ref)
    return figures


def _click(stage: Stage, task: str, token: str) -> float:
    """What the widget does: one call, through the proxy."""
    with stage.ours.client(token) as http:
        url = f"{stage.ours.public}/services/machineroom/api/courses/bench/checks"
        began = time.monotonic()
        answer = http.post(url, json={"task": task})
        seconds = time.monotonic() - began
    report = answer.json() if answer.is_success else {}
    if not report or report["earned"] != report["points"]:
        raise HostError(f"the checks of '{task}' did not come out as they should: {answer.text[:2000]}")
    return seconds


def _pytest(stage: Stage, folder: Path, task: str, owner: str) -> float:
    """What one does without us: pytest from cold, and a `docker exec` for each question."""
    container = names.machine(stage.room.id, owner, "bench", "bench", "box")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--hosts=docker://{container}",
    ]
    began = time.monotonic()
    done = subprocess.run(
        [*command, f"test_{task}.py"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise HostError(f"stock's pytest did not come out as it should: {done.stdout}{done.stderr}")
    return seconds
