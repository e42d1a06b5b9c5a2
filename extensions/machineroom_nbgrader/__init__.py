"""nbgrader in a workspace: exchange and scores come from the service, and the server stays awake."""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "machineroom_nbgrader"}]


def _load_jupyter_server_extension(server: Any) -> None:
    from .server import load

    load(server)
