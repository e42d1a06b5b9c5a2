"""The first assignment's checks; SECRET-IN-CHECK must never reach a student."""

import pytest


@pytest.mark.task("notes")
@pytest.mark.points(2)
@pytest.mark.hint("touch makes an empty file")
def test_there_are_notes(machine):
    """There are notes."""
    assert machine.file("/srv/lesson/notes").exists, "there is no file /srv/lesson/notes"


@pytest.mark.task("notes")
def test_they_are_private(machine):
    """Nobody else can read them."""
    secret = "SECRET-IN-CHECK"
    assert machine.run(f"echo {secret} >/dev/null; test -e /srv/lesson/notes").rc == 0, "there are no notes"
    assert machine.file("/srv/lesson/notes").mode == 0o600, "others can read the notes"


@pytest.mark.task("neighbour")
def test_db_is_reached(machine, machines):
    """The box reaches the database machine."""
    assert machines["db"].run("true").rc == 0, "db does not answer"
    assert machine.run("ping -c1 -W2 db || getent hosts db").rc == 0, "box does not know db"
