"""The Docker networks that are nobody's own: on one, workspaces meet hub and service."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import docker
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool
from machineroom_spawners import names

from ..room import Room
from . import HostError

POOL = IPv4Network("10.214.0.0/16")
"""Each gets the first free /20 of it; students' networks come out of another pool."""


def ensure_hub_network(client: docker.DockerClient, room: Room) -> str:
    """Make the room's hub network if it is not there; the address that this host has on it.

    Raises:
        HostError: no part of the pool is free.
    """
    return _ensure(client, room, room.hub_network, names.bridge(room.id, "hub"))


def ensure_executions_network(client: docker.DockerClient, room: Room) -> str:
    """Make the network on which submitted code reaches the world; its name. Raises HostError.

    The firewall takes it for a machine's: nothing of this host, and no other network of ours.
    """
    name = f"mr-{room.id}-executions"
    _ensure(client, room, name, names.bridge(room.id, "student", name))
    return name


def ensure_cloud_network(client: docker.DockerClient, room: Room) -> tuple[str, IPv4Network]:
    """Make the network of the room's cloud; its name and its addresses. Raises HostError."""
    name = f"mr-{room.id}-cloud"
    gateway = _ensure(client, room, name, names.bridge(room.id, "cloud"))
    return name, IPv4Network(f"{gateway}/20", strict=False)


def hub_gateway(client: docker.DockerClient, room: Room) -> str:
    """The address of this host on the room's hub network, "" when the network is not there."""
    return _gateway(client, room.hub_network)


def _ensure(client: docker.DockerClient, room: Room, name: str, bridge: str) -> str:
    """Make a network without traffic between its containers; the address that this host has on it."""
    for subnet in POOL.subnets(new_prefix=20):
        gateway = _gateway(client, name)
        if gateway:
            return gateway
        if any(subnet.overlaps(route) for route in _routes()):
            continue
        try:
            client.networks.create(
                name,
                driver="bridge",
                check_duplicate=True,
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))]),
                options={
                    "com.docker.network.bridge.name": bridge,
                    "com.docker.network.bridge.enable_icc": "false",
                },
                labels={"machineroom.room": room.id},
            )
        except APIError as error:
            # taken by another network, or somebody else was making ours just now
            known = any(sign in str(error) for sign in ("overlap", "same bridge", "already exists"))
            if not known and error.status_code != 409:
                raise HostError(f"the network {name} cannot be made: {error}") from None
    gateway = _gateway(client, name)
    if not gateway:
        raise HostError(
            f"no /20 of {POOL} is free for the network {name}: "
            "see 'ip route' and 'docker network ls', and remove what is not needed"
        )
    return gateway


def _gateway(client: docker.DockerClient, name: str) -> str:
    for network in client.networks.list(names=[name]):
        if network.name == name:
            return str(network.attrs["IPAM"]["Config"][0]["Gateway"])
    return ""


def _routes() -> list[IPv4Network]:
    """Where this host already routes to, but for the default route."""
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (IPv4Address(bytes.fromhex(fields[i])[::-1]) for i in (1, 7))
        if int(mask):
            found.append(IPv4Network(f"{address}/{mask}"))
    return found
