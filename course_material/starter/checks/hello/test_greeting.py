import pytest

pytestmark = pytest.mark.task("greeting")


@pytest.mark.points(2)
@pytest.mark.hint("`echo … > file` writes to a file.")
def test_says_hello(machine):
    """The greeting says hello"""
    file = machine.file("/srv/greetings/hello")
    assert file.is_file, "there is no /srv/greetings/hello"
    assert "hello" in file.content_string, f"it says {file.content_string[:40]!r}"


@pytest.mark.hint("`chmod` says who may read a file.")
def test_is_private(machine):
    """Only its owner can read it"""
    file = machine.file("/srv/greetings/hello")
    assert file.exists, "there is no /srv/greetings/hello"
    assert file.mode & 0o077 == 0, f"its mode is {file.mode:04o}"
