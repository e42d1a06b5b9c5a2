"""Run the command line, and turn every expected failure into a sentence and a non-zero exit."""

import sys

from machineroom_spawners.content import ContentError
from machineroom_spawners.drivers.base import MachineError
from rich.markup import escape

from ..accounts import AccountError
from ..host import HostError
from ..images import ImageError
from ..nbgrader_box import NbgraderError
from ..node import NodeError
from ..roster import RosterError
from ..service_api import ServiceError
from ..workshops import WorkshopError
from .app import app
from .common import status_console


def main() -> None:
    """The entry point: every command of `./machineroom`."""
    try:
        app(prog_name="./machineroom")
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
        WorkshopError,
    ) as error:
        status_console.print("[red]machineroom:[/]", escape(str(error)))
        sys.exit(1)


if __name__ == "__main__":
    main()
