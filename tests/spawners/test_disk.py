"""A machine whose disk fills up: told in its terminals, then stopped; and nobody else's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from machineroom_hub.service.disk import look_after
from machineroom_spawners.drivers import disk
from machineroom_spawners.drivers.base import Console, State
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef

from .conftest import SpecFactory

MIB = 1 << 20


def read_until(console: Console, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        more = console.read()
        assert more, said
        said += more
    return said


@pytest.fixture
def pair(docker_driver: DockerDriver, spec: SpecFactory) -> Iterator[tuple[MachineRef, MachineRef]]:
    """Two machines that may write 64 MiB each."""
    made = [docker_driver.ensure(spec(name, disk=64 * MIB)).ref for name in ("hoarder", "other")]
    yield made[0], made[1]
    for ref in made:
        docker_driver.delete(ref)


def test_told_near_the_limit_and_stopped_above_it(
    docker_driver: DockerDriver, spec: SpecFactory, pair: tuple[MachineRef, MachineRef]
) -> None:
    hoarder, other = pair

    def state(ref: MachineRef) -> State:
        found = docker_driver.poll(ref)
        assert found
        return found.state

    session, console = docker_driver.open_session(hoarder), docker_driver.console(hoarder)
    try:
        assert session.run("truncate -s 900G /holes").rc == 0
        assert next(d.used for d in docker_driver.disks() if d.ref == hoarder) < 10 * MIB
        assert session.run("dd if=/dev/zero of=/big bs=1M count=56 && sync").rc == 0
        look_after(docker_driver)
        assert b"above 0.062 GiB it is stopped" in read_until(console, b"| tail")
        assert state(hoarder) is State.RUNNING
        assert session.run("dd if=/dev/zero of=/bigger bs=1M count=16 && sync").rc == 0
        look_after(docker_driver)
        assert b"is stopped now" in read_until(console, b"reset it.")
        assert (state(hoarder), state(other)) == (State.STOPPED, State.RUNNING)
        look_after(docker_driver)  # what does not run is left alone
        assert docker_driver.ensure(spec("hoarder")).state is State.RUNNING, "so that it can be tidied up"
    finally:
        console.close()
        session.close()


def test_measuring_follows_no_link_and_gives_up_in_peace(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/usr")
    assert (disk.used(tmp_path) or MIB) < MIB
    assert disk.used(tmp_path / "gone") is None
