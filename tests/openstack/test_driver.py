"""The OpenStack driver against a real cloud: what every driver owes, and what only a cloud can do wrong."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("keystoneauth1", reason="the environment has no openstacksdk")

from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Driver, MachineError, State
from machineroom_spawners.drivers.openstack import objects
from machineroom_spawners.drivers.openstack.api import AWAY_SECONDS, CloudError
from machineroom_spawners.spec import MachineSpec
from spawners.driver_suite import DriverSuite, read_until, run, until

MAKE = """
import json, sys
from pathlib import Path
from machineroom_spawners.drivers import make_driver
from machineroom_spawners.spec import MachineRef, MachineSpec
room, secret, clouds, given = json.load(sys.stdin)
spec = MachineSpec(**{**given, "ref": MachineRef(**given["ref"])})
make_driver("openstack", room, secret=bytes.fromhex(secret), clouds=Path(clouds)).ensure(spec)
"""

pytestmark = [pytest.mark.openstack, pytest.mark.timeout(900)]

SpecFactory = Callable[..., MachineSpec]


class Cloud:
    """What the cloud says itself, past the driver."""

    def __init__(self, driver: Any) -> None:
        self.api, self.mark = driver._cloud, f"machineroom {driver.room_id}"
        self.room = driver.room_id

    def servers(self) -> list[Any]:
        found = self.api.listing("compute", "/servers/detail", "servers")
        return [s for s in found if s["metadata"].get("machineroom_room") == self.room]

    def parts(self) -> dict[str, list[Any]]:
        """Ports, floating IPs and groups of this room."""
        return {
            kind: list(self.api.listing("network", f"/{kind.replace('_', '-')}", kind, description=self.mark))
            for kind in ("ports", "floatingips", "security_groups")
        }


@pytest.fixture(scope="module")
def driver(cloud_driver: Driver) -> Driver:
    return cloud_driver


@pytest.fixture(scope="module")
def there(driver: Driver) -> Cloud:
    return Cloud(driver)


@pytest.fixture(scope="module")
def kept(driver: Driver) -> list[MachineSpec]:
    """The machine that most tests share; it goes with the room."""
    return []


class TestOpenStack(DriverSuite):
    """The OpenStack driver does what every driver owes; a server takes its time, so most tests share one."""

    snapshot_sizes = range(3_000_000, 1 << 30)
    copies_keep_keys = False
    shell = "#!/bin/sh"

    @pytest.fixture
    def made(self, driver: Driver, spec: SpecFactory, kept: list[MachineSpec]) -> Iterator[SpecFactory]:
        """`box` of ada stays from test to test; other machines are made for one and deleted after it."""
        refs = []

        def make(name: str = "box", owner: str = "ada", **changed: object) -> MachineSpec:
            wanted = spec(name, owner, **changed)
            if (name, owner) == ("box", "ada"):
                kept[:] = [wanted]
                if changed:
                    driver.delete(wanted.ref)
            else:
                refs.append(wanted.ref)
            driver.ensure(wanted)
            return wanted

        yield make
        for ref in refs:
            driver.delete(ref)

    @pytest.fixture(autouse=True)
    def _alone(self, request: pytest.FixtureRequest, driver: Driver, kept: list[MachineSpec]) -> None:
        """Tests that count machines begin with none."""
        if request.function.__name__ in (
            "test_many_who_ensure_one_machine_at_once_get_one",
            "test_what_a_machine_uses_is_told_while_it_runs",
        ):
            for spec in kept:
                driver.delete(spec.ref)

    def test_what_a_machine_uses_is_told_while_it_runs(self, driver: Driver, made: SpecFactory) -> None:
        """A cloud tells it to its operators alone."""
        box = made()
        assert driver.usage(driver.poll(box.ref)) is None
        assert driver.disks() == []

    def test_machines_of_a_student_know_each_other_and_others_are_out_of_reach(
        self, driver: Driver, made: SpecFactory
    ) -> None:
        box, web, stranger = made(), made("web"), made("web", owner="mallory")
        inner = {
            spec.ref: run(driver, spec.ref, "ip -4 -o addr show eth0").split()[3].split("/")[0]
            for spec in (box, web, stranger)
        }
        banner = "nc %s 22 </dev/null | head -c 4"
        assert run(driver, web.ref, banner % inner[box.ref]) == "SSH-"
        session = driver.open_session(stranger.ref)
        for address in (inner[box.ref], inner[web.ref], driver.poll(web.ref).address):
            result = session.run(banner % address, timeout=3)
            assert (result.stdout, result.timed_out) == (b"", True), address
        session.close()

    def test_a_command_costs_little(self, driver: Driver, made: SpecFactory) -> None:
        session = driver.open_session(made().ref)
        session.run("true")
        took = sorted(session.run("stat -c %a /etc/passwd").seconds for _ in range(30))
        session.close()
        assert took[15] < 1, "one connection, and no handshake for each command"

    def test_a_console_is_a_terminal(self, driver: Driver, made: SpecFactory) -> None:
        """It is the serial port, which has no size; and it works when ssh does not."""
        box = made()
        run(
            driver,
            box.ref,
            "touch /root/here; killall dropbear; mv /etc/ssh-server /etc/ssh-gone; :",
            timeout=5,
        )
        console = driver.console(box.ref, rows=31, columns=97)
        try:
            console.write(b"\rls /root | tr a-z A-Z\r")
            read_until(console, b"HERE")
            console.resize(12, 34)
        finally:
            console.write(b"mv /etc/ssh-gone /etc/ssh-server\r")
            read_until(console, b"#")
            console.close()
        assert console.read() == b""
        driver.reset(box)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"image": "tny"}, r"no image 'tny' for this project; did you mean 'tiny'\? Mend lab\.yml"),
        ({"flavor": "tinny"}, r"no flavor 'tinny' .*did you mean 'tiny'\?"),
        ({"cloud_network": "machineroon"}, r"no network 'machineroon' .*did you mean 'machineroom'\?"),
    ],
)
def test_what_the_cloud_does_not_have_is_said_and_nothing_is_made(
    driver: Driver, spec: SpecFactory, there: Cloud, changed: dict[str, str], says: str
) -> None:
    wrong = spec("wrong", **changed)
    with pytest.raises(MachineError, match=f"ada/linux/first/wrong could not be made: the cloud has {says}"):
        driver.ensure(wrong)
    assert driver.poll(wrong.ref) is None
    assert there.parts()["ports"] == there.parts()["floatingips"] == []


def test_a_lost_answer_makes_no_second_server(
    driver: Driver, spec: SpecFactory, there: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud takes the order, and the connection breaks before it says so."""
    once = there.api._once

    def loses(method: str, service: str, path: str, arguments: Any) -> Any:
        answer = once(method, service, path, arguments)
        if (method, path) == ("POST", "/servers"):
            raise CloudError("Nova cannot be reached: the connection broke")
        return answer

    monkeypatch.setattr(there.api, "_once", loses)
    with pytest.raises(MachineError, match="lost could not be made: Nova cannot be reached"):
        driver.ensure(spec("lost"))
    monkeypatch.undo()
    time.sleep(AWAY_SECONDS)
    driver.tidy()
    assert there.servers() == []
    assert there.parts()["ports"] == there.parts()["floatingips"] == []


