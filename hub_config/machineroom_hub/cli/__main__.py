"""Run the command line, and turn every expected failure into a sentence and a non-zero exit."""

import sys

from machineroom_spawners.content import ContentError
from machineroom_spawners.drivers.base import MachineError
from rich.console import Console

from ..accounts import AccountError
from ..host import HostError
from ..images import ImageError
from ..nbgrader_box import NbgraderError
from ..node import NodeError
from ..roster import RosterError
from ..service_api import ServiceError
from .app import app


def main() -> None:
    """The entry point: every command of `./machineroom`."""
    try:
        app()
    except (
        AccountError,
        NbgraderError,
        ServiceError,
        HostError,
        ContentError,
        MachineError,
        ImageError,
        NodeError,
        RosterError,
    ) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[red]machineroom:[/] {error}", markup=True
        )
        sys.exit(1)


main()
