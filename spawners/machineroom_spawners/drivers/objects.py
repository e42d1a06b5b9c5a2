"""Pure "make the spec" functions of the Docker driver: what is sent to the engine, in its own words.

Nothing here talks to an engine, so all of it is tested without one.
"""

import ipaddress
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from tarfile import DIRTYPE, TarFile, TarInfo
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from .. import names
from ..spec import MachineRef, MachineSpec
from .base import Machine, MachineError, Snapshot, State

TOOLS = "/.machineroom"
"""Where the host's tools folder is mounted, read-only, in every machine."""

SETUP = "/var/lib/machineroom-setup"
"""Where a machine's set-up script lies while it runs."""

RUNTIME = "machineroom"
"""The OCI runtime that systemd needs; see `machineroom_spawners.runtime`."""

CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
"""What root on a machine may do: sudo, ping, apt-get, useradd, chown, sshd and systemd need these."""

EXTRA_CAPABILITIES = ("IPC_LOCK", "NET_ADMIN", "SYS_NICE", "SYS_PTRACE")
"""What a lab may ask for beside: they reach no further than the machine itself."""

LABEL = "machineroom."


def labels(room: str, ref: MachineRef) -> dict[str, str]:
    """The labels that say what an object of the engine is, and find it again."""
    return {
        LABEL + "room": room,
        LABEL + "owner": ref.owner,
        LABEL + "course": ref.course,
        LABEL + "lab": ref.lab,
        LABEL + "machine": ref.machine,
    }


def label_filter(found: Mapping[str, str]) -> dict[str, list[str]]:
    """`found` as the engine's filter: objects that have all of these labels."""
    return {"label": [f"{key}={value}" for key, value in found.items()]}


def ref_of(labelled: Mapping[str, str]) -> MachineRef:
    """Which machine an object's labels name."""
    return MachineRef(*(labelled[LABEL + key] for key in ("owner", "course", "lab", "machine")))


def container_name(room: str, ref: MachineRef) -> str:
    """What the machine's container is called."""
    return names.machine(room, ref.owner, ref.course, ref.lab, ref.machine)


def making_name(room: str, ref: MachineRef) -> str:
    """What the machine's container is called until its set-up is done."""
    return container_name(room, ref) + "-making"


def network_name(room: str, ref: MachineRef, network: str) -> str:
    """The engine's network for a network of the machine's lab; "" is the student's own."""
    place = (ref.course, ref.lab, network) if network else ()
    return names.network(room, ref.owner, *place)


def aliases(ref: MachineRef) -> list[str]:
    """What the machine is called on its networks; the last name is its alone."""
    return [ref.machine, f"{ref.machine}.{ref.lab}", f"{ref.machine}.{ref.lab}.{ref.course}"]


def container(
    spec: MachineSpec, room: str, image: Mapping[str, Any], base: str, tools: str, replaces: str = ""
) -> dict[str, Any]:
    """The container of a machine, as `POST /containers/create` wants it.

    `image` is what the engine says about the image it is made from: the lab's image `base`, or a
    snapshot. `tools` is the host's folder for `TOOLS`; `replaces` is the container in whose
    place it comes.

    Raises:
        MachineError: the lab asks for what no machine gets, or the image does not say how it boots.
    """
    for capability in spec.capabilities:
        if capability.removeprefix("CAP_") not in EXTRA_CAPABILITIES:
            raise MachineError(
                f"{spec.ref}: no machine gets the capability '{capability}'; "
                f"a lab may ask for {', '.join(EXTRA_CAPABILITIES)}. Mend its lab.yml."
            )
    said = image["Config"].get("Labels") or {}
    init = said.get(LABEL + "init")
    if init not in ("systemd", "tini"):
        raise MachineError(
            f"{spec.ref}: image '{base}' has no label machineroom.init that says how it boots; "
            "build it with ./machineroom image build"
        )
    systemd = init == "systemd"
    network = network_name(room, spec.ref, spec.networks[0])
    host: dict[str, Any] = {
        "Memory": spec.memory,
        "MemorySwap": spec.memory,
        "NanoCpus": int(spec.cpus * 1e9),
        "PidsLimit": spec.pids,
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 16384}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "CapAdd": [*CAPABILITIES, *(c.removeprefix("CAP_") for c in spec.capabilities)],
        "Mounts": [{"Type": "bind", "Source": tools, "Target": TOOLS, "ReadOnly": True}],
        "NetworkMode": network,
        "ShmSize": spec.memory // 4,  # what lies in memory's file systems must leave room for processes
    }
    if systemd:
        host["Runtime"] = RUNTIME
        host["Tmpfs"] = {"/run": f"exec,mode=755,size={spec.memory // 4}", "/run/lock": "mode=1777,size=1m"}
    return {
        "Image": image["Id"],
        "Hostname": spec.ref.machine,
        "Env": ["LANG=C.UTF-8", *(["container=docker"] if systemd else [])],
        "Labels": {
            **labels(room, spec.ref),
            LABEL + "image": spec.image,
            LABEL + "lab-image-size": said.get(LABEL + "lab-image-size") or str(image["Size"]),
            LABEL + "disk": str(spec.disk),
            LABEL + "replaces": replaces,  # said even if empty: a snapshot hands labels on
        },
        "StopSignal": "SIGRTMIN+3" if systemd else "SIGTERM",
        "HostConfig": host,
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": aliases(spec.ref)}}},
    }