def test_what_a_maker_that_died_has_left_is_cleared_up(
    driver: Driver, spec: SpecFactory, there: Cloud, room: Room, clouds: Path
) -> None:
    wanted = spec("crashed")
    process = in_another_process(room, clouds, wanted)
    until(lambda: there.servers(), 120)
    assert driver.poll(wanted.ref).state is State.CREATING
    with pytest.raises(MachineError, match="still being made"):
        driver.open_session(wanted.ref)
    assert driver.tidy() == [], "somebody is at work on it"
    process.kill()
    process.wait()
    assert driver.poll(wanted.ref) is None
    assert driver.machines() == []
    assert driver.tidy() == [wanted.ref]
    driver.tidy()
    assert there.servers() == []
    assert there.parts()["ports"] == there.parts()["floatingips"] == []


def test_what_is_taken_away_behind_our_back_is_made_again_and_nothing_is_left(
    driver: Driver, spec: SpecFactory, there: Cloud
) -> None:
    wanted = spec("taken")
    first = driver.ensure(wanted)
    there.api.delete("compute", f"/servers/{first.id}")
    until(lambda: driver.poll(wanted.ref) is None, 60)
    until(lambda: not there.servers(), 60)
    second = driver.ensure(wanted)
    assert second.id != first.id
    assert second.address == first.address, "it had an address of its own, and still has"
    there.api.delete("compute", f"/servers/{second.id}")
    until(lambda: not there.servers(), 60)
    driver.tidy()
    assert there.parts()["ports"] == there.parts()["floatingips"] == []
    driver.delete(wanted.ref)
    assert [g["name"] for g in there.parts()["security_groups"]] == [objects.door_name(there.room, ())]


def test_a_full_quota_is_told_with_its_figures(
    driver: Driver, spec: SpecFactory, there: Cloud, admin: Callable[[int], None]
) -> None:
    admin(0)
    with pytest.raises(
        MachineError, match=r"quota does not allow it: Quota exceeded for instances.* of 0 instances"
    ):
        driver.ensure(spec("many"))
    assert there.parts()["ports"] == there.parts()["floatingips"] == []


@pytest.fixture
def admin(cloud: Path, there: Cloud) -> Iterator[Callable[[int], None]]:
    """Sets the project's quota of instances, as the cloud's operator may; as it was after the test."""
    import openstack

    operator = openstack.config.OpenStackConfig(config_files=[str(cloud)]).get_one("admin")
    session = operator.get_session()
    nova = session.get_endpoint(service_type="compute", interface="public")
    project = there.api._adapter("compute").get_project_id()
    url = f"{nova}/os-quota-sets/{project}"
    before = session.get(url).json()["quota_set"]["instances"]

    def put(instances: int) -> None:
        session.put(url, json={"quota_set": {"instances": instances, "force": True}})

    yield put
    put(before)


def in_another_process(room: Room, clouds: Path, spec: MachineSpec) -> subprocess.Popen[str]:
    """`ensure` by a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdin
    given = vars(spec) | {"ref": vars(spec.ref)}
    process.stdin.write(json.dumps([room.id, room.secret.hex(), str(clouds), given]))
    process.stdin.close()
    return process
