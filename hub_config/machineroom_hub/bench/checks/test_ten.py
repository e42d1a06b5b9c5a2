"""Ten checks of the kind that courses have."""

from typing import Any


def test_file(machine: Any) -> None:
    """The list of hosts"""
    assert machine.file("/etc/hosts").contains("localhost")


def test_mode(machine: Any) -> None:
    """Passwords are root's own"""
    assert machine.file("/etc/shadow").mode & 0o007 == 0


def test_owner(machine: Any) -> None:
    """Users are root's to make"""
    assert machine.file("/etc/passwd").user == "root"


def test_folder(machine: Any) -> None:
    """A home for root"""
    assert machine.file("/root").is_directory


def test_user(machine: Any) -> None:
    """A user for ssh"""
    assert machine.user("sshd").exists


def test_group(machine: Any) -> None:
    """A group for administrators"""
    assert machine.group("sudo").exists


def test_package(machine: Any) -> None:
    """ssh is installed"""
    assert machine.package("openssh-server").is_installed


def test_service(machine: Any) -> None:
    """ssh is running"""
    assert machine.service("ssh").is_running


def test_enabled(machine: Any) -> None:
    """ssh comes back after a reboot"""
    assert machine.service("ssh").is_enabled


def test_command(machine: Any) -> None:
    """A command's output"""
    assert machine.check_output("echo hello") == "hello"
