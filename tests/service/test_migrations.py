"""The database's versions: from nothing, from the one before, and the same as the models."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from machineroom_hub import accounts
from machineroom_hub.db import connect
from machineroom_hub.host import HostError
from machineroom_hub.migrations import alembic_config, upgrade
from machineroom_hub.room import Room
from machineroom_hub.service.models import Audit, Feedback, Release, Submission, Verdict, now
from sqlalchemy import delete, inspect, select, text, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session


@pytest.fixture
def desk(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_new_database_is_what_the_models_say(desk: Room) -> None:
    with upgrade(desk).begin() as connection:
        command.check(alembic_config(connection))
    accounts.add(desk, "ada", password="correct horse")
    assert accounts.verify(desk, "ada", "correct horse")


def test_every_version_comes_from_the_one_before(desk: Room) -> None:
    engine = connect(desk)
    with engine.begin() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
        versions = [version.revision for version in script.walk_revisions()][::-1]
    for version in versions:
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), version)
    with engine.begin() as connection:
        command.check(alembic_config(connection))
        command.downgrade(alembic_config(connection), "base")
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}


def test_work_survives_an_upgrade_from_the_first_version(desk: Room) -> None:
    """From the tables as 0.1's first revision really made them, whatever becomes of its file."""
    (desk.state / "service").mkdir()
    with closing(sqlite3.connect(desk.state / "service" / "machineroom.sqlite")) as database:
        database.executescript(Path(__file__).with_name("first_version.sql").read_text())
    engine = upgrade(desk)
    with engine.begin() as connection:
        command.check(alembic_config(connection))
    with Session(engine) as session:
        row = session.get_one(Submission, "0123456789abcdef")
        assert row.timestamp.isoformat() == "2026-01-01T12:00:00+00:00"
        assert session.get_one(Feedback, row.id).by == "ina"
        assert session.get_one(Release, ("demo", "first")).size == 10
        [verdict] = session.scalars(select(Verdict).where(Verdict.submission == row.id))
        assert (verdict.earned, verdict.report["task"]) == (1.0, "notes")
        assert [entry.action for entry in session.scalars(select(Audit))] == ["submit"]
    with pytest.raises(DatabaseError, match="only grows"), engine.begin() as connection:
        connection.execute(delete(Audit))


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(desk: Room) -> None:
    engine = connect(desk)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        connection.execute(text("CREATE TABLE enrolment (x int)"))
    with pytest.raises(DatabaseError, match="already exists"):
        upgrade(desk)
    with engine.begin() as connection:
        assert "account" not in inspect(connection).get_table_names()
        connection.execute(text("DROP TABLE enrolment"))
    upgrade(desk)


def test_several_may_upgrade_at_once(desk: Room) -> None:
    failed: list[Exception] = []

    def run() -> None:
        try:
            upgrade(desk)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_writers_that_read_first_wait_for_each_other(desk: Room) -> None:
    engine = upgrade(desk)
    failed: list[Exception] = []

    def run() -> None:
        try:
            for _ in range(20):
                with Session(engine) as session, session.begin():
                    count = session.query(Audit).count()
                    session.add(entry(str(count)))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with Session(engine) as session:
        assert [row.subject for row in session.query(Audit).order_by(Audit.id)] == [str(n) for n in range(80)]


@pytest.mark.parametrize("change", [update(Audit).values(actor="nobody"), delete(Audit)])
def test_the_audit_trail_only_grows(desk: Room, change: object) -> None:
    engine = upgrade(desk)
    with Session(engine) as session, session.begin():
        session.add(entry("box"))
    with Session(engine) as session, pytest.raises(DatabaseError, match="only grows"):
        session.execute(change)  # type: ignore[call-overload]


def entry(subject: str) -> Audit:
    return Audit(
        time=now(), actor="ada", action="test", course="demo", subject=subject, address="127.0.0.1", detail={}
    )


def test_an_older_version_is_told_that_the_database_is_newer(desk: Room) -> None:
    with upgrade(desk).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(HostError, match="was made by a newer Machineroom"):
        upgrade(desk)
