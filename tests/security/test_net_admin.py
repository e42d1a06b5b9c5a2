"""A machine of a lab that asks for NET_ADMIN: what its root can do to the networks, beyond the machine."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker.models.containers import Container
from machineroom_spawners.course import read_course
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef, machine_spec

from .conftest import COURSE, LAB, MACHINE, School, addresses, run

DIAL = "timeout 2 bash -c '</dev/tcp/%s/%s' 2>/dev/null && echo open"

LISTEN = """
import socket, sys, time
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
card.bind(("eth0", 0))
card.settimeout(0.2)
print("ready", flush=True)
heard, end = set(), time.monotonic() + 120
while sys.argv[1] not in heard and time.monotonic() < end:
    try:
        frame = card.recv(2000)
    except TimeoutError:
        continue
    if frame[12:14] == b"\\x08\\x00":
        heard |= {socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])}
print(*heard)
"""
ADVERTISE = """
import socket, struct
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
card.bind(("eth0", 0))
mac = card.getsockname()[4]
me, everybody = socket.inet_pton(socket.AF_INET6, "fe80::bad"), socket.inet_pton(socket.AF_INET6, "ff02::1")
said = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + struct.pack("!BB6s", 1, 1, mac)
words = me + everybody + struct.pack("!II", len(said), 58) + said
total = sum(struct.unpack(f"!{len(words) // 2}H", words))
total = (total >> 16) + (total & 65535)
total = ~(total + (total >> 16)) & 65535
said = said[:2] + struct.pack("!H", total) + said[4:]
header = struct.pack("!IHBB", 6 << 28, len(said), 58, 255) + me + everybody
for _ in range(5):
    card.send(b"\\x33\\x33\\0\\0\\0\\x01" + mac + b"\\x86\\xdd" + header + said)
"""


@pytest.fixture(scope="module")
def router(school: School) -> Iterator[Container]:
    """A second machine of ada's, beside the one that her lab has."""
    room = school.installation.room
    spec = machine_spec(read_course(room.courses / COURSE), LAB, MACHINE, "ada", room.secret)
    ref = MachineRef("ada", COURSE, LAB, "router")
    driver = DockerDriver(room_id=room.id)
    made = driver.ensure(replace(spec, ref=ref, capabilities=("NET_ADMIN",), setup=None))
    yield school.engine.containers.get(made.id)
    driver.delete(ref)


def ok(container: Container, command: str) -> str:
    status, said = run(container, command)
    assert status == 0, said
    return said


def test_it_hears_its_own_network_and_no_other(school: School, router: Container) -> None:
    """Promiscuous, while brook's workspace talks to brook's machine."""
    talk = "for i in 1 2 3 4 5; do timeout 2 bash -c 'head -c4 </dev/tcp/%s/22' 2>/dev/null; done"
    theirs = [*addresses(school.machine("brook")).values(), *addresses(school.workspace("brook")).values()]
    ok(router, "ip link set eth0 promisc on")
    own = addresses(school.machine("ada")).popitem()[1]
    stream = router.exec_run(["python3", "-c", LISTEN, own], stream=True).output
    said = next(stream).decode()
    assert said.startswith("ready")
    run(school.workspace("brook"), talk % addresses(school.machine("brook")).popitem()[1], "jovyan")
    run(school.machine("ada"), f"ping -c2 -i0.2 {addresses(router).popitem()[1]}")  # the last word
    heard = set(b"".join(stream).decode().split())
    assert own in heard
    assert not heard & set(theirs)


def test_addresses_and_routes_of_its_own_lead_nowhere_else(school: School, router: Container) -> None:
    room = school.installation.room
    brook = addresses(school.machine("brook")).popitem()[1]
    workspace = next(a for n, a in addresses(school.workspace("ada")).items() if "-net-" in n)
    ok(router, f"ip address add {school.gateway}/20 dev eth0 && ip address add {brook}/28 dev eth0")
    assert run(school.workspace("ada"), DIAL % (school.gateway, room.hub_port), "jovyan") == (0, "open\n")
    assert run(school.workspace("brook"), DIAL % (brook, 22), "jovyan") == (0, "open\n")
    ok(router, f"ip address del {school.gateway}/20 dev eth0; ip address del {brook}/28 dev eth0")
    for target, port in ((school.gateway, room.hub_port), (brook, 22), ("169.254.169.254", 80)):
        ok(router, f"ip route replace {target}/32 via {workspace}")
        assert run(router, DIAL % (target, port))[1] == "", f"through the workspace to {target}"
        ok(router, f"ip route del {target}/32")
        assert run(router, DIAL % (target, port))[1] == "", f"through the host to {target}"


def test_cards_of_its_own_are_on_its_own_bridge(school: School, router: Container) -> None:
    before = {path.name for path in Path("/sys/class/net").iterdir()}
    if (
        run(router, "ip link add link eth0 name other type macvlan mode bridge && ip link set other up")[0]
        == 0
    ):
        room = school.installation.room
        own = addresses(router).popitem()[1]
        ok(
            router,
            f"ip address add {own.rpartition('.')[0]}.{int(own.rpartition('.')[2]) ^ 1}/28 dev other; true",
        )
        assert run(router, DIAL % (school.gateway, room.hub_port))[1] == ""
        ok(router, "ip link del other")
    made = {path.name for path in Path("/sys/class/net").iterdir()} - before
    assert "other" not in made


@pytest.mark.parametrize(
    "setting",
    [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/rp_filter",
        "net/ipv6/conf/all/disable_ipv6",
        "kernel/hostname",
    ],
)
def test_the_kernels_settings_stay_as_they_are(router: Container, setting: str) -> None:
    assert run(router, f"v=$(cat /proc/sys/{setting}); echo 1 >/proc/sys/{setting}")[0] != 0


def test_it_cannot_become_the_hosts_router(school: School, router: Container) -> None:
    """Router advertisements over IPv6: with one of them a host would send all it has to say here."""
    assert router.exec_run(["python3", "-c", ADVERTISE]).exit_code == 0
    routes = subprocess.run(["ip", "-6", "route"], capture_output=True, text=True, check=True).stdout
    assert "fe80::bad" not in routes
