"""What a server needs of its cloud: image, flavor, network, security groups, a port, a floating IP.

All of it is found by name or description, so that what was made before a crash is used after it.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...spec import MachineRef, MachineSpec
from ..claims import Claimed, claim, turn
from . import objects, words
from .api import Cloud, CloudError

ANYBODY = "0.0.0.0/0"


@dataclass(frozen=True)
class Choice:
    """What the lab asks for, in the cloud's ids."""

    image: str
    flavor: str
    network: str


class Place(NamedTuple):
    """Where a server stands: its port, and the address by which it is reached."""

    port: str
    address: str


class Parts:
    """Finds, makes and removes what servers of a room need."""

    def __init__(self, cloud: Cloud, room: str) -> None:
        self._cloud, self._room = cloud, room

    # What is there already

    def choose(self, spec: MachineSpec, image: str | None = None) -> Choice:
        """The image, flavor and network that a machine's lab names; `image` is the id of another image."""
        return Choice(
            image or self._named("image", spec.image, self._images(spec.image)),
            self._named("flavor", spec.flavor, self._cloud.listing("compute", "/flavors/detail", "flavors")),
            self._network(spec),
        )

    def _images(self, name: str) -> list[Any]:
        found = self._cloud.listing("image", "/images", "images", status="active", limit=1000)
        mine = [image for image in found if objects.LABEL + "snapshot" not in image]
        newest = sorted((image for image in mine if image["name"] == name), key=lambda i: i["created_at"])
        return newest[-1:] or mine

    def _network(self, spec: MachineSpec) -> str:
        found = list(self._cloud.listing("network", "/networks", "networks"))
        inner = [network for network in found if not network.get("router:external")]
        name = spec.cloud_network or self._cloud.settings.get("network", "")
        if not name and len(inner) == 1:
            return str(inner[0]["id"])
        if not name:
            known = ", ".join(sorted(network["name"] for network in inner)) or "none"
            raise CloudError(
                "it is not said on which network of the project the server shall stand; there are: "
                f"{known}. Write network: … in lab.yml, or for all labs in clouds.yaml (docs/servers.md)"
            )
        return self._named("network", name, inner)

    def _named(self, kind: str, name: str, found: Iterable[Mapping[str, Any]]) -> str:
        known = list(found)
        for one in known:
            if name in (one["name"], one["id"]):
                return str(one["id"])
        raise CloudError(words.unknown(kind, name, (one["name"] or "" for one in known)))

    # A place for a server

    def settle(self, spec: MachineSpec, network: str) -> Place:
        """A port with its security groups, and a floating IP if one is wanted; those of before, if any."""
        ref = spec.ref
        groups = [self._group_of(ref.owner), self._door(spec.ports)]
        port = next(iter(self._ports(ref)), None)
        if port and (port["network_id"] != network or set(port["security_groups"]) != set(groups)):
            self.vacate(ref)  # the lab has changed
            port = None
        if port is None:
            body = {"port": objects.port(self._room, ref, network, groups)}
            port = self._cloud.post("network", "/ports", body)["port"]
        if spec.floating_ip:
            return Place(port["id"], self._floating_ip(port["id"]))
        addresses = [end["ip_address"] for end in port["fixed_ips"]]
        return Place(port["id"], next((a for a in addresses if ":" not in a), addresses[0]))

    def _floating_ip(self, port: str) -> str:
        for found in self._cloud.listing("network", "/floatingips", "floatingips", port_id=port):
            return str(found["floating_ip_address"])
        query = {"router:external": True}
        outer = list(self._cloud.listing("network", "/networks", "networks", **query))
        name = self._cloud.settings.get("floating_network", "")
        if name:
            network = self._named("external network", name, outer)
        elif len(outer) == 1:
            network = outer[0]["id"]
        else:
            known = ", ".join(sorted(one["name"] for one in outer)) or "none"
            raise CloudError(
                f"it is not said from which network floating IPs are taken; there are: {known}. "
                "Write floating_network: … in clouds.yaml (docs/servers.md)"
            )
        body = {"floating_network_id": network, "port_id": port, "description": objects.room_mark(self._room)}
        made = self._cloud.post("network", "/floatingips", {"floatingip": body})["floatingip"]
        return str(made["floating_ip_address"])

    def vacate(self, ref: MachineRef) -> None:
        """Remove a machine's port and floating IP, and its student's group if it was the last."""
        for port in self._ports(ref):
            self._release(port["id"])
        for group in self._groups(objects.group_name(self._room, ref.owner)):
            with suppress(CloudError):  # another machine of the student's is in it
                self._cloud.delete("network", f"/security-groups/{group['id']}")

    def _release(self, port: str) -> None:
        for found in self._cloud.listing("network", "/floatingips", "floatingips", port_id=port):
            self._cloud.delete("network", f"/floatingips/{found['id']}")
        self._cloud.delete("network", f"/ports/{port}")

    def _ports(self, ref: MachineRef) -> list[Any]:
        name, mark = objects.machine_name(self._room, ref), objects.room_mark(self._room)
        return list(self._cloud.listing("network", "/ports", "ports", name=name, description=mark))

    # Security groups

    def _group_of(self, owner: str) -> str:
        return self._ensure_group(objects.group_name(self._room, owner), objects.peer_rules)

    def _door(self, ports: tuple[int, ...]) -> str:
        reached_from = str(self._cloud.settings.get("reached_from", ANYBODY))
        return self._ensure_group(
            objects.door_name(self._room, ports),
            lambda group: objects.door_rules(group, ports, reached_from),
        )

    def _ensure_group(self, name: str, rules: Callable[[str], list[dict[str, Any]]]) -> str:
        with turn(name):  # Neutron would make two of one name
            found = next(iter(self._groups(name)), None)
            if found is None:
                body = {"name": name, "description": objects.room_mark(self._room)}
                made = self._cloud.post("network", "/security-groups", {"security_group": body})
                found = made["security_group"]
            there = found["security_group_rules"]
            missing = [r for r in rules(found["id"]) if not any(r.items() <= t.items() for t in there)]
            if missing:
                self._cloud.post("network", "/security-group-rules", {"security_group_rules": missing})
            return str(found["id"])

    def _groups(self, name: str) -> list[Any]:
        return list(
            self._cloud.listing(
                "network",
                "/security-groups",
                "security_groups",
                name=name,
                description=objects.room_mark(self._room),
            )
        )

    # What belongs to nobody

    def sweep(self, is_there: Callable[[str], bool]) -> list[str]:
        """Remove ports of machines that are not there, and floating IPs without a port; what was removed."""
        swept, mark = [], objects.room_mark(self._room)
        for port in list(self._cloud.listing("network", "/ports", "ports", description=mark)):
            # claimed: nobody begins to make the machine, with this very port, while we look
            with suppress(Claimed), claim(port["name"]):
                if not is_there(port["name"]):
                    self._release(port["id"])
                    swept.append(str(port["name"]))
        for found in self._cloud.listing("network", "/floatingips", "floatingips", description=mark):
            if not found["port_id"]:
                self._cloud.delete("network", f"/floatingips/{found['id']}")
                swept.append(str(found["floating_ip_address"]))
        return swept

    def sweep_groups(self) -> None:
        """Remove every security group of the room that nothing is in."""
        mark = objects.room_mark(self._room)
        for group in self._cloud.listing("network", "/security-groups", "security_groups", description=mark):
            with suppress(CloudError):
                self._cloud.delete("network", f"/security-groups/{group['id']}")
