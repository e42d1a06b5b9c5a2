"""Snapshots at Glance: images whose properties say of which machine they are."""

import time

from ...spec import MachineRef
from ..base import MachineError, Snapshot
from . import objects
from .api import Cloud, CloudError
from .watch import Server

SAVE_SECONDS = 1800.0


class Snapshots:
    """All snapshots of a room."""

    def __init__(self, cloud: Cloud, room: str) -> None:
        self._cloud, self._room = cloud, room

    def take(self, server: Server, keeper: MachineRef, name: str) -> Snapshot:
        """Save a server's disk; older snapshots of this name go when the new one is complete."""
        before = [snapshot for snapshot in self.of(keeper) if snapshot.name == name]
        properties = {**objects.labels(self._room, keeper), objects.LABEL + "snapshot": name}
        order = {"name": objects.snapshot_name(self._room, keeper), "metadata": properties}
        answer = self._cloud.post("compute", f"/servers/{server['id']}/action", {"createImage": order})
        saved = self._complete(answer["image_id"])
        for older in before:
            self.remove(older)
        return saved

    def _complete(self, id: str) -> Snapshot:
        end = time.monotonic() + SAVE_SECONDS
        while time.monotonic() < end:
            image = self._cloud.get("image", f"/images/{id}")
            if objects.is_snapshot(image, self._room):
                return objects.snapshot(image)
            if image["status"] in ("killed", "deleted", "pending_delete"):
                break
            time.sleep(1)
        self._cloud.delete("image", f"/images/{id}")
        raise CloudError("the cloud did not complete its image; its operator has to look at Nova's log")

    def of(self, ref: MachineRef | None = None) -> list[Snapshot]:
        """The machine's snapshots, or those of all machines; oldest first."""
        query = {objects.LABEL + "room": self._room, "limit": 1000}
        images = self._cloud.listing("image", "/images", "images", **query)
        found = [objects.snapshot(image) for image in images if objects.is_snapshot(image, self._room)]
        return sorted((s for s in found if ref in (None, s.ref)), key=lambda s: (s.created, s.name))

    def called(self, ref: MachineRef, name: str) -> Snapshot:
        """The machine's snapshot `name`. Raises MachineError."""
        found = self.of(ref)
        for snapshot in found:
            if snapshot.name == name:
                return snapshot
        known = ", ".join(s.name for s in found) or "none"
        raise MachineError(f"{ref} has no snapshot '{name}'; it has: {known}")

    def remove(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        self._cloud.delete("image", f"/images/{snapshot.id}")
