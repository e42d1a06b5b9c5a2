"""What a crash leaves behind, cleared up: when the service starts, and every half minute.

Nothing here decides what is true: the infrastructure says which machines there are. What is half
made, or belongs to a process that is gone, was somebody's who died in the middle.
"""

import asyncio

from machineroom_spawners.drivers.base import Driver, MachineError

from .. import prove
from . import copies
from .audit import log
from .core import Service

SECONDS = 30.0


async def keep_true(service: Service) -> None:
    """Clear up after the dead for as long as the service runs."""
    while True:
        for driver in await service.work(service.drivers):
            try:
                await service.work(_machines, driver)
            except MachineError as error:  # the engine, or the cloud, is away: it is asked again
                log.warning("could not clear up", extra={"data": {"problem": str(error)}})
            except Exception:
                log.exception("could not clear up")
        await asyncio.sleep(SECONDS)


def _machines(driver: Driver) -> None:
    """Machines that nobody makes any more, and those of proofs whose process is gone."""
    for ref in driver.tidy():
        log.warning("a machine was left half made; what was there before is back", extra=_about(ref))
        if ref.owner.startswith(copies.OWNER):
            driver.delete(ref)  # with its network
    for ref in prove.leftovers(driver):
        log.warning("a proof left a machine behind; it is removed", extra=_about(ref))
        driver.delete(ref)


def _about(ref: object) -> dict[str, dict[str, str]]:
    return {"data": {"machine": str(ref)}}
