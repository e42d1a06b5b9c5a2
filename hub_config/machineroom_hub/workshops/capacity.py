"""Whether this host can hold a workshop's seats: the sum, in memory and disk, before it hurts."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from machineroom_spawners.course import Course, read_course

from ..host import HostError
from ..room import Room
from . import plan
from .models import Workshop

MB = 1 << 20
WORKSPACE = 150 * MB
"""A workspace in use, with one kernel; see docs/figures.md."""
MACHINE = 64 * MB
"""A machine that somebody works on, unless its limit is lower."""
CONTAINER = 5 * MB
"""What the engine needs for each container."""
DISK = 60 * MB
"""What a seat writes, in its home and on its machines."""
RESERVE = 0.1
"""The share of the host's memory that is left to the host."""
LOOKED_AT = 6
"""Running containers of each kind that are measured."""


@dataclass(frozen=True)
class Need:
    """What one seat takes, in bytes: as is to be expected, and at the limits that it has."""

    workspace: int
    machines: int
    most: int

    @property
    def memory(self) -> int:
        """Both together."""
        return self.workspace + self.machines


@dataclass(frozen=True)
class Sum:
    """What a workshop asks of the host, and what the host has."""

    seats: int
    need: Need
    promised: int
    """What seats of other workshops at that time, which do not run yet, will take."""
    free: int
    memory: int
    disk: int
    elsewhere: bool
    """Whether machines run on another infrastructure, which is not looked at."""

    @property
    def room_for(self) -> int:
        """How many seats the host can hold."""
        left = self.free - self.promised - RESERVE * self.memory
        return max(0, int(min(left // self.need.memory, 0.9 * self.disk // DISK)))

    @property
    def fits(self) -> bool:
        """Whether all are among them."""
        return self.seats <= self.room_for

    def words(self) -> str:
        """The sum, as an organiser reads it."""
        promised = f", {_size(self.promised)} of it promised to other workshops" if self.promised else ""
        elsewhere = " Machines on OpenStack are not counted: look at its quotas." if self.elsewhere else ""
        return (
            f"{self.seats} seats of {_size(self.need.memory)} (workspace {_size(self.need.workspace)}, "
            f"machines {_size(self.need.machines)}) are {_size(self.seats * self.need.memory)} of memory, "
            f"and {_size(self.seats * DISK)} of disk. This host has {_size(self.memory)} of memory, "
            f"{_size(self.free)} free{promised}, and {_size(self.disk)} of disk free: "
            f"room for {self.room_for} seats. If every seat used all that it may, "
            f"{self.seats} would need {_size(self.seats * self.need.most)} of memory.{elsewhere}"
        )


def measure(room: Room, course: str, seats: int, starts: datetime, ends: datetime) -> Sum:
    """What so many seats of a course would ask at that time. Raises HostError, ContentError."""
    content = read_course(room.courses / course)
    try:
        client = docker.from_env(timeout=60)
        used = {kind: _in_use(client, f"mr-{room.id}-{kind}-") for kind in "wm"}
        limit = client.info()
        place = str(limit["DockerRootDir"])
    except (DockerException, OSError):
        raise HostError("the Docker engine does not answer: start everything with ./machineroom up") from None
    total, free = memory()
    others = [w for w in plan.listing(room) if w.starts < ends and w.ends > starts]
    return Sum(
        seats=seats,
        need=_need(content, used),
        promised=sum(_to_come(room, other, used) for other in others),
        free=free,
        memory=total,
        disk=shutil.disk_usage(place if Path(place).exists() else "/").free,
        elsewhere=any(m.driver != "docker" for lab in content.labs.values() for m in lab.machines.values()),
    )


def _need(course: Course, used: dict[str, int]) -> Need:
    """By the lab that takes most: the others sleep, or are not begun."""
    labs = {assignment.lab for assignment in course.assignments if assignment.lab}
    limits = [
        [
            course.limits(lab, name).memory or MACHINE
            for name, m in course.labs[lab].machines.items()
            if m.driver == "docker"
        ]
        for lab in labs
    ]
    machine = max(MACHINE, used["m"])
    expected = max((sum(min(machine, most) + CONTAINER for most in lab) for lab in limits), default=0)
    worst = sum(sum(lab) for lab in limits)
    return Need(max(WORKSPACE, used["w"]) + CONTAINER, expected, (1 << 30) + worst)


def _to_come(room: Room, other: Workshop, used: dict[str, int]) -> int:
    seats, guests = plan.people(room, other.id)
    running = {seat.name for seat in seats if seat.ready} | {guest.seat for guest in guests}
    missing = sum(not seat.retired and seat.name not in running for seat in seats)
    return missing * _need(read_course(room.courses / other.course), used).memory if missing else 0


def _in_use(client: docker.DockerClient, prefix: str) -> int:
    """The mean of what running containers of a kind have in memory, cached files left out; 0 without any."""
    found = client.api.containers(filters={"name": f"^/{prefix}"})[:LOOKED_AT]
    looks = list(_looks(client, (summary["Id"] for summary in found)))
    return sum(looks) // len(looks) if looks else 0


def _looks(client: docker.DockerClient, ids: Iterable[str]) -> Iterable[int]:
    for id in ids:
        said: dict[str, Any] = client.api.stats(id, stream=False, one_shot=True)["memory_stats"]
        if "usage" in said:  # else it ended meanwhile
            known = said["stats"]
            files = known.get("total_inactive_file", known.get("inactive_file", 0))
            yield int(said["usage"] - files)


def memory() -> tuple[int, int]:
    """The host's memory, and what of it is free, in bytes."""
    pairs = (line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    said = {key: int(value.split()[0]) << 10 for key, value in pairs}
    return said["MemTotal"], said["MemAvailable"]


def _size(size: float) -> str:
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / MB:.0f} MB"
