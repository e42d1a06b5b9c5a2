"""Spawns: from the hub's API call to a server that answers, on our hub and on a stock one."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import httpx

from ..host import HostError, processes

STOCK_CONFIG = """
c = get_config()
c.JupyterHub.ip, c.JupyterHub.port = "127.0.0.1", {port}
c.JupyterHub.hub_ip, c.JupyterHub.hub_port = "{gateway}", {hub_port}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.prefix = "{prefix}"
c.DockerSpawner.network_name = "{network}"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.extra_create_kwargs = {{"labels": {{"machineroom.room": "{room}"}}}}
c.DockerSpawner.environment = {{"JUPYTER_CONFIG_DIR": "/tmp/none", "JUPYTER_NO_CONFIG": "1"}}
c.ConfigurableHTTPProxy.command = {proxy}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers", "access:servers"]}}
]
"""


@contextmanager
def stock_hub(folder: Path, **settings: object) -> Iterator[str]:
    """A stock JupyterHub with stock DockerSpawner; yields its API's URL."""
    config = folder / "stock_config.py"
    config.write_text(STOCK_CONFIG.format(**settings))
    url = f"http://{settings['gateway']}:{settings['hub_port']}/hub/api"
    with (folder / "stock.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--config", str(config)], cwd=folder, stdout=log, stderr=log
        )
        try:
            processes.wait(lambda: _answers(url), 60, f"the stock hub did not start; see {folder}/stock.log")
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def spawn(url: str, token: str, users: list[str], limit: float = 300) -> list[float]:
    """Start the users' servers at once; seconds until each was ready. Raises HostError if one fails."""
    return asyncio.run(_spawn_all(url, token, users, limit))


async def _spawn_all(url: str, token: str, users: list[str], limit: float) -> list[float]:
    headers = {"Authorization": f"token {token}"}
    async with httpx.AsyncClient(headers=headers, timeout=limit, trust_env=False) as http:
        return await asyncio.gather(*(_spawn(http, url, user, limit) for user in users))


async def _spawn(http: httpx.AsyncClient, url: str, user: str, limit: float) -> float:
    began = time.monotonic()
    answer = await http.post(f"{url}/users/{user}/server")
    while answer.status_code not in (201, 400):
        if answer.status_code not in (202, 429, 500, 503):
            raise HostError(f"{user}: the hub refused to start the server: {answer.status_code} {answer.text[:300]}")
        model = (await http.get(f"{url}/users/{user}")).json()
        server = model.get("servers", {}).get("", {})
        if server.get("ready"):
            break
        if not server and answer.status_code == 202:
            raise HostError(f"{user}: the server did not start (stock's limits refuse some when many start at once)")
        if time.monotonic() - began > limit:
            raise HostError(f"{user}: the server was not ready after {limit:.0f} s")
        await asyncio.sleep(0.05)
        if answer.status_code != 202:
            answer = await http.post(f"{url}/users/{user}/server")
    return time.monotonic() - began


def stop(url: str, token: str, users: list[str]) -> None:
    """Stop the users' servers and wait until they are gone."""
    with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=120, trust_env=False) as http:
        for user in users:
            http.delete(f"{url}/users/{user}/server")
        for user in users:
            processes.wait(
                lambda user=user: not http.get(f"{url}/users/{user}").json().get("servers"),
                120,
                f"{user}'s server does not stop",
            )


def add_users(url: str, token: str, users: list[str]) -> None:
    """Make the hub know the users."""
    with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60, trust_env=False) as http:
        http.post(f"{url}/users", json={"usernames": users}).raise_for_status()


def memory(client: docker.DockerClient, name_part: str) -> list[float]:
    """Memory in use by each running container whose name holds `name_part`, in MB, caches left out."""
    found = []
    for container in client.containers.list(filters={"name": name_part}):
        stats = container.stats(stream=False)["memory_stats"]
        cache = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
        found.append((stats["usage"] - cache) / 1e6)
    return found
