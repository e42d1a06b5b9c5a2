"""What a workspace's container runs: `machineroom-workspace`, JupyterHub's single-user server."""

import sys
from collections.abc import Callable
from typing import Any

from .lean import absent, stand_ins

FORMATS = ("isoduration", "rfc3987", "rfc3986_validator", "rfc3987_syntax", "webcolors")
"""What jsonschema can use to check formats that no schema of Jupyter's asks for."""


class _NeverMet:
    """Stands in for a class of the hub's side, of which the single-user side never meets an instance."""


class _NeverRaised(Exception):
    """Stands in for an error of the hub's database."""


NEVER_USED: dict[str, dict[str, Any]] = {
    "sqlalchemy": {"func": None},
    "sqlalchemy.exc": {"SQLAlchemyError": _NeverRaised},
    "jupyterhub.orm": {},
    "jupyterhub.roles": {},
    "jupyterhub.handlers": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": _NeverMet},
    "requests": {},  # JupyterLab fetches lists of blocked extensions with it
}
"""The modules without which a workspace's server gets along, with the names that are imported from them."""


def server() -> Callable[[], Any]:
    """JupyterHub's single-user server, imported: call it to run it."""
    with absent(*FORMATS), stand_ins(NEVER_USED):
        import jupyterlab.labapp  # noqa: F401  # the server's extension, which it would import later
        from jupyterhub.singleuser import main
    return main


def main() -> Any:
    """Run the server until it is stopped."""
    return server()()


if __name__ == "__main__":
    sys.exit(main())
