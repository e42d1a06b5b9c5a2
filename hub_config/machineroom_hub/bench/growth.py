"""Growth: what one more machine takes, and what all of them cost, when there are many already."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machineroom_spawners.drivers.base import Progress
from machineroom_spawners.spec import MachineSpec, machine_spec

from .figures import Figure
from .stage import Stage

LAST = 5
"""So many of each step's machines are made one by one, and timed; the others side by side."""


def measure(stage: Stage, counts: list[int], progress: Progress, lab: str = "bench") -> list[Figure]:
    """For each of `counts`, once there are so many machines: the next ones, a listing, and the host's memory.

    Each machine has an owner, and so a network, of its own.
    """
    specs = [
        machine_spec(stage.course, lab, "box", f"many{number}", stage.room.secret)
        for number in range(max(counts))
    ]
    free = _available()
    there, figures = 0, []
    try:
        for count in sorted(counts):
            make = Figure(f"{count} machines: create one more", "s")
            look = Figure(f"{count} machines: list all", "ms")
            host = Figure(f"{count} machines: host's memory for each", "MB")
            alone = max(there, count - LAST)
            with ThreadPoolExecutor(4) as pool:
                for _ in pool.map(stage.driver.ensure, specs[there:alone]):
                    there += 1
                    progress(90 * there // len(specs), f"machine {there} of {len(specs)}")
            for spec in specs[alone:count]:
                make.ours.append(_seconds(stage, spec))
            there = count
            for _ in range(LAST):
                began = time.monotonic()
                stage.driver.machines()
                look.ours.append((time.monotonic() - began) * 1e3)
            host.ours.append((free - _available()) / count)
            figures += [make, look, host]
    finally:
        progress(92, "removing them")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(stage.driver.delete, [spec.ref for spec in specs]))
    return figures


def _seconds(stage: Stage, spec: MachineSpec) -> float:
    began = time.monotonic()
    stage.driver.ensure(spec)
    return time.monotonic() - began


def _available() -> float:
    """Memory of the host that is free to be used, in MB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("MemAvailable:"))
