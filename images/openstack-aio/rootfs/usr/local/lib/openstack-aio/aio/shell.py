"""Programs, side by side where that helps, and patience."""

import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRESS = Path("/run/openstack-aio/progress")
"""What was done last, for whoever waits: one line `percent sentence` each."""


class SetupError(Exception):
    """Something did not work: what it was, and what was printed."""


def tell(percent: int, sentence: str) -> None:
    """Say how far it is."""
    PROGRESS.parent.mkdir(parents=True, exist_ok=True)
    with PROGRESS.open("a") as file:
        file.write(f"{percent} {sentence}\n")
    print(f"{percent:3} % {sentence}", flush=True)  # noqa: T201 the journal


def run(*command: str, user: str | None = None, text: str = "") -> str:
    """The output of a program, run as `user` where that is said. Raises SetupError with its last words."""
    groups: list[str] | None = [] if user else None
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=user,
        extra_groups=groups,
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise SetupError(f"{' '.join(command)} ended with code {done.returncode}:\n{tail}")
    return done.stdout


def side_by_side(*tasks: Callable[[], object]) -> None:
    """Do all of them at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()


def start(units: Iterable[str]) -> None:
    """Start units of systemd and wait until it says that they are."""
    run("systemctl", "start", *units)


def until(ready: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until `ready()` is true. Raises SetupError saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise SetupError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.3)
