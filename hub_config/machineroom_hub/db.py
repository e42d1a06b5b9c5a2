"""The one database: what infrastructure cannot hold. SQLite by default, PostgreSQL by URL."""

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import DeclarativeBase

from .room import Room


class Base(DeclarativeBase):
    """Base of every table."""


def database_url(room: Room) -> str:
    """The database's URL: the setting `database`, or a SQLite file in the state directory."""
    folder = room.state / "service"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(room.settings.get("database") or f"sqlite:///{folder / 'machineroom.sqlite'}")


def connect(room: Room) -> Engine:
    """An engine for the room's database; SQLite waits for other writers and survives a crash (WAL)."""
    engine = create_engine(database_url(room))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA busy_timeout=15000")
            connection.execute("PRAGMA foreign_keys=ON")

    return engine
