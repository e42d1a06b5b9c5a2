"""Web pages of a machine, beside pages of the workspace itself through stock's jupyter-server-proxy."""

import statistics
import time

import httpx
from machineroom_spawners import names
from machineroom_spawners.drivers.base import Progress

from ..host import HostError, processes
from . import spawns
from .figures import Figure
from .stage import Hub, Stage

STUDENT = "surfer"
STOCK = "jupyter-server-proxy to a server in the workspace itself"
SIZE = 50_000_000
PAGES = 100
PORT = 8099
SERVE = (
    "mkdir /tmp/www; cd /tmp/www; echo hello > page; "
    f"head -c {SIZE} /dev/zero > file; exec python3 -m http.server {PORT}"
)


def measure(stage: Stage, runs: int, progress: Progress) -> list[Figure]:
    """Small pages and a large file of a student's own web server."""
    page = Figure("web: a small page, p50", "ms", STOCK)
    rate = Figure(f"web: a file of {SIZE // 1_000_000} MB", "MB/s", STOCK, more_is_better=True)
    sides = {
        "ours": (names.machine(stage.room.id, STUDENT, "bench", "bench", "box"), f"box:{PORT}"),
        "stock": (stage.stock.workspace.format(STUDENT), str(PORT)),
    }
    for part, (kind, (container, place)) in enumerate(sides.items()):
        hub: Hub = getattr(stage, kind)
        progress(50 * part, f"a server, {kind}")
        token = hub.token_of(STUDENT)
        spawns.bring(hub, STUDENT, kind)
        try:
            stage.client.containers.get(container).exec_run(["sh", "-c", SERVE], detach=True)
            url = f"{hub.public}/user/{STUDENT}/proxy/{place}"
            with hub.client(token) as http:
                _wait_for(http, f"{url}/page")
                for run in range(runs):
                    progress(50 * part + 10 + 40 * run // runs, f"run {run + 1} of {runs}, {kind}")
                    seconds = [_fetch(http, f"{url}/page", 6) for _ in range(PAGES)]
                    getattr(page, kind).append(statistics.median(seconds) * 1e3)
                    getattr(rate, kind).append(SIZE / 1e6 / _fetch(http, f"{url}/file", SIZE))
        finally:
            spawns.stop(hub, [STUDENT])
    return [page, rate]


def _wait_for(http: httpx.Client, url: str) -> None:
    processes.wait(lambda: http.get(url).text == "hello\n", 60, f"{url} is not there")


def _fetch(http: httpx.Client, url: str, size: int) -> float:
    """Seconds until all of it has come."""
    began = time.monotonic()
    with http.stream("GET", url) as answer:
        came = sum(len(chunk) for chunk in answer.iter_raw())
    if answer.status_code != 200 or came != size:
        raise HostError(f"{url} answered {answer.status_code} with {came} bytes instead of {size}")
    return time.monotonic() - began
