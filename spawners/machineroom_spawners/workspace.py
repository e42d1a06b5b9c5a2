"""What a workspace is made of: its files, its mounts and its container's settings. Pure: talks to nobody."""

import io
import json
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .course import Course
from .keys import KeyPair, host_key, student_key

UID = 1000
"""The user and group `jovyan` inside a workspace."""

HOME = "/home/jovyan"
SSH = "/etc/machineroom/ssh"

HOST_CONFIG: dict[str, Any] = {
    "auto_remove": False,  # a workspace that dies leaves its log
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "sysctls": {
        "net.ipv4.ip_forward": "0",  # or a machine would reach the hub's network through it
        # A machine that is gone is noticed within half a minute, and one that is suspended is waited for:
        # its kernel still answers for it, while its sshd could not answer ssh's own keep-alives.
        "net.ipv4.tcp_keepalive_time": "5",
        "net.ipv4.tcp_keepalive_intvl": "4",
        "net.ipv4.tcp_keepalive_probes": "3",
        "net.ipv4.tcp_retries2": "6",
    },
    "pids_limit": 1024,
    "log_config": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
}
"""How little a workspace's container may do: it is a student's, and no root in it is needed."""


@dataclass(frozen=True)
class Seat:
    """Somebody's place in a course: "student", "ta" or "instructor"."""

    course: Course
    role: str

    @property
    def grader(self) -> bool:
        """Whether this place comes with the live course folder."""
        return self.role != "student"


def first_lab(course: Course) -> str | None:
    """The lab that is ready when a student arrives: that of the first assignment which has one."""
    return next((a.lab for a in course.assignments if a.lab), None)


def drivers(seats: Iterable[Seat]) -> set[str]:
    """The drivers by which the machines of the user's labs are made."""
    labs = (lab for seat in seats for lab in seat.course.labs.values())
    return {machine.driver for lab in labs for machine in lab.machines.values()}


def description(user: str, service_url: str, seats: Iterable[Seat]) -> dict[str, Any]:
    """The content of /etc/machineroom/workspace.json."""
    return {
        "user": user,
        "service_url": service_url,
        "courses": [
            {
                "id": seat.course.id,
                "title": seat.course.title,
                "role": str(seat.role),
                "labs": [
                    {
                        "id": lab.id,
                        "default": lab.default,
                        "machines": [
                            {"name": name, "image": machine.image, "ports": list(machine.ports)}
                            for name, machine in lab.machines.items()
                        ],
                    }
                    for lab in seat.course.labs.values()
                ],
            }
            for seat in seats
        ],
    }


def ssh_config(seats: Iterable[Seat]) -> str:
    """The text of the ssh configuration with which every machine of the user's labs is reached as root.

    A name that two labs use means the machine of the first, as `<machine>.<lab>` does of two courses;
    `<machine>.<lab>.<course>` is always clear: it is what the machine is called on its network, and the
    name under which its host key is pinned.
    """
    blocks = []
    taken: set[str] = set()
    for course, lab, machine in _machines(seats):
        full = f"{machine}.{lab}.{course}"
        names = [n for n in (machine, f"{machine}.{lab}", full) if n not in taken]
        taken.update(names)
        blocks.append(f"Host {' '.join(names)}\n    HostName {full}\n")
    blocks.append(
        "Host *\n"
        "    User root\n"
        f"    IdentityFile {SSH}/id_ed25519\n"
        "    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {SSH}/known_hosts\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
        "    HostKeyAlgorithms ssh-ed25519\n"
        "    PreferredAuthentications publickey\n"
        "    ConnectTimeout 10\n"
        "    ServerAliveInterval 15\n"
        "    LogLevel ERROR\n"
    )
    return "\n".join(blocks)


def known_hosts(user: str, seats: Iterable[Seat], secret: bytes) -> str:
    """The host key of every machine that the user has or may get, under its full name."""
    return "".join(
        f"{machine}.{lab}.{course} {host_key(secret, user, course, lab, machine).public}\n"
        for course, lab, machine in _machines(seats)
    )


def files(user: str, service_url: str, seats: list[Seat], secret: bytes) -> bytes:
    """A tar archive of all that is put into the container before it starts, to be unpacked at /."""
    key: KeyPair = student_key(secret, user)
    about = json.dumps(description(user, service_url, seats), indent=2) + "\n"
    folders = [("etc/machineroom", 0, 0o755), (SSH[1:], UID, 0o700)]
    if any(seat.grader for seat in seats):
        folders.append((f"{HOME[1:]}/courses", UID, 0o755))
    content = [
        ("etc/machineroom/workspace.json", 0, 0o644, about),
        (f"{SSH[1:]}/config", UID, 0o600, ssh_config(seats)),
        (f"{SSH[1:]}/id_ed25519", UID, 0o600, key.private),
        (f"{SSH[1:]}/known_hosts", UID, 0o600, known_hosts(user, seats, secret)),
    ]
    return archive(folders, content)


def problems_file(problems: list[str]) -> bytes:
    """A tar archive of the file that tells the user which machines are missing, and why."""
    text = "".join(f"{problem}\n" for problem in problems)
    return archive([], [("etc/machineroom/problems.txt", 0, 0o644, text)])


def archive(folders: Iterable[tuple[str, int, int]], content: Iterable[tuple[str, int, int, str]]) -> bytes:
    """A tar archive of folders `(path, uid, mode)` and files `(path, uid, mode, text)`, all made just now."""
    buffer = io.BytesIO()
    now = int(time.time())
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, uid, mode in folders:
            info = tarfile.TarInfo(path)
            info.type, info.uid, info.gid, info.mode, info.mtime = tarfile.DIRTYPE, uid, uid, mode, now
            tar.addfile(info)
        for path, uid, mode, text in content:
            data = text.encode()
            info = tarfile.TarInfo(path)
            info.size, info.uid, info.gid, info.mode, info.mtime = len(data), uid, uid, mode, now
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def binds(home_volume: str, seats: Iterable[Seat]) -> dict[str, dict[str, str]]:
    """What is mounted: the home, and for graders the live course folders."""
    mounts = {str(s.course.folder): f"{HOME}/courses/{s.course.id}" for s in seats if s.grader}
    return {
        source: {"bind": target, "mode": "rw"} for source, target in {home_volume: HOME, **mounts}.items()
    }


def host_uid(engine: Mapping[str, Any], uid: int = UID) -> int:
    """Which user of the host a container's `uid` is, from the engine's `info()`.

    An engine with user namespaces keeps its data in a folder called `<first uid>.<first gid>`.

    >>> host_uid({"DockerRootDir": "/var/lib/docker/100000.100000", "SecurityOptions": ["name=userns"]})
    101000
    """
    match = re.search(r"/(\d+)\.\d+/?\Z", str(engine.get("DockerRootDir", "")))
    remapped = any("userns" in option for option in engine.get("SecurityOptions") or ())
    return uid + (int(match[1]) if match and remapped else 0)


def _machines(seats: Iterable[Seat]) -> Iterator[tuple[str, str, str]]:
    for seat in seats:
        for lab in seat.course.labs.values():
            for machine in lab.machines:
                yield seat.course.id, lab.id, machine
