"""One static rule set per kind of bridge: what a workspace, and what a machine, may reach.

Names of bridges tell their kind (`machineroom_spawners.names.bridge_prefix`), so the rules are
made once, cover every student to come, and need no care when machines come and go.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from machineroom_spawners.names import bridge_prefix

from ..room import Room
from . import HostError

METADATA = "169.254.0.0/16"


@dataclass(frozen=True)
class Chain:
    """One of our chains: its name, the chain that jumps to it, and its rules in order."""

    name: str
    parent: str
    rules: tuple[tuple[str, ...], ...]


def chains(room: Room, ipv6: bool = False) -> list[Chain]:
    """The chains of a room. Pure.

    From workspaces (`mh…`): hub and service, nothing else of the host. From machines (`ms…`):
    nothing of the host but answers. Forwarding: never to the metadata addresses, never from one
    of our bridges to another. Over IPv6, which our networks do not use: nothing at all.
    """
    hub, student = f"{bridge_prefix(room.id, 'hub')}+", f"{bridge_prefix(room.id, 'student')}+"
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "RETURN")
    ours = (("-i", hub), ("-i", student))
    doors = [
        ("-i", hub, "-p", "tcp", "--dport", str(port), "-j", "RETURN")
        for port in (room.hub_port, room.service_port)
    ]
    refuse = [(*bridge, "-j", "DROP") for bridge in ours]
    if ipv6:
        return [Chain(f"MR-{room.id}-IN", "INPUT", tuple(refuse))]
    between = [(*a, "-o", b[1], "-j", "DROP") for a in ours for b in ours if a != b]
    metadata = [(*bridge, "-d", METADATA, "-j", "DROP") for bridge in ours]
    return [
        Chain(f"MR-{room.id}-IN", "INPUT", (answers, *doors, *refuse)),
        Chain(f"MR-{room.id}-FWD", "DOCKER-USER", (*metadata, *between)),
    ]


def cloud_chains(room: Room, ipv6: bool = False) -> list[Chain]:
    """The chains of a room's cloud (`mc…`), which are there as long as it is. Pure.

    Servers in it are their students' own: from them nothing of the host, no workspace and no machine but
    for answers. Workspaces reach its APIs and its servers' floating addresses, machines do not.
    """
    cloud, hub, student = (f"{bridge_prefix(room.id, kind)}+" for kind in ("cloud", "hub", "student"))
    known = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j")
    closed = ("-i", cloud, "-j", "DROP")
    if ipv6:
        return [Chain(f"MR-{room.id}-CIN", "INPUT", (closed,))]
    forward = (
        ("-i", cloud, "-d", METADATA, "-j", "DROP"),
        ("-i", hub, "-o", cloud, "-j", "ACCEPT"),
        ("-i", cloud, "-o", hub, *known, "ACCEPT"),
        *(("-i", cloud, "-o", other, "-j", "DROP") for other in (hub, student)),
        ("-i", student, "-o", cloud, "-j", "DROP"),
    )
    return [
        Chain(f"MR-{room.id}-CIN", "INPUT", ((*("-i", cloud), *known, "RETURN"), closed)),
        Chain(f"MR-{room.id}-CFW", "DOCKER-USER", forward),
    ]


def apply(room: Room) -> None:
    """Make the room's chains be there, exactly once, first in their parents. Idempotent."""
    _apply(partial(chains, room))


def apply_cloud(room: Room) -> None:
    """Make the chains of the room's cloud be there. Idempotent."""
    _apply(partial(cloud_chains, room))


def remove(room: Room) -> None:
    """Take the room's chains away. Idempotent."""
    _remove(partial(chains, room))


def remove_cloud(room: Room) -> None:
    """Take the chains of the room's cloud away. Idempotent."""
    _remove(partial(cloud_chains, room))


def _apply(wanted: Callable[..., list[Chain]]) -> None:
    for tool, ipv6 in (("iptables", False), ("ip6tables", True)):
        if ipv6 and _call(tool, "-S", "INPUT", check=False).returncode:
            continue  # a kernel without IPv6 has nothing to close
        for chain in wanted(ipv6=ipv6):
            _call(tool, "-N", chain.name, check=False)
            _call(tool, "-F", chain.name)
            for rule in chain.rules:
                _call(tool, "-A", chain.name, *rule)
            _call(tool, "-D", chain.parent, "-j", chain.name, check=False)
            _call(tool, "-I", chain.parent, "1", "-j", chain.name)


def _remove(wanted: Callable[..., list[Chain]]) -> None:
    for tool, ipv6 in (("iptables", False), ("ip6tables", True)):
        for chain in wanted(ipv6=ipv6):
            _call(tool, "-D", chain.parent, "-j", chain.name, check=False)
            _call(tool, "-F", chain.name, check=False)
            _call(tool, "-X", chain.name, check=False)


def in_place(room: Room) -> bool:
    """Whether every chain of the room is there and is jumped to."""
    return all(
        _call("iptables", "-C", chain.parent, "-j", chain.name, check=False).returncode == 0
        and _call("iptables", "-S", chain.name, check=False).stdout.count("\n-A") == len(chain.rules)
        for chain in chains(room)
    )


def _call(tool: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run([tool, "--wait", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HostError(f"{tool} is not installed: apt-get install iptables") from None
    if check and done.returncode:
        raise HostError(f"{tool} {' '.join(words)}: {done.stderr.strip()}")
    return done
