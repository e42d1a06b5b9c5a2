"""Pure "make the spec" functions of the OpenStack driver: what the cloud is sent, and what it says.

Nothing here talks to a cloud, so all of it is tested without one. A cloud's objects are the mappings
that its APIs answer.
"""

import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ... import names
from ...spec import MachineRef, MachineSpec
from ..base import Machine, Snapshot, State

LABEL = "machineroom_"
"""What the keys of our metadata begin with, on servers and on images."""

MAKING = LABEL + "making"
"""On a server until its set-up is done."""

SSH = 22

_STATES = {
    "ACTIVE": State.RUNNING,
    "REBOOT": State.RUNNING,
    "HARD_REBOOT": State.RUNNING,
    "PASSWORD": State.RUNNING,
    "MIGRATING": State.RUNNING,
    "PAUSED": State.SUSPENDED,
    "SUSPENDED": State.SUSPENDED,
    "SHUTOFF": State.STOPPED,
    "SHELVED": State.STOPPED,
    "SHELVED_OFFLOADED": State.STOPPED,
    "BUILD": State.CREATING,
    "REBUILD": State.CREATING,
}


def labels(room: str, ref: MachineRef) -> dict[str, str]:
    """The metadata that says what a server or an image is."""
    return {
        LABEL + "room": room,
        LABEL + "owner": ref.owner,
        LABEL + "course": ref.course,
        LABEL + "lab": ref.lab,
        LABEL + "machine": ref.machine,
    }


def ref_of(labelled: Mapping[str, str]) -> MachineRef:
    """Which machine an object's metadata names."""
    return MachineRef(*(labelled[LABEL + key] for key in ("owner", "course", "lab", "machine")))


def machine_name(room: str, ref: MachineRef) -> str:
    """What the machine's server and port are called."""
    return names.machine(room, ref.owner, ref.course, ref.lab, ref.machine)


def name_pattern(room: str) -> str:
    """What Nova's `name` filter, a regular expression, finds all servers of a room by."""
    return f"^mr-{room}-m-"


def room_mark(room: str) -> str:
    """The description of every port, floating IP and security group of a room: they are listed by it."""
    return f"machineroom {room}"


def group_name(room: str, owner: str) -> str:
    """The security group in which all servers of a student are: they reach each other."""
    return f"mr-{room}-g-{names.slug(owner)}"


def door_name(room: str, ports: Iterable[int]) -> str:
    """The security group that lets others in to ssh and `ports`; machines with the same ports share it."""
    return "-".join([f"mr-{room}-d", str(SSH), *map(str, sorted(set(ports) - {SSH}))])


def door_rules(group: str, ports: Iterable[int], reached_from: str) -> list[dict[str, Any]]:
    """The rules of such a group, as `POST /v2.0/security-group-rules` wants them."""
    return [
        {
            "security_group_id": group,
            "direction": "ingress",
            "ethertype": "IPv6" if ":" in reached_from else "IPv4",
            "protocol": "tcp",
            "port_range_min": port,
            "port_range_max": port,
            "remote_ip_prefix": reached_from,
        }
        for port in (SSH, *sorted(set(ports) - {SSH}))
    ]


def peer_rules(group: str) -> list[dict[str, Any]]:
    """The rules by which a student's own servers reach each other."""
    return [
        {"security_group_id": group, "direction": "ingress", "ethertype": kind, "remote_group_id": group}
        for kind in ("IPv4", "IPv6")
    ]


def port(room: str, ref: MachineRef, network: str, groups: list[str]) -> dict[str, Any]:
    """The machine's port on a network, as `POST /v2.0/ports` wants it. It outlives a reset."""
    return {
        "name": machine_name(room, ref),
        "description": room_mark(room),
        "network_id": network,
        "security_groups": groups,
    }


def server(
    spec: MachineSpec, room: str, image: str, flavor: str, port: str, address: str, script: str
) -> dict[str, Any]:
    """The machine's server, as `POST /servers` wants it; `address` is where it will be reached."""
    return {
        "name": machine_name(room, spec.ref),
        "hostname": spec.ref.machine.replace("_", "-"),
        "imageRef": image,
        "flavorRef": flavor,
        "networks": [{"port": port}],
        "config_drive": True,
        "user_data": base64.b64encode(script.encode()).decode(),
        "metadata": {
            **labels(room, spec.ref),
            LABEL + "image": spec.image,
            LABEL + "address": address,
            MAKING: "yes",
        },
    }


def state(found: Mapping[str, Any]) -> State:
    """What state a server is in; one of which Nova says something that we do not know is BROKEN."""
    return State.CREATING if is_making(found) else _STATES.get(found["status"], State.BROKEN)


def is_making(found: Mapping[str, Any]) -> bool:
    """Whether a server is a machine that is not ready yet."""
    return MAKING in found["metadata"]


def is_ours(found: Mapping[str, Any], room: str) -> bool:
    """Whether a server is of this room."""
    return found.get("metadata", {}).get(LABEL + "room") == room and not is_gone(found)


def is_leaving(found: Mapping[str, Any]) -> bool:
    """Whether a server is being deleted."""
    return found.get("OS-EXT-STS:task_state") == "deleting"


def is_gone(found: Mapping[str, Any]) -> bool:
    """Whether a server is one no more, even if Nova still tells of it."""
    return found["status"] in ("DELETED", "SOFT_DELETED")


def is_busy(found: Mapping[str, Any]) -> bool:
    """Whether Nova is at work on a server: it takes no other order meanwhile."""
    return bool(found.get("OS-EXT-STS:task_state")) or found["status"] in ("BUILD", "REBUILD", "REBOOT")


def machine(found: Mapping[str, Any]) -> Machine:
    """A machine, from Nova's line about its server in a listing."""
    labelled, now = found["metadata"], state(found)
    return Machine(
        ref=ref_of(labelled),
        state=now,
        image=labelled.get(LABEL + "image", ""),
        driver="openstack",
        id=found["id"],
        created=_time(found["created"]),
        address=labelled.get(LABEL + "address", "") if now is State.RUNNING else "",
    )


def snapshot_name(room: str, ref: MachineRef) -> str:
    """What a snapshot's image is called; its properties say what it is."""
    return f"mr-{room}-snapshot-{names.slug(ref.owner)}.{ref.course}.{ref.lab}.{ref.machine}"


def snapshot(image: Mapping[str, Any]) -> Snapshot:
    """A snapshot, from Glance's line about its image; its size is the whole image's, as it costs."""
    return Snapshot(
        ref=ref_of(image),
        name=image[LABEL + "snapshot"],
        id=image["id"],
        created=_time(image["created_at"]),
        size=image.get("size") or 0,
    )


def is_snapshot(image: Mapping[str, Any], room: str) -> bool:
    """Whether an image is a complete snapshot of this room."""
    wanted = {LABEL + key for key in ("owner", "course", "lab", "machine", "snapshot")}
    return image.get(LABEL + "room") == room and image["status"] == "active" and wanted <= set(image)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
