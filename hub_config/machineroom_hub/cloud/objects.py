"""Pure "make the spec" functions of the cloud: what its container is, and what it is told."""

import json
from dataclasses import dataclass
from io import BytesIO
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tarfile import TarFile, TarInfo
from typing import Any

from machineroom_spawners import names
from machineroom_spawners.drivers.objects import CAPABILITIES, RUNTIME

from ..room import Room

IMAGE = "openstack-aio"
SETTINGS = "etc/openstack-aio/settings.json"
LOGINS = "/etc/openstack-aio/clouds.yaml"
PROGRESS = "/run/openstack-aio/progress"
READY = "/run/openstack-aio/ready"
UNIT = "openstack-aio.service"
CODE = "/usr/local/lib/openstack-aio"

POWERS = ("DAC_READ_SEARCH", "IPC_LOCK", "NET_ADMIN", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE")
"""What it has beyond a machine's root: namespaces and bridges for the networks of its projects."""

DEVICES = {"/dev/net/tun": (10, 200), "/dev/kvm": (10, 232)}
"""Device: its numbers. What the kernel lacks of them cannot be opened, and the cloud does without KVM."""


@dataclass(frozen=True)
class Place:
    """Where the cloud is on its network: its API's address, and the part that floating addresses are of."""

    subnet: IPv4Network

    @property
    def address(self) -> IPv4Address:
        """Its own; the first is this host's."""
        return self.subnet[2]

    @property
    def floating(self) -> IPv4Network:
        """The last quarter."""
        return list(self.subnet.subnets(prefixlen_diff=2))[-1]


def container_name(room: Room) -> str:
    """What the cloud's container is called."""
    return f"mr-{room.id}-cloud"


def folder(room: Room) -> Path:
    """Where logins and device files lie."""
    return room.state / "cloud"


def clouds_file(room: Room) -> Path:
    """The logins: `machineroom`, an ordinary project member, and `admin`."""
    return folder(room) / "clouds.yaml"


def device_file(room: Room, device: str) -> Path:
    """A device file of the cloud's own: the host's may be closed to the root of a user namespace."""
    return folder(room) / "devices" / Path(device).name


def container(room: Room, network: str, place: Place) -> dict[str, Any]:
    """The cloud's container, as `POST /containers/create` wants it.

    Where the engine has user namespaces its root is nobody on the host, and so are all its powers.
    """
    rules = [f"c {major}:{minor} rwm" for major, minor in DEVICES.values()]
    mounts = [
        {"Type": "bind", "Source": str(device_file(room, device)), "Target": device} for device in DEVICES
    ]
    return {
        "Image": names.image(room.id, IMAGE),
        "Hostname": "openstack",
        "Env": ["LANG=C.UTF-8", "container=docker"],
        "Labels": {"machineroom.room": room.id, "machineroom.cloud": "openstack"},
        "StopSignal": "SIGRTMIN+3",
        "HostConfig": {
            "Runtime": RUNTIME,
            "CgroupnsMode": "private",
            "CapDrop": ["ALL"],
            "CapAdd": [*CAPABILITIES, *POWERS],
            "SecurityOpt": ["apparmor=unconfined"],
            # Its own network's settings, such as forwarding; the rest of /proc/sys stays the host's.
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Tmpfs": {"/run": "exec,mode=755", "/run/lock": "mode=1777"},
            "DeviceCgroupRules": rules,
            "Mounts": mounts,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            "NetworkMode": network,
        },
        "NetworkingConfig": {
            "EndpointsConfig": {network: {"IPAMConfig": {"IPv4Address": str(place.address)}}}
        },
    }


def settings(place: Place, dns: list[str]) -> bytes:
    """What the image is told before its first boot, as a tar."""
    told = {"address": str(place.address), "floating": str(place.floating), "routed": True, "dns": dns}
    data = json.dumps(told).encode()
    packed = BytesIO()
    with TarFile(fileobj=packed, mode="w") as tar:
        member = TarInfo(SETTINGS)
        member.size = len(data)
        tar.addfile(member, BytesIO(data))
    return packed.getvalue()


def name_servers(resolv_conf: str) -> list[str]:
    """The name servers of a host that others can ask too.

    >>> name_servers("search example.org\\nnameserver 127.0.0.53\\nnameserver 192.0.2.1\\nnameserver ::1\\n")
    ['192.0.2.1']
    """
    said = [line.split()[1] for line in resolv_conf.splitlines() if line.startswith("nameserver ")]
    return [each for each in said if ":" not in each and not each.startswith("127.")]
