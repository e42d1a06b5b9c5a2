"""Machines: what a driver's calls take beside the bare engine's, and what a machine costs idle."""

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from machineroom_spawners import names
from machineroom_spawners.drivers.base import Progress
from machineroom_spawners.spec import machine_spec

from ..host import HostError
from . import containers
from .figures import Figure
from .stage import Stage

OWNER = "bench"


AGAINST = {
    "create, until ssh answers": "docker run of the same image, until its ssh answers",
    "suspend": "docker pause",
    "resume": "docker unpause",
    "snapshot": "docker commit",
}


KINDS = {"slim": "lab-slim", "bench": "lab"}
"""The bench's labs, and the image of each one's machine."""


def measure(stage: Stage, runs: int, progress: Progress, kinds: Mapping[str, str] = KINDS) -> list[Figure]:
    """What a driver does with machines of these kinds, and the idle memory of each."""
    figures: dict[str, Figure] = {}
    for part, (lab, image) in enumerate(kinds.items()):
        for run in range(runs):
            progress(
                100 * (part * runs + run) // (len(kinds) * runs),
                f"a machine of {image}, run {run + 1} of {runs}",
            )
            ours, stock, idle = _run(stage, lab, image)
            for what, seconds in ours.items():
                name = f"{image}: {what}"
                figure = figures.setdefault(name, Figure(name, "s", AGAINST.get(what, "")))
                figure.ours.append(seconds)
                figure.stock += [stock[what]] if what in stock else []
            name = f"{image}: memory idle"
            figures.setdefault(name, Figure(name, "MB")).ours.append(idle)
    return list(figures.values())


def _run(stage: Stage, lab: str, image: str) -> tuple[dict[str, float], dict[str, float], float]:
    """Seconds of each, ours and stock's, on a machine that is new and gone afterwards; its memory in MB."""
    driver, spec = stage.driver, machine_spec(stage.course, lab, "box", OWNER, stage.room.secret)
    ref, name = spec.ref, names.machine(stage.room.id, OWNER, "bench", lab, "box")
    try:
        ours = {
            "create, until ssh answers": _seconds(lambda: driver.ensure(spec)),
            "suspend": _seconds(lambda: driver.suspend(ref)),
            "resume": _seconds(lambda: driver.resume(ref)),
            "snapshot": _seconds(lambda: driver.snapshot(ref, "bench")),
            "restore, until ssh answers": _seconds(lambda: driver.restore(spec, "bench")),
            "reset, until ssh answers": _seconds(lambda: driver.reset(spec)),
        }
        idle = containers.memory(stage.client, name)
        bare = stage.client.containers.get(name)
        stock = {
            "create, until ssh answers": _bare_run(stage, image),
            "suspend": _seconds(bare.pause),
            "resume": _seconds(bare.unpause),
            "snapshot": _seconds(bare.commit),
        }
        return ours, stock, idle
    finally:
        driver.delete(ref)
        driver.delete_snapshot(ref, "bench")


def _seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _bare_run(stage: Stage, image: str) -> float:
    """Seconds of `docker run` until ssh answers, with what the image needs to boot and nothing of ours."""
    client: Any = stage.client
    found = client.images.get(names.image(stage.room.id, image))
    systemd = found.labels["machineroom.init"] == "systemd"
    boots: dict[str, Any] = {
        "runtime": "machineroom",
        "cgroupns": "private",
        "tmpfs": {"/run": "exec", "/run/lock": ""},
    }
    init = [*(found.attrs["Config"]["Entrypoint"] or []), *(found.attrs["Config"]["Cmd"] or [])]
    began = time.monotonic()
    container = client.containers.run(
        found.id,
        # our images hold no host key: the driver brings it
        ["-c", 'ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key; exec "$@"', "init", *init],
        entrypoint=["/bin/sh"],
        detach=True,
        labels={"machineroom.room": stage.room.id},
        **(boots if systemd else {}),
    )
    try:
        while not _ssh_answers(container):
            if time.monotonic() - began > 60:
                raise HostError(f"{image} did not boot under docker run: {container.logs(tail=5).decode()}")
            time.sleep(0.02)
        return time.monotonic() - began
    finally:
        container.remove(force=True)


def _ssh_answers(container: Any) -> bool:
    container.reload()
    address = container.attrs["NetworkSettings"]["IPAddress"]
    try:
        with socket.create_connection((address, 22), timeout=1) as ssh:
            return ssh.recv(4) == b"SSH-"
    except OSError:
        return False
