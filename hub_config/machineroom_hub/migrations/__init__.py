"""The database's versions (Alembic). `upgrade` is called by whatever opens the database first."""

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from ..db import connect
from ..host import HostError
from ..room import Room

if TYPE_CHECKING:
    from alembic.config import Config


def alembic_config(connection: Connection) -> "Config":
    """Alembic's configuration for an open connection: `command.check(alembic_config(c))`."""
    from alembic.config import Config  # here, and below: only who upgrades waits for Alembic to be imported

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(room: Room) -> Engine:
    """Bring the room's database to this version; many processes may do so at once. Returns its engine.

    Raises:
        HostError: this version is older than the database.
    """
    from alembic import command
    from alembic.util import CommandError

    engine = connect(room)
    with (room.state / "service" / "upgrade.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with engine.begin() as connection:
            try:
                command.upgrade(alembic_config(connection), "head")
            except CommandError as error:
                raise HostError(
                    f"the database of {room.state} was made by a newer Machineroom than this ({error}): "
                    "run it from that clone, or bring this one up to date (git pull)"
                ) from None
    return engine
