"""What a container costs in memory, and the engine's own process beside it."""

import re
import time
from pathlib import Path
from typing import Any

import docker


def of_container(client: docker.DockerClient, name: str) -> float:
    """Memory of a container in MB, its cached files left out; the least of a few looks, as it settles."""
    looks = []
    for _ in range(6):
        looks.append(_in_use(client.api.stats(name, stream=False, one_shot=True)["memory_stats"]))
        time.sleep(0.5)
    return min(looks)


def _in_use(said: dict[str, Any]) -> float:
    # cached files are the host's to drop, and charged to whoever happened to read them first
    known = said["stats"]
    files = known.get("total_cache", known.get("file", 0)) - known.get("total_shmem", known.get("shmem", 0))
    return (said["usage"] - files) / 1e6


def of_shim(client: docker.DockerClient, name: str) -> float:
    """Memory in MB of the engine's process that looks after the container, shared pages counted in part."""
    container_id = client.api.inspect_container(name)["Id"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if container_id.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found = re.search(r"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
                return int(found[1]) * 1024 / 1e6 if found else 0.0
        except OSError:
            continue  # it ended meanwhile
    return 0.0
