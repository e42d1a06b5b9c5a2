"""The API of snapshots: a student saves a machine under a name, and gets it back as it was."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import StreamingResponse
from machineroom_spawners.drivers.base import Driver, MachineError, Progress, Snapshot

from .actions import LINES, stream
from .auth import CallerNow
from .core import Service, ServiceDep
from .machines import Place, PlaceDep, as_json
from .models import iso

router = APIRouter(tags=["machines"])

MOST = 5
"""Snapshots that a student may have of one machine: each keeps a copy of what was changed on its disk."""

OWN = r"[^\W_][\w .-]{0,39}"
"""What a student may call a snapshot. Those that the service takes have a `:` in their names."""

PATH = "/machines/{owner}/{course}/{lab}/{machine}/snapshots"
Name = Annotated[
    str,
    Path(
        pattern=rf"^{OWN}$",
        description="at most 40 letters, digits, spaces and any of _ . -, beginning with a letter or digit",
    ),
]


def own(driver: Driver, place: Place) -> list[Snapshot]:
    """The machine's snapshots that its student took: those of submissions are no concern of theirs."""
    return [found for found in driver.snapshots(place.ref) if re.fullmatch(OWN, found.name)]


def _as_json(found: Snapshot) -> dict[str, Any]:
    return {"name": found.name, "created": iso(found.created), "size": found.size}


@router.get(PATH, summary="A machine's snapshots, oldest first")
async def snapshots(place: PlaceDep, service: ServiceDep) -> list[dict[str, Any]]:
    """`size` is what each costs beyond the machine's image, in bytes."""
    try:
        found = await service.work(own, service.driver_of(place.ref), place)
    except MachineError as error:
        raise HTTPException(503, str(error)) from error
    return [_as_json(snapshot) for snapshot in found]


@router.put(PATH + "/{name}", summary="Save a machine", response_class=StreamingResponse, responses=LINES)
async def take(name: Name, place: PlaceDep, service: ServiceDep, caller: CallerNow) -> StreamingResponse:
    """Its disk is saved, not what runs; an older snapshot of this name is replaced."""
    await service.record(caller, "machine.snapshot", place.ref.course, str(place.ref), name=name)

    def work(driver: Driver, progress: Progress) -> dict[str, Any]:
        before = own(driver, place)
        if len(before) >= MOST and name not in {snapshot.name for snapshot in before}:
            raise HTTPException(409, _full(place.ref.machine, before))
        progress(10, f"Saving {place.ref.machine} as '{name}'")
        return _as_json(driver.snapshot(place.ref, name))

    return stream(service, place.ref, "snapshot", work)


@router.post(
    PATH + "/{name}",
    summary="Bring a machine back to a snapshot",
    response_class=StreamingResponse,
    responses=LINES,
)
async def restore(name: Name, place: PlaceDep, service: ServiceDep, caller: CallerNow) -> StreamingResponse:
    """The machine as it is now is given up when the one made from the snapshot is ready."""
    await service.record(caller, "machine.restore", place.ref.course, str(place.ref), name=name)

    def work(driver: Driver, progress: Progress) -> dict[str, Any]:
        service.sessions.close_of(place.ref)
        return as_json(driver.restore(place.spec(service), name, progress))

    return stream(service, place.ref, "restore", work)


@router.delete(PATH + "/{name}", summary="Delete a snapshot", status_code=204)
async def delete(name: Name, place: PlaceDep, service: ServiceDep, caller: CallerNow) -> None:
    """One that does not exist is no error."""
    await service.record(caller, "machine.snapshot.delete", place.ref.course, str(place.ref), name=name)
    async with service.turns.of(f"machine {place.ref}", f"What was asked of {place.ref.machine} before"):
        await _forget(service, place, name)


async def _forget(service: Service, place: Place, name: str) -> None:
    try:
        await service.work(service.driver_of(place.ref).delete_snapshot, place.ref, name)
    except MachineError as error:
        raise HTTPException(503, str(error)) from error


def _full(machine: str, found: Sequence[Snapshot]) -> str:
    known = ", ".join(f"'{snapshot.name}'" for snapshot in found)
    return (
        f"{machine} has {len(found)} snapshots, which is all it may have: {known}. "
        "Delete one, or save under one of these names."
    )
