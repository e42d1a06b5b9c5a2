"""The database's versions (Alembic). `upgrade` is called by whatever opens the database first."""

import fcntl
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from ..db import connect
from ..room import Room


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection: `command.check(alembic_config(c))`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(room: Room) -> Engine:
    """Bring the room's database to this version; many processes may do so at once. Returns its engine."""
    engine = connect(room)
    with (room.state / "service" / "upgrade.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), "head")
    return engine
