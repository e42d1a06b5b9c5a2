import pytest


@pytest.mark.task("greeting")
@pytest.mark.points(2)
@pytest.mark.hint("echo … > file")
def test_says_hello(machine):
    """The greeting says hello"""
    file = machine.file("/srv/greetings/hello")
    assert file.is_file, "there is no /srv/greetings/hello"
    assert "hello" in file.content_string, "it does not say hello"


@pytest.mark.task("greeting")
def test_is_private(machine):
    """Only its owner can read it"""
    file = machine.file("/srv/greetings/hello")
    assert file.exists, "there is no /srv/greetings/hello"
    assert file.mode & 0o077 == 0, "others can read it"
