import pytest


@pytest.mark.task("more")
def test_more(machine):
    """More."""
    assert machine.file("/srv/more").exists, "there is no file /srv/more"
