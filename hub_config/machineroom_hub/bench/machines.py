"""Machines: what a driver's calls take beside the bare engine's, and what a machine costs idle."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import docker
from machineroom_spawners.course import Course, read_course
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import machine_spec

from ..host import processes
from ..room import Room
from .figures import Figure

COURSE = """
title: Bench
assignments: [{name: bench, lab: bench}]
"""
LAB = """
machines:
  full: {image: lab}
  slim: {image: lab-slim}
"""
OWNER = "bench"


def course(room: Room) -> Course:
    """A course with one lab of one machine of each kind, in the bench's own room."""
    folder = room.courses / "bench"
    (folder / "labs" / "bench").mkdir(parents=True, exist_ok=True)
    (folder / "course.yml").write_text(COURSE)
    (folder / "labs" / "bench" / "lab.yml").write_text(LAB)
    return read_course(folder)


def measure(room: Room, client: docker.DockerClient, runs: int, say: Callable[[str], None]) -> list[Figure]:
    """Create, reset, suspend, resume, snapshot and restore, and idle memory; machines are gone afterwards."""
    driver = DockerDriver(room_id=room.id)
    figures: list[Figure] = []
    for kind, image in (("slim", "lab-slim"), ("full", "lab")):
        spec = machine_spec(course(room), "bench", kind, OWNER, room.secret)
        figure = {
            name: Figure(f"machine {kind}: {name}", "s", against=against)
            for name, against in (
                ("create to ssh", "docker run of the same image, until its init is up"),
                ("reset", ""),
                ("suspend", "docker pause"),
                ("resume", "docker unpause"),
                ("snapshot", "docker commit"),
                ("restore", ""),
            )
        }
        idle = Figure(f"machine {kind}: memory idle", "MB")
        for number in range(runs):
            say(f"machine {kind}, run {number + 1} of {runs}")
            driver.delete(spec.ref)
            _time(figure["create to ssh"].ours, lambda spec=spec: driver.ensure(spec))
            _time(figure["suspend"].ours, lambda spec=spec: driver.suspend(spec.ref))
            _time(figure["resume"].ours, lambda spec=spec: driver.resume(spec.ref))
            _time(figure["snapshot"].ours, lambda spec=spec: driver.snapshot(spec.ref, "bench"))
            _time(figure["restore"].ours, lambda spec=spec: driver.restore(spec, "bench"))
            _time(figure["reset"].ours, lambda spec=spec: driver.reset(spec))
            machine = driver.poll(spec.ref)
            assert machine is not None
            bare = client.containers.get(machine.id)
            _time(figure["suspend"].stock, bare.pause)
            _time(figure["resume"].stock, bare.unpause)
            _time(figure["snapshot"].stock, lambda bare=bare: _commit_and_forget(client, bare))
            _time(figure["create to ssh"].stock, lambda image=image: _bare_run(client, room, image))
            idle.ours.append(_settled_memory(bare))
        driver.delete(spec.ref)
        for snapshot in driver.snapshots(spec.ref):
            driver.delete_snapshot(spec.ref, snapshot.name)
        figures += [*figure.values(), idle]
    return figures


def _time(into: list[float], action: Callable[[], object]) -> None:
    began = time.monotonic()
    action()
    into.append(time.monotonic() - began)


def _commit_and_forget(client: docker.DockerClient, container) -> None:  # type: ignore[no-untyped-def]
    client.images.remove(container.commit().id)


def _bare_run(client: docker.DockerClient, room: Room, image: str) -> None:
    """`docker run` with what the image needs to boot, and nothing of ours: until sshd says who it is."""
    systemd = client.images.get(f"machineroom/{image}").labels.get("machineroom.init") == "systemd"
    needs = {"runtime": "machineroom", "cgroupns": "private", "tmpfs": {"/run": "", "/run/lock": ""}} if systemd else {}
    begins = "ssh-keygen -A >/dev/null; exec "
    inspected = client.images.get(f"machineroom/{image}").attrs["Config"]
    init = " ".join([*(inspected["Entrypoint"] or []), *(inspected["Cmd"] or [])])
    container = client.containers.run(
        f"machineroom/{image}",
        ["-c", begins + init],
        entrypoint="/bin/sh",
        detach=True,
        labels={"machineroom.room": room.id},
        **needs,
    )
    try:
        processes.wait(lambda: _ssh_answers(container), 60, f"{image} did not boot under docker run")
    finally:
        container.remove(force=True)


def _ssh_answers(container) -> bool:  # type: ignore[no-untyped-def]
    container.reload()
    address = container.attrs["NetworkSettings"]["IPAddress"]
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _settled_memory(container) -> float:  # type: ignore[no-untyped-def]
    """Memory in MB, caches left out, once it stops falling: the least of a few looks."""
    looks = []
    for _ in range(5):
        stats = container.stats(stream=False)["memory_stats"]
        cache = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
        looks.append((stats["usage"] - cache) / 1e6)
    return min(looks)


def remove_course(room: Room) -> None:
    """Take the bench's course away again."""
    folder: Path = room.courses / "bench"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
