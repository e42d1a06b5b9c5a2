"""What a container costs: memory, the engine's own process beside it, CPU and disk."""

import re
import time
from pathlib import Path
from typing import Any

import docker


def memory(client: docker.DockerClient, name: str) -> float:
    """Memory of a container in MB, its cached files left out; the least of a few looks, as it settles."""
    looks = []
    for _ in range(6):
        looks.append(_in_use(_stats(client, name)["memory_stats"]))
        time.sleep(0.5)
    return min(looks)


def _in_use(said: dict[str, Any]) -> float:
    # cached files are the host's to drop, and charged to whoever happened to read them first
    known = said["stats"]
    files = known.get("total_cache", known.get("file", 0)) - known.get("total_shmem", known.get("shmem", 0))
    return (said["usage"] - files) / 1e6


def cpu(client: docker.DockerClient, name: str) -> float:
    """Seconds of CPU that the container's processes have taken since it started."""
    return float(_stats(client, name)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def shim(client: docker.DockerClient, name: str) -> float:
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


def disk(client: docker.DockerClient, name: str) -> float:
    """MB on disk that are the container's own: what it has written, and its volumes."""
    found = client.api.containers(all=True, size=True, filters={"name": f"^/{name}$"})[0]
    volumes = [Path(mount["Source"]) for mount in found["Mounts"] if mount["Type"] == "volume"]
    files = [file for volume in volumes for file in volume.rglob("*") if not file.is_symlink()]
    return (found.get("SizeRw", 0) + sum(file.stat().st_blocks * 512 for file in files)) / 1e6


def _stats(client: docker.DockerClient, name: str) -> dict[str, Any]:
    return dict(client.api.stats(name, stream=False, one_shot=True))
