"""What a container uses, read from the host's own files: a few microseconds, and no question to the engine.

The machine's root can change none of it: control groups and the sockets of its network are the kernel's word.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .base import Usage

_CGROUPS = Path("/sys/fs/cgroup")
_SSH = 22
_PTS = range(136, 144)
_MOST = 1 << 20
"""Of a table of sockets, in bytes: a student may open as many as there are ports."""


def usage(inspected: Mapping[str, Any]) -> Usage | None:
    """What a container uses now, from the engine's inspection of it; None when it does not run."""
    state, host = inspected["State"], inspected["HostConfig"]
    pid = state["Pid"]
    if not pid:
        return None
    try:
        cpu, memory, processes = _counted(pid, inspected["Id"])
        ports, network, typed = listening(pid), _network(pid), _typed(pid)
    except (OSError, ValueError, LookupError):  # it went down just now
        return None
    return Usage(
        time=datetime.now(UTC),
        started=datetime.fromisoformat(state["StartedAt"][:19]).replace(tzinfo=UTC),
        cpu_seconds=cpu,
        cpus=host["NanoCpus"] / 1e9,
        memory=memory,
        memory_limit=host["Memory"],
        processes=processes,
        process_limit=host["PidsLimit"] or 0,
        ports=ports,
        network=network,
        typed=typed,
    )


def listening(pid: int) -> tuple[int, ...]:
    """The TCP ports on which something listens that others can reach, ssh's left out."""
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), Path(f"/proc/{pid}/net/{table}").open() as file:
            found.update(_ports(file.read(_MOST)))
    return tuple(sorted(found - {_SSH}))


def _network(pid: int) -> int:
    """Bytes in and out by every interface but the loopback's."""
    rows = (line.split(":", 1) for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:])
    counters = [values.split() for name, values in rows if name.strip() != "lo"]
    return sum(int(values[0]) + int(values[8]) for values in counters)


def _typed(pid: int) -> datetime | None:
    """When a terminal was last read from or written to, as `w` tells it; the kernel is 8 s exact."""
    folder = os.open(f"/proc/{pid}/root", os.O_PATH)
    try:
        # Step by step and through no link: what these names stand for is the student's to choose.
        for name in ("dev", "pts"):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        with os.scandir(folder) as terminals:
            found = [entry.stat(follow_symlinks=False) for entry in terminals if entry.name.isdecimal()]
    except OSError:
        return None
    finally:
        os.close(folder)
    moments = [max(s.st_atime, s.st_mtime) for s in found if os.major(s.st_rdev) in _PTS]
    return datetime.fromtimestamp(max(moments), UTC) if moments else None


def _ports(table: str) -> Iterator[int]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == "0A":
            address, port = fields[1].split(":")
            if not _address(address).is_loopback:
                yield int(port, 16)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as the kernel prints it: words in the processor's byte order."""
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return getattr(found, "ipv4_mapped", None) or found


def _counted(pid: int, container: str) -> tuple[float, int, int]:
    """CPU seconds, bytes of memory that cannot simply be dropped, and processes, by cgroup v1 or v2."""
    where = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            where[controller] = _of_container(path, container)
    if "memory" in where:
        memory, cpu = _folder("memory", where), _folder("cpuacct", where)
        held, dropped = _number(memory / "memory.usage_in_bytes"), "total_inactive_file"
        seconds = _number(cpu / "cpuacct.usage") / 1e9
        processes = _number(_folder("pids", where) / "pids.current")
    else:
        memory = _CGROUPS / where[""]
        held, dropped = _number(memory / "memory.current"), "inactive_file"
        seconds = _fields(memory / "cpu.stat")["usage_usec"] / 1e6
        processes = _number(memory / "pids.current")
    return seconds, max(0, held - _fields(memory / "memory.stat")[dropped]), processes


def _folder(controller: str, where: Mapping[str, str]) -> Path:
    return _CGROUPS / controller / where[controller]


def _of_container(path: str, container: str) -> str:
    """The container's own group: its systemd makes others below, and moves into one."""
    parts = path.strip("/").split("/")
    whole = next((n for n, part in enumerate(parts) if container in part), len(parts) - 1)
    return "/".join(parts[: whole + 1])


def _number(file: Path) -> int:
    return int(file.read_text())


def _fields(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}
