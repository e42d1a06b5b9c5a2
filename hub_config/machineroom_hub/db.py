"""The one database: what infrastructure cannot hold. SQLite by default, PostgreSQL by URL."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import DeclarativeBase

from .room import Room

READ_ONLY = {"machineroom_begin": "DEFERRED"}
"""Execution options of a transaction that only reads: in SQLite it then waits for no writer."""


class Base(DeclarativeBase):
    """Base of every table."""


def database_url(room: Room) -> str:
    """The database's URL: the setting `database`, or a SQLite file in the state directory."""
    folder = room.state / "service"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(room.settings.get("database") or f"sqlite:///{folder / 'machineroom.sqlite'}")


def connect(room: Room) -> Engine:
    """An engine for the room's database; SQLite waits for other writers and survives a crash (WAL).

    The driver's own notion of transactions is switched off: it would leave half a migration after
    a crash, and fail instead of wait when a transaction that has read begins to write.
    """
    engine = create_engine(database_url(room))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA busy_timeout=15000")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA foreign_keys=ON")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            mode = connection.get_execution_options().get("machineroom_begin", "IMMEDIATE")
            connection.exec_driver_sql(f"BEGIN {mode}")

    return engine
