"""Machines that fill the host's disk: their students are told in time, and then they are stopped.

Engines can mostly not bound what a container writes. So it is measured, seldom enough to cost little.
"""

import asyncio
import shlex
import time

from machineroom_spawners.drivers.base import Disk, Driver, MachineError

from .audit import log
from .core import Service

SECONDS = 120.0
SHARE = 20
"""Measuring takes at most the twentieth part of the time: every file is looked at."""
NEARLY = 0.8


async def watch(service: Service) -> None:
    """Look after the disks for as long as the service runs."""
    while True:
        began = time.monotonic()
        try:
            await service.work(look_after, service.driver())
        except MachineError as error:  # the engine is away: it is asked again
            log.warning("disks could not be looked at", extra={"data": {"problem": str(error)}})
        except Exception:
            log.exception("disks could not be looked at")
        await asyncio.sleep(max(SECONDS, SHARE * (time.monotonic() - began)))


def look_after(driver: Driver) -> None:
    """Warn those whose machine's disk is nearly full, and stop the machines that are over their limit."""
    for disk in driver.disks():
        if not disk.limit or disk.used < NEARLY * disk.limit:
            continue
        over = disk.used > disk.limit
        try:
            _tell(driver, disk, _words(disk, over))
            if over:
                driver.stop(disk.ref)
        except MachineError as error:  # one machine's failure is its own
            log.warning("a full disk", extra={"data": {"machine": str(disk.ref), "problem": str(error)}})
        said = "a machine was stopped: its disk is full" if over else "a machine's disk is nearly full"
        log.warning(said, extra={"data": {"machine": str(disk.ref), "used": disk.used, "limit": disk.limit}})


def _words(disk: Disk, over: bool) -> str:
    used, limit = (f"{size / (1 << 30):.2g} GiB" for size in (disk.used, disk.limit))
    begin = f"{disk.ref.machine} holds {used} beyond its image"
    if not over:
        return f"{begin}; above {limit} it is stopped. Delete what you do not need: du -xh / | sort -h | tail"
    return (
        f"{begin}, more than the {limit} that it may, and is stopped now. Open a terminal to start it again, "
        f"and delete what you do not need within {SECONDS / 60:g} minutes; or reset it."
    )


def _tell(driver: Driver, disk: Disk, words: str) -> None:
    """Say it in every terminal of the machine; one that nobody reads must not hold us up."""
    line = shlex.quote(f"\r\n*** {words}\r\n")
    write = f"for t in /dev/pts/[0-9]*; do printf %s {line} >$t & done"
    command = f"{write}; sleep 1; kill $(jobs -p) 2>/dev/null; true"
    session = driver.open_session(disk.ref)
    try:
        session.run(command, timeout=5)
    finally:
        session.close()
