"""Terminals: keystroke echo, flood, and a reader that stalls, beside terminado's local shell on stock."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import websockets
from machineroom_spawners.drivers.base import Progress

from ..host import HostError
from . import containers, spawns
from .figures import Figure
from .stage import Hub, Stage

STUDENT = "typist"
STOCK = "terminado's shell in the workspace itself"
KEYS = 200
FLOOD = 20_000_000
STALL = 200_000_000


def measure(stage: Stage, runs: int, progress: Progress) -> list[Figure]:
    """One student's terminal: on the machine, over ssh, with us; in the workspace on stock."""
    echo = Figure("terminal: echo of a key, p50", "ms", STOCK)
    slow = Figure("terminal: echo of a key, p95", "ms", STOCK)
    flood = Figure(f"terminal: {FLOOD // 1_000_000} MB of output", "MB/s", STOCK, more_is_better=True)
    stall = Figure("terminal: memory of a reader that stalls", "MB", STOCK)
    for part, kind in enumerate(("ours", "stock")):
        hub: Hub = getattr(stage, kind)
        progress(50 * part, f"a server, {kind}")
        token = hub.token_of(STUDENT)
        spawns.bring(hub, STUDENT, kind)
        workspace = hub.workspace.format(STUDENT)
        try:
            for run in range(runs):
                progress(50 * part + 10 + 40 * run // runs, f"run {run + 1} of {runs}, {kind}")
                keys, rate = asyncio.run(_type_and_flood(hub, token))
                getattr(echo, kind).append(statistics.median(keys) * 1e3)
                getattr(slow, kind).append(statistics.quantiles(keys, n=20)[18] * 1e3)
                getattr(flood, kind).append(rate / 1e6)
            progress(50 * part + 45, f"a reader that stalls, {kind}")
            grown = asyncio.run(_stall(hub, token, partial(containers.memory, stage.client, workspace)))
            getattr(stall, kind).append(grown)
        finally:
            spawns.stop(hub, [STUDENT])
    return [echo, slow, flood, stall]


class _Terminal:
    """A terminal's websocket, spoken to as JupyterLab does."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def type(self, text: str) -> None:
        await self._socket.send(json.dumps(["stdin", text]))

    async def read(self) -> str:
        """The next output."""
        while True:
            try:
                kind, *rest = json.loads(await asyncio.wait_for(self._socket.recv(), 60))
            except TimeoutError:
                raise HostError("a terminal has printed nothing for a minute, though it should") from None
            if kind == "stdout":
                return str(rest[0])

    async def read_until(self, wanted: str) -> int:
        """Read until `wanted` was printed; answers how many characters were."""
        seen, size = "", 0
        while wanted not in seen:
            text = await self.read()
            size += len(text)
            seen = seen[-len(wanted) :] + text
        return size

    async def run(self, command: str, word: str) -> int:
        """Run a command that ends by printing `word`; answers how many characters were printed till then."""
        # in two parts, so that the echo of the command is not taken for its output
        await self.type(f"{command}; printf '{word[:2]}''{word[2:]}'\r")
        return await self.read_until(word)


@asynccontextmanager
async def _terminal(hub: Hub, token: str) -> AsyncIterator[_Terminal]:
    """A new terminal with a shell that answers; closed afterwards."""
    with hub.client(token) as http:
        where = f"{hub.public}/user/{STUDENT}"
        name = http.post(f"{where}/api/terminals").raise_for_status().json()["name"]
        try:
            url = f"{where.replace('http', 'ws', 1)}/terminals/websocket/{name}"
            headers = {"Authorization": f"token {token}"}
            connection = websockets.connect(url, additional_headers=headers, max_size=None, proxy=None)
            async with connection as socket:
                terminal = _Terminal(socket)
                await terminal.run("true", "ready-to-go")
                yield terminal
                socket.transport.abort()
        finally:
            http.delete(f"{where}/api/terminals/{name}")


async def _type_and_flood(hub: Hub, token: str) -> tuple[list[float], float]:
    """Seconds from each key to its echo; and output in bytes a second."""
    async with _terminal(hub, token) as terminal:
        await terminal.type("printf 'wai''ting'; cat >/dev/null\r")
        await terminal.read_until("waiting")
        keys = []
        for number in range(KEYS + 10):
            await asyncio.sleep(0.01)
            key = "abcdefghij"[number % 10]
            began = time.monotonic()
            await terminal.type(key)
            await terminal.read_until(key)
            keys.append(time.monotonic() - began)
        await terminal.type("\r\x04")  # not Ctrl-C, with which the tty drops what is typed next
        began = time.monotonic()
        size = await terminal.run(f"yes {'x' * 79} | head -c {FLOOD}", "that-was-it")
        return keys[10:], size / (time.monotonic() - began)


async def _stall(hub: Hub, token: str, look: Callable[[], float]) -> float:
    """By how many MB the workspace grows while a terminal prints and its browser does not read."""
    async with _terminal(hub, token) as terminal:
        before = await asyncio.to_thread(look)
        await terminal.type(f"yes {'x' * 79} | head -c {STALL}\r")
        return max([await asyncio.to_thread(look) for _ in range(3)]) - before
