"""Spawns: from the call to the hub's API to a server that answers; ours brings a machine, stock does not."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from machineroom_spawners import names
from machineroom_spawners.drivers.base import Progress

from ..host import HostError, processes
from . import containers
from .figures import Figure
from .stage import Hub, Stage

STOCK = "JupyterHub + DockerSpawner, same packages, no machine"


def people(counts: list[int], runs: int) -> list[str]:
    """The students of all runs: nobody comes twice, so that every spawn is a first one."""
    return [name for count in counts for run in range(runs) for name in _class(count, run)]


def _class(count: int, run: int) -> list[str]:
    return [f"s{count}r{run}n{number}" for number in range(count)]


def measure(stage: Stage, counts: list[int], runs: int, progress: Progress) -> list[Figure]:
    """Servers for so many students at once, a student who comes back, and what each costs."""
    figures: list[Figure] = []
    back = Figure("spawn, machine there already", "s", STOCK)
    costs = _Costs()
    steps = len(counts) * runs
    for count in counts:
        first = "spawn with a new machine" if count == 1 else f"{count} spawns at once with new machines"
        typical = Figure(first if count == 1 else f"{first}: p50", "s", STOCK)
        last = Figure(f"{first}: last one", "s", STOCK)
        for run in range(runs):
            users = _class(count, run)
            done = 100 * (len(figures) // 2 * runs + run) // steps
            for hub, kind in ((stage.ours, "ours"), (stage.stock, "stock")):
                progress(done, f"{count} at once, run {run + 1} of {runs}, {kind}")
                with started(hub, users) as seconds:
                    ready = sorted(each for each in seconds if each is not None)
                    if len(ready) < count:
                        failed = f"run {run + 1}: {count - len(ready)} of {count} {kind} did not come up"
                        typical.notes.append(failed)
                    if not ready:
                        continue
                    getattr(typical, kind).append(statistics.median(ready))
                    getattr(last, kind).append(ready[-1])
                    if count == max(counts) and run == 0:
                        progress(done, f"what {len(ready)} cost, {kind}")
                        sample = [u for u, each in zip(users, seconds, strict=True) if each is not None][:3]
                        costs.look(stage, hub, kind, sample)
            if count == 1:
                progress(done, f"a student comes back, run {run + 1} of {runs}")
                with started(stage.ours, users):
                    pass
                with started(stage.ours, users) as again:
                    back.ours += [each for each in again if each is not None]
                back.stock = typical.stock
            _forget(stage.ours, users)
        figures += [typical, last] if count > 1 else [typical, back]
    return [*figures, *costs.figures]


class _Costs:
    """What a student costs: CPU until the server answers, then memory, idle, and disk."""

    def __init__(self) -> None:
        same, also = "the same server without our part", "the workspace; ours is that and a machine"
        self.start = Figure("CPU of a start: workspace", "s", same)
        self.boot = Figure("CPU of a start: machine with systemd", "s")
        self.workspace = Figure("memory: workspace", "MB", same)
        self.machine = Figure("memory: machine with systemd", "MB")
        self.shim = Figure("memory: engine's process per container", "MB")
        self.whole = Figure("memory: per student in all", "MB", also)
        self.disk = Figure("disk: per student in all", "MB")
        self.figures = [
            self.start,
            self.boot,
            self.workspace,
            self.machine,
            self.shim,
            self.whole,
            self.disk,
        ]

    def look(self, stage: Stage, hub: Hub, kind: str, users: list[str]) -> None:
        """Add what these users' containers take now."""
        client = stage.client
        theirs = {user: [hub.workspace.format(user)] for user in users}
        if kind == "ours":
            for user, wanted in theirs.items():
                wanted.append(names.machine(stage.room.id, user, "bench", "bench", "box"))
        for wanted in theirs.values():  # of all before anything else: time goes on
            used = [containers.cpu(client, name) for name in wanted]
            getattr(self.start, kind).append(used[0])
            self.boot.ours += used[1:]
        for wanted in theirs.values():
            used = [containers.memory(client, name) for name in wanted]
            shims = [containers.shim(client, name) for name in wanted]
            getattr(self.workspace, kind).append(used[0])
            getattr(self.shim, kind).append(shims[0])
            getattr(self.whole, kind).append(sum(used + shims))
            if kind == "ours":
                self.machine.ours += used[1:]
                self.disk.ours.append(sum(containers.disk(client, name) for name in wanted))


@contextmanager
def started(hub: Hub, users: list[str]) -> Iterator[list[float | None]]:
    """Servers of `users`, started at once, stopped afterwards: what `start` answers."""
    with hub.client() as http:
        http.post(f"{hub.api}/users", json={"usernames": users})  # those that exist already are no harm
    try:
        yield asyncio.run(start(hub, users))
    finally:
        stop(hub, users)


async def start(hub: Hub, users: list[str]) -> list[float | None]:
    """Start the users' servers at once: seconds until each answered through the proxy, or None."""
    headers = {"Authorization": f"token {hub.token}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(headers=headers, timeout=900, limits=limits, trust_env=False) as http:
        return await asyncio.gather(*(_start(http, hub, user) for user in users))


def bring(hub: Hub, user: str, kind: str) -> None:
    """Start a server that shall be there, however long it takes; stock gives up by itself after 30 s."""
    for _ in range(5):
        if asyncio.run(start(hub, [user])) != [None]:
            return
        stop(hub, [user])
    raise HostError(f"the server of {user} did not start in five attempts ({kind})")


async def _start(http: httpx.AsyncClient, hub: Hub, user: str) -> float | None:
    began = time.monotonic()
    answer = await http.post(f"{hub.api}/users/{user}/server")
    progress = f"{hub.api}/users/{user}/server/progress"
    if answer.status_code == 202 and not await _becomes_ready(http, progress):
        return None
    if answer.status_code not in (201, 202):
        return None
    # 403: the server itself answers, to somebody who is not its user
    while (await http.get(f"{hub.public}/user/{user}/api")).status_code not in (200, 403):
        if time.monotonic() - began > 300:
            return None
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _becomes_ready(http: httpx.AsyncClient, url: str) -> bool:
    """Follow the hub's own stream of progress, which costs it nothing, to its end."""
    async with http.stream("GET", url) as lines:
        async for line in lines.aiter_lines():
            if line.startswith("data:"):
                event = json.loads(line.removeprefix("data:"))
                if event.get("ready") or event.get("failed"):
                    return bool(event.get("ready"))
    return False


def stop(hub: Hub, users: list[str]) -> None:
    """Stop the users' servers and wait until they are gone."""
    with hub.client() as http:
        for user in users:
            http.delete(f"{hub.api}/users/{user}/server")
        for user in users:
            _wait_until_gone(http, f"{hub.api}/users/{user}")


def _wait_until_gone(http: httpx.Client, user: str) -> None:
    processes.wait(
        lambda: not http.get(user).json().get("servers"), 120, f"the server of {user} does not stop"
    )


def _forget(hub: Hub, users: list[str]) -> None:
    """Delete the users, and with them homes and machines: the next run begins with as much as this one."""
    with hub.client() as http:
        for user in users:
            answer = http.delete(f"{hub.api}/users/{user}")
            if answer.is_error:
                raise HostError(f"the hub does not delete {user}: {answer.status_code} {answer.text}")
