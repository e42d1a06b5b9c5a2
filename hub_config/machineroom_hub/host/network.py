"""The Docker network on which workspaces meet hub and service."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import docker
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool
from machineroom_spawners import names

from ..room import Room
from . import HostError

POOL = IPv4Network("10.214.0.0/16")
"""The hub network gets the first free /20 of it; students' networks come out of another pool."""


def ensure_hub_network(client: docker.DockerClient, room: Room) -> str:
    """Make the room's hub network if it is not there; the address that this host has on it.

    Raises:
        HostError: no part of the pool is free.
    """
    for subnet in POOL.subnets(new_prefix=20):
        gateway = hub_gateway(client, room)
        if gateway:
            return gateway
        if any(subnet.overlaps(route) for route in _routes()):
            continue
        try:
            client.networks.create(
                room.hub_network,
                driver="bridge",
                check_duplicate=True,
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))]),
                options={
                    "com.docker.network.bridge.name": names.bridge(room.id, "hub"),
                    "com.docker.network.bridge.enable_icc": "false",
                },
                labels={"machineroom.room": room.id},
            )
        except APIError as error:
            # taken by another network, or somebody else was making ours just now
            if "overlap" not in str(error) and error.status_code != 409:
                raise HostError(f"the hub network {room.hub_network} cannot be made: {error}") from None
    gateway = hub_gateway(client, room)
    if not gateway:
        raise HostError(
            f"no /20 of {POOL} is free for the hub network {room.hub_network}: "
            "see 'ip route' and 'docker network ls', and remove what is not needed"
        )
    return gateway


def hub_gateway(client: docker.DockerClient, room: Room) -> str:
    """The address of this host on the room's hub network, "" when the network is not there."""
    for network in client.networks.list(names=[room.hub_network]):
        if network.name == room.hub_network:
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
