"""Machines in a student's JupyterLab: shells on them, their web pages, and what state they are in.

A Jupyter server extension. `manager` makes terminals, `attach` is what runs in them, `proxy`
shows the web pages of machines, `handlers` relays to the Machineroom service.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "machineroom_terminals"}]


def _load_jupyter_server_extension(app: Any) -> None:
    from . import handlers, proxy  # what only the server needs: `attach` has to start quickly

    handlers.load(app)
    proxy.load(app)
