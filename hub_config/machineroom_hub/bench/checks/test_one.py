"""One check."""

from typing import Any


def test_file(machine: Any) -> None:
    """The list of hosts"""
    assert machine.file("/etc/hosts").contains("localhost")
