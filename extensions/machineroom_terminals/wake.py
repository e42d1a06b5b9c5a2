"""Wakes a machine that was put to sleep while idle: somebody types to it, or asks for one of its pages."""

import asyncio
import json
import time
from logging import Logger, getLogger

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .service import credentials, list_url, machine_url, states
from .topology import Machine, Topology, read_topology

PATIENCE = 0.4
"""Seconds without an answer after which a machine may be asleep."""
PAUSE = 2.0
"""Seconds from one question about a machine to the next, also where nothing is echoed of what one types."""

log: Logger = getLogger(__name__)
_asked: dict[str, float] = {}


async def wake(machine: Machine) -> bool:
    """Resume `machine` if it is suspended; says whether it was. Asks at most every `PAUSE`."""
    moment = time.monotonic()
    if moment - _asked.get(str(machine), -PAUSE) < PAUSE:
        return False
    _asked[str(machine)] = moment
    topology = read_topology()
    try:
        if await _state(topology, machine) != "suspended":
            return False
        log.info("%s is asleep and wanted: waking it", machine.host)
        await AsyncHTTPClient().fetch(
            machine_url(topology, machine, "resume"),
            method="POST",
            headers=credentials(),
            allow_nonstandard_methods=True,
            connect_timeout=2,
            request_timeout=60,
        )
    except (HTTPClientError, OSError, ValueError, KeyError) as error:
        log.warning("%s could not be woken: %s", machine.host, error)
        return False
    return True


async def wake_if_silent(machine: Machine, answered: asyncio.Event) -> None:
    """Wait a moment for an answer of `machine`, and wake it if none comes."""
    try:
        await asyncio.wait_for(answered.wait(), PATIENCE)
    except TimeoutError:
        await wake(machine)


async def _state(topology: Topology, machine: Machine) -> str:
    answer = await AsyncHTTPClient().fetch(
        list_url(topology), headers=credentials(), connect_timeout=2, request_timeout=5
    )
    return states(json.loads(answer.body)).get(str(machine), "")
