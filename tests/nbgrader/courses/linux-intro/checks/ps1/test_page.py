"""The checks of a page of one's own. No line of this file may reach a student."""

import pytest

pytestmark = pytest.mark.task("own-page")


@pytest.mark.points(4)
@pytest.mark.hint("echo Hello >/srv/page.html")
def test_there_is_a_page(machine):
    """The page is there."""
    assert machine.file("/srv/page.html").exists, "there is no file /srv/page.html"


@pytest.mark.points(3)
@pytest.mark.hint("The page says Hello somewhere.")
def test_it_greets(machine):
    """The page greets."""
    text = machine.file("/srv/page.html").content_string
    assert "Hello" in text, f"the page says: {text}"


def test_it_is_for_everybody(machine):
    """Everybody can read it."""
    assert machine.run("su nobody -s /bin/sh -c 'grep -q . /srv/page.html'").succeeded
