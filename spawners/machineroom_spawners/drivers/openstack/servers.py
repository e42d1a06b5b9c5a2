"""The servers of a room at Nova: found by one listing, told to do things, waited for."""

import time

from ...spec import MachineRef
from ..claims import is_claimed
from . import objects
from .api import Cloud, CloudError
from .watch import Server, Watch

ORDER_SECONDS = 180.0
"""For Nova to carry out an order about a server: a guest that is told to stop may take a minute."""

_NOW = float("-inf")


class Servers:
    """All servers of a room, whatever state they are in."""

    def __init__(self, cloud: Cloud, room: str) -> None:
        self._cloud, self._room = cloud, room
        self._watch = Watch(self._list)

    def machines(self) -> list[Server]:
        """Those that are machines, as they are now or were a second ago."""
        return [server for server in self._watch.servers() if _is_machine(server)]

    def half_made(self) -> list[Server]:
        """Those that are not ready, whether or not somebody is at work on them."""
        return [server for server in self._watch.servers() if objects.is_making(server)]

    def machine(self, ref: MachineRef) -> Server | None:
        """The machine's server, if there is one."""
        return next((server for server in self.of(ref, _NOW) if _is_machine(server)), None)

    def of(self, ref: MachineRef, after: float | None = None) -> list[Server]:
        """All servers that carry the machine's name, as they are `after` a moment, by default this one."""
        name = objects.machine_name(self._room, ref)
        found = self._watch.servers(time.monotonic() if after is None else after)
        return [server for server in found if server["name"] == name]

    def is_there(self, name: str) -> bool:
        """Whether there is a server of that name now."""
        return any(server["name"] == name for server in self._watch.servers(time.monotonic()))

    def order(self, server: Server, order: str) -> Server:
        """Give Nova an order about a server; the server when it is carried out."""
        self._cloud.post("compute", f"/servers/{server['id']}/action", {order: None})
        self._watch.changed()
        return self.settled(server["id"])

    def settled(self, id: str, seconds: float = ORDER_SECONDS) -> Server:
        """The server when Nova is at work on it no more: until then it takes no order."""
        end, after = time.monotonic() + seconds, time.monotonic()
        while True:
            found = next((s for s in self._watch.servers(after) if s["id"] == id), None)
            if found is None or objects.is_leaving(found):
                raise CloudError("its server is gone: somebody deleted it meanwhile. Start it again")
            if not objects.is_busy(found):
                return found
            if time.monotonic() > end:
                doing = found.get("OS-EXT-STS:task_state") or found["status"]
                raise CloudError(
                    f"the cloud is still at work on it ({doing}) after {seconds:g} s. Try again later"
                )
            after = time.monotonic()

    def complete(self, id: str) -> None:
        """A server that was being made is a machine from now on."""
        self._cloud.delete("compute", f"/servers/{id}/metadata/{objects.MAKING}")
        self._watch.changed()

    def remove(self, server: Server) -> None:
        """Delete a server, and wait until it is gone."""
        self._cloud.delete("compute", f"/servers/{server['id']}")
        end = time.monotonic() + ORDER_SECONDS
        while self._exists(server["id"]):
            if time.monotonic() > end:
                raise CloudError(
                    "its server does not go away; the cloud's operator has to look at nova-compute"
                )
            time.sleep(0.5)
        self._watch.changed()

    def _exists(self, id: str) -> bool:
        try:
            found = self._cloud.get("compute", f"/servers/{id}")["server"]
        except CloudError as error:
            if error.status == 404:
                return False
            raise
        return not objects.is_gone(found)

    def _list(self) -> list[Server]:
        pattern = objects.name_pattern(self._room)
        found = self._cloud.listing("compute", "/servers/detail", "servers", name=pattern)
        return [server for server in found if objects.is_ours(server, self._room)]


def _is_machine(server: Server) -> bool:
    """What is half made is a machine while somebody is at work on it."""
    if objects.is_leaving(server):
        return False
    return not objects.is_making(server) or is_claimed(server["name"])
