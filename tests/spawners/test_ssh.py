"""Sessions over ssh, on a container that is reached as a server would be."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Machine, MachineError
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.drivers.ssh import MemoryFile, SshSession
from machineroom_spawners.keys import host_key, service_key
from machineroom_spawners.spec import MachineSpec
from spawners.driver_suite import run, until

OpenSession = Callable[..., SshSession]


@pytest.fixture(scope="module")
def server(docker_driver: DockerDriver, spec: Callable[..., MachineSpec], room: Room) -> Iterator[Machine]:
    machine = docker_driver.ensure(spec("server", authorized_key=service_key(room.secret).public))
    yield machine
    docker_driver.delete(machine.ref)


@pytest.fixture
def session_to(server: Machine, room: Room) -> Iterator[OpenSession]:
    key = MemoryFile(service_key(room.secret).private)
    with ExitStack() as opened:

        def make(machine: str = "server", address: str = server.address) -> SshSession:
            pinned = host_key(room.secret, "ada", "linux", "first", machine).public
            return opened.enter_context(SshSession(lambda: address, str(server.ref), key, pinned))

        yield make


def test_a_session_over_ssh_does_what_any_does(session_to: OpenSession) -> None:
    session = session_to()
    said = session.run("echo out; echo 'ärger' >&2; cd /tmp; x=1; exit 3")
    assert (said.rc, said.stdout, said.stderr) == (3, b"out\n", "ärger\n".encode())
    assert session.run('pwd; echo "$x$HOME$LANG"; cat; printf "no newline"').stdout == (
        b"/root\n/rootC.UTF-8\nno newline"
    )
    assert session.run("head -c 300000 /dev/urandom | tee /tmp/x; cksum </tmp/x >&2").rc == 0
    assert session.run("echo 'unbalanced").rc != 0
    late = session.run("sleep 77 & sleep 77", timeout=0.5)
    assert (late.rc, late.timed_out, late.truncated) == (-1, True, False)
    much = session.run("yes", limit=10_000)
    assert (much.stdout, much.truncated) == (b"y\n" * 5000, True)
    until(lambda: session.run("pgrep -f 'sleep 7[7]|^ye[s]'").rc == 1)


def test_every_answer_is_the_machines_word(session_to: OpenSession) -> None:
    assert session_to().run("test -e /etc/passwd").trust == "machine"


def test_a_session_that_was_ended_is_opened_again(
    session_to: OpenSession, docker_driver: DockerDriver, server: Machine
) -> None:
    session = session_to()
    session.run("true")
    run(docker_driver, server.ref, "pkill -f 'sshd-session|sshd: root' || true")
    until(lambda: _answers(session))
    session.close()
    until(lambda: run(docker_driver, server.ref, "pgrep -f 'sshd: roo[t]' | wc -l") == "0\n")


def _answers(session: SshSession) -> bool:
    try:
        return session.run("echo back").stdout == b"back\n"
    except MachineError:
        return False


def test_a_machine_with_another_host_key_gets_nothing_from_us(session_to: OpenSession) -> None:
    with pytest.raises(MachineError, match="Host key verification failed"):
        session_to("other").run("true")


def test_who_is_not_there_is_said_to(session_to: OpenSession) -> None:
    with pytest.raises(MachineError, match=r"ada/linux/first/server: ssh: .*[Rr]efused"):
        session_to(address="127.255.255.254").run("true", timeout=1)


def test_a_key_in_memory_is_nobody_elses() -> None:
    file = MemoryFile("private\n")
    with open(file.path) as opened:  # noqa: PTH123
        assert opened.read() == "private\n"
        assert os.fstat(opened.fileno()).st_mode & 0o777 == 0o600
    path = file.path
    del file
    with pytest.raises(FileNotFoundError):
        os.stat(path)  # noqa: PTH116
