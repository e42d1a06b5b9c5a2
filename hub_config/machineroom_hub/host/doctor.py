"""What is wrong with this host, and the command that mends it."""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .. import addresses
from ..room import Room
from . import HostError, engine, firewall, packages, processes

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 8192
IO_URING = Path("/proc/sys/kernel/io_uring_disabled")
"""systemd takes four instances in each machine; with the usual 128 the thirtieth machine fails."""
DISK_WANTED = 8 << 30
INODES_WANTED = 200_000
"""A workspace's image alone takes some thirty thousand."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is "ok", "advice" or "wrong"; `mend` says what to do."""

    what: str
    state: str
    mend: str = ""


def examine(room: Room) -> list[Finding]:
    """Look at everything that Machineroom depends on."""
    return [*_host(room), *_engine(), *_room(room)]


def _host(room: Room) -> list[Finding]:
    found = [Finding(f"Python {sys.version.split()[0]}", "ok")]
    lacking = packages.missing()
    found.append(
        Finding(f"packages missing: {', '.join(lacking)}", "wrong", f"apt-get install {' '.join(lacking)}")
        if lacking
        else Finding(f"packages: {', '.join(packages.NEEDED)}", "ok")
    )
    place = next(p for p in (room.state, *room.state.parents) if p.exists())
    free = shutil.disk_usage(place).free
    enough = free >= DISK_WANTED
    found.append(
        Finding(
            f"disk: {free >> 30} GiB free at {place}",
            "ok" if enough else "advice",
            "" if enough else "images take about 3 GiB, a class some hundred MB a student: make room",
        )
    )
    inodes = os.statvfs(place)
    if inodes.f_files and inodes.f_favail < INODES_WANTED:  # some file systems do not count them
        mend = f"find what holds many small files: du --inodes -x {place} | sort -n | tail"
        found.append(Finding(f"inodes: {inodes.f_favail} left at {place}", "advice", mend))
    instances = int(INOTIFY.read_text())
    low = instances < INOTIFY_WANTED
    found.append(
        Finding(
            f"inotify instances per user: {instances}",
            "advice" if low else "ok",
            "from about thirty machines on, systemd fails in new ones: "
            f"sysctl -w fs.inotify.max_user_instances={INOTIFY_WANTED}"
            if low
            else "",
        )
    )
    return found


def _engine() -> list[Finding]:
    client = engine.client(timeout=10)
    if client is None:
        return [
            Finding("the Docker engine does not answer", "wrong", "./machineroom up installs or starts it")
        ]
    info = client.info()
    found = [_io_uring(str(client.version()["Version"]))]
    found += [
        Finding(f"Docker {client.version()['Version']}, cgroup v{info.get('CgroupVersion', '1')}", "ok")
    ]
    if engine.has_runtime(client):
        found.append(Finding(f"OCI runtime '{engine.RUNTIME}'", "ok"))
    else:
        found.append(Finding(f"no OCI runtime '{engine.RUNTIME}'", "wrong", engine.runtime_advice()))
    remapped = any("userns" in option for option in info.get("SecurityOptions") or [])
    found.append(
        Finding("user namespaces: root in a machine is nobody on the host", "ok")
        if remapped
        else Finding(
            "no user namespaces: root in a machine is held by capabilities and seccomp alone, "
            "root in a cloud (./machineroom cloud up) by nothing",
            "advice",
            f'put "userns-remap": "default" into {engine.DAEMON_JSON} and restart the engine; images and '
            "containers made before are hidden until it is taken out again, so we do not do it for you",
        )
    )
    return found


def _io_uring(version: str) -> Finding:
    """Whether machines have a part of the kernel that engines since Docker 25 keep from containers."""
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) >= 25:
        return Finding("io_uring: the engine keeps it from machines", "ok")
    try:
        closed = IO_URING.read_text().strip() == "2"
    except FileNotFoundError:  # kernels before 6.6 have no such switch
        closed = False
    if closed:
        return Finding("io_uring: switched off for everybody", "ok")
    return Finding(
        f"io_uring is open to machines: Docker {version} lets them have it, and holes were found in it",
        "advice",
        "Docker 25; or, if nothing here needs it, on kernel 6.6 or newer: "
        "sysctl -w kernel.io_uring_disabled=2",
    )


def _room(room: Room) -> list[Finding]:
    states = processes.states(room)
    if not states:
        return [Finding(f"nothing runs from {room.state}", "advice", "./machineroom up")]
    found = []
    for name in processes.PROGRAMS:
        ok = states.get(name) == "RUNNING"
        mend = "" if ok else f"./machineroom logs {name}; ./machineroom up starts it again"
        found.append(
            Finding(f"{name}: {states.get(name, 'not there').lower()}", "ok" if ok else "wrong", mend)
        )
    in_place = firewall.in_place(room)
    found.append(
        Finding(
            "firewall rules of machines and workspaces" + ("" if in_place else " are not in place"),
            "ok" if in_place else "wrong",
            "" if in_place else "./machineroom up sets them again",
        )
    )
    return [*found, _names(room)]


def _names(room: Room) -> Finding:
    """Whether students' pages have origins of their own."""
    host = room.subdomains
    if not host:
        return Finding(
            "one host name for all users: a page that a student's server shows acts in the name of whoever "
            "opens it, instructors and operators included",
            "advice",
            "docs/security.md says what holds those pages. With a wildcard name (*.lab.example.org) in the "
            "DNS: ./machineroom down, then ./machineroom up --subdomains lab.example.org",
        )
    if not addresses.is_known(host):
        return Finding(
            f"a host name for each user below {host}, but this computer does not know such names",
            "advice",
            f"have *.{urlsplit(host).hostname} lead here too, in the DNS and in the web server in front",
        )
    if not host.startswith("https:") and not str(urlsplit(host).hostname).endswith(".localhost"):
        return Finding(
            f"a host name for each user below {host}, without TLS: everybody on the way reads and changes "
            "what is said, and a student's page can log others in as somebody else",
            "advice",
            "put TLS in front (docs/operators.md): ./machineroom down, then ./machineroom up --subdomains "
            f"{urlsplit(host).hostname}",
        )
    return Finding(f"a host name for each user below {host}", "ok")


def raise_kernel_limits(say: Callable[[str], None]) -> None:
    """Raise the number of inotify instances until the next reboot, saying so; more machines need it."""
    if int(INOTIFY.read_text()) < INOTIFY_WANTED:
        try:
            INOTIFY.write_text(str(INOTIFY_WANTED))
        except OSError:
            return  # doctor says what it means and how to mend it
        say(f"Raised fs.inotify.max_user_instances to {INOTIFY_WANTED} until the next reboot")


def refuse_taken_ports(room: Room, public: int) -> None:
    """Raise HostError if another program listens on one of our ports, `public` being the first of them."""
    if public == room.port and processes.states(room):
        return
    another = public + 1000 if public < 60000 else public - 1000
    for address, offset, what in (
        ("127.0.0.1", 0, "the public port"),
        ("127.0.0.1", room.proxy_api_port - room.port, "the proxy's API"),
        ("", room.hub_port - room.port, "the hub"),  # on a network's gateway, which may not be there yet
        ("", room.service_port - room.port, "the service"),
    ):
        port = public + offset
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                raise HostError(
                    f"port {port} ({what}) is taken (ss -ltnp 'sport = :{port}' says by what): "
                    f"stop that, or take another port with ./machineroom up --port {another}"
                ) from None