def files(spec: MachineSpec) -> bytes:
    """What is put into a machine before it starts, as a tar: ssh keys and the set-up script."""
    members: dict[str, tuple[int, str | None]] = {}
    if spec.authorized_key:
        members["root/.ssh"] = (0o700, None)
        members["root/.ssh/authorized_keys"] = (0o600, spec.authorized_key.strip() + "\n")
    if spec.host_key:
        key = load_ssh_private_key(spec.host_key.encode(), password=None)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        members["etc/ssh/ssh_host_ed25519_key"] = (0o600, spec.host_key)
        members["etc/ssh/ssh_host_ed25519_key.pub"] = (0o644, public + "\n")
    if spec.setup:
        members[SETUP.lstrip("/")] = (0o700, spec.setup)
    packed = BytesIO()
    with TarFile(fileobj=packed, mode="w") as tar:
        for name, (mode, text) in members.items():
            member = TarInfo(name)
            member.mode = mode
            member.mtime = int(time.time())
            if text is None:
                member.type = DIRTYPE
                tar.addfile(member)
            else:
                data = text.encode()
                member.size = len(data)
                tar.addfile(member, BytesIO(data))
    return packed.getvalue()


def machine(summary: Mapping[str, Any]) -> Machine:
    """A machine, from the engine's line about its container in a listing."""
    labelled = summary["Labels"]
    state = {
        "running": State.RUNNING,
        "restarting": State.RUNNING,
        "paused": State.SUSPENDED,
        "created": State.STOPPED,
        "exited": State.STOPPED,
    }.get(summary["State"], State.BROKEN)
    if is_making(summary):
        state = State.CREATING
    ends = summary["NetworkSettings"]["Networks"]
    addresses = [ends[name].get("IPAddress") or "" for name in sorted(ends)]
    return Machine(
        ref=ref_of(labelled),
        state=state,
        image=labelled[LABEL + "image"],
        driver="docker",
        id=summary["Id"],
        created=datetime.fromtimestamp(summary["Created"], UTC),
        address=next((a for a in addresses if a), "") if state is State.RUNNING else "",
    )


def is_making(summary: Mapping[str, Any]) -> bool:
    """Whether a listed container is a machine that is not ready yet."""
    return any(name.endswith("-making") for name in summary["Names"])


def snapshot_tag(room: str, ref: MachineRef, name: str) -> tuple[str, str]:
    """Repository and tag of a snapshot. Its labels say what it is; the tag keeps `docker image prune` off."""
    return f"mr-{room}-snapshot", sha256(f"{ref}/{name}".encode()).hexdigest()[:32]


def snapshot(image: Mapping[str, Any]) -> Snapshot:
    """A snapshot, from the engine's line about its image in a listing."""
    labelled = image["Labels"]
    return Snapshot(
        ref=ref_of(labelled),
        name=labelled[LABEL + "snapshot"],
        id=image["Id"],
        created=datetime.fromtimestamp(int(image["Created"]), UTC),
        size=max(0, image["Size"] - int(labelled[LABEL + "lab-image-size"])),
    )


def is_tagged(image: Mapping[str, Any]) -> bool:
    """Whether a listed image still has a name; a forgotten one may stay for what stands on it."""
    return any(tag != "<none>:<none>" for tag in image["RepoTags"] or [])


def network(room: str, owner: str, name: str, subnet: str) -> dict[str, Any]:
    """A student's network, as `POST /networks/create` wants it."""
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet}]},
        "Options": {"com.docker.network.bridge.name": names.bridge(room, "student", name)},
        "Labels": {LABEL + "room": room, LABEL + "owner": owner},
    }


def free_subnets(pool: str, taken: Iterable[str], name: str) -> Iterator[str]:
    """The /28s of `pool` that overlap nothing in `taken`.

    They begin at a place that follows from the network's `name`, so that many students who come
    at once do not all want the same one, and a student mostly gets the same one again.
    """
    space = ipaddress.IPv4Network(pool)
    busy = [(int(n.network_address), int(n.broadcast_address)) for n in map(ipaddress.IPv4Network, taken)]
    count = 1 << (28 - space.prefixlen)
    offset = int(sha256(name.encode()).hexdigest(), 16) % count
    for index in range(count):
        first = int(space.network_address) + (offset + index) % count * 16
        if not any(low <= first + 15 and first <= high for low, high in busy):
            yield str(ipaddress.IPv4Network((first, 28)))
