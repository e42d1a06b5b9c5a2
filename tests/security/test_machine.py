"""What root on a machine can reach, take and break: the host, neighbours, one's own workspace."""

import errno
import json
import platform
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import School, addresses, host_addresses, run

DIAL = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def dial(target):
    try:
        socket.create_connection(target, 1.5).close()
        return "open"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return type(error).__name__
targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(64) as pool:
    print(json.dumps(list(pool.map(dial, map(tuple, targets)))))
"""

FRAMES = """
import socket, struct, sys, time
kind, gateway_mac, target, port = sys.argv[1:]
card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
card.bind(("eth0", 0))
own_mac = card.getsockname()[4]
own = socket.inet_aton(socket.gethostbyname(socket.gethostname()))
mac = bytes.fromhex(gateway_mac.replace(":", ""))
def total(data):
    words = sum(struct.unpack(f"!{len(data) // 2}H", data))
    words = (words >> 16) + (words & 0xFFFF)
    return ~(words + (words >> 16)) & 0xFFFF
if kind == "arp":  # "the address `target` is mine", as answer and as announcement, to everybody
    stolen = socket.inet_aton(target)
    for operation in (1, 2) * 5:
        card.send(b"\\xff" * 6 + own_mac + b"\\x08\\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
                  + own_mac + stolen + b"\\xff" * 6 + stolen)
    sys.exit()
far = socket.inet_aton(target)
tcp = struct.pack("!HHIIBBHHH", 44444, int(port), 1, 0, 5 << 4, 2, 1024, 0, 0)
tcp = tcp[:16] + struct.pack("!H", total(own + far + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, own, far)
ip = ip[:10] + struct.pack("!H", total(ip)) + ip[12:]
card.settimeout(0.3)
end = time.monotonic() + 2
while time.monotonic() < end:
    card.send(mac + own_mac + b"\\x08\\x00" + ip + tcp)
    try:
        while time.monotonic() < end:
            seen = card.recv(2000)
            if seen[12:14] == b"\\x08\\x00" and seen[26:30] == far and seen[34:36] == tcp[2:4]:
                print("answered")
                sys.exit()
    except TimeoutError:
        pass
print("silent")
"""


def dial(school: School, targets: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """What ada's machine meets at each of these addresses."""
    done = school.machine("ada").exec_run(["python3", "-c", DIAL, json.dumps(targets)])
    assert done.exit_code == 0, done.output
    return dict(zip(targets, json.loads(done.output), strict=True))


def frames(school: School, *arguments: str) -> str:
    """Send frames made by hand from ada's machine."""
    done = school.machine("ada").exec_run(["python3", "-c", FRAMES, *arguments])
    assert done.exit_code == 0, done.output
    return done.output.decode().strip()


def own_end(school: School, owner: str = "ada") -> dict[str, str]:
    """Where somebody's workspace stands on the network that it shares with the machines."""
    ends = school.workspace(owner).attrs["NetworkSettings"]["Networks"]
    return next(end for name, end in ends.items() if "-net-" in name)


@pytest.fixture(scope="module")
def door() -> Iterator[int]:
    """A port at which this host listens at every address, as its sshd would."""
    with socket.create_server(("0.0.0.0", 0), backlog=50) as server:
        yield server.getsockname()[1]


def test_nobody_elses_machine_or_workspace(school: School) -> None:
    theirs = [*addresses(school.machine("brook")).values(), *addresses(school.workspace("brook")).values()]
    theirs += addresses(school.workspace("tariq")).values()
    own = own_end(school)["IPAddress"]
    met = dial(school, [(a, p) for a in theirs for p in (22, 8888)] + [(own, 8888)])
    assert met.pop((own, 8888)) == "open"
    assert set(met.values()) == {"silent"}
    brook = addresses(school.machine("brook")).popitem()[1]
    assert run(school.workspace("brook"), f"timeout 5 bash -c '</dev/tcp/{brook}/22'")[0] == 0, (
        "it does listen"
    )


def test_nobody_elses_names(school: School) -> None:
    there = [school.machine("brook").name, school.workspace("brook").name, school.workspace("tariq").name]
    for name in (*there, "brook", "mr-hub"):
        assert run(school.machine("ada"), f"getent hosts {name}")[0] != 0, name
    assert run(school.machine("ada"), "getent hosts box.box.linux-intro")[0] == 0


def test_nothing_of_the_host(school: School, door: int) -> None:
    room = school.installation.room
    ports = (door, 22, 2375, 2376, room.port, room.hub_port, room.proxy_api_port, room.service_port)
    here = host_addresses()
    assert len(here) >= 4, "the bridges and the host's own card"
    for address in here:
        socket.create_connection((address, door), 5).close()
    met = dial(school, [(address, port) for address in here for port in ports])
    assert set(met.values()) == {"silent"}


def test_no_way_through_the_workspace(school: School) -> None:
    """Frames sent to the workspace's card, for an address behind it: a router would pass them on."""
    end = own_end(school)
    assert frames(school, "tcp", end["MacAddress"], end["IPAddress"], "8888") == "answered", (
        "frames do arrive"
    )
    hub_port = str(school.installation.room.hub_port)
    assert frames(school, "tcp", end["MacAddress"], school.gateway, hub_port) == "silent"


def test_the_workspace_is_closed_without_a_token(school: School) -> None:
    at = f"http://{own_end(school)['IPAddress']}:8888/user/ada"
    for path in (
        "/api/contents",
        "/api/terminals",
        "/api/kernels",
        "/machineroom/machines",
        "/proxy/box:22/",
    ):
        for header in (
            "X: y",
            "Host: localhost",
            "X-Forwarded-For: 127.0.0.1",
            "Cookie: jupyterhub-user-ada=x",
        ):
            status = run(
                school.machine("ada"), f"curl -so /dev/null -w '%{{http_code}}' -H '{header}' {at}{path}"
            )
            assert status in ((0, "403"), (0, "302")), (path, header)


def test_metadata_is_dropped_and_counted(school: School) -> None:
    chain = f"MR-{school.installation.room.id}-FWD"

    def dropped() -> int:
        said = subprocess.run(["iptables", "-xvnL", chain], capture_output=True, text=True, check=True).stdout
        rule = re.search(rf"(\d+) +\d+ DROP .* ms{school.installation.room.id}\+ .*169\.254\.0\.0/16", said)
        assert rule
        return int(rule[1])

    before = dropped()
    assert dial(school, [("169.254.169.254", 80)]) == {("169.254.169.254", 80): "silent"}
    assert dropped() > before


def test_a_neighbours_address_cannot_be_taken(school: School) -> None:
    brooks = [*addresses(school.machine("brook")).values(), *addresses(school.workspace("brook")).values()]
    for address in (*brooks, school.gateway):
        frames(school, "arp", "00", address, "0")
    own = (
        own_end(school, "ada")["MacAddress"],
        next(iter(school.machine("ada").attrs["NetworkSettings"]["Networks"].values()))["MacAddress"],
    )
    known = subprocess.run(["ip", "neigh"], capture_output=True, text=True, check=True).stdout
    for address in brooks:
        lines = [line for line in known.splitlines() if line.startswith(f"{address} ")]
        assert not any(mac in line for line in lines for mac in own), lines
    with school.client(school.tokens["brook"]) as brook:
        assert brook.get("/user/brook/api/contents").status_code == 200
        assert brook.get("/user/brook/proxy/box:22/").status_code in (200, 502)


CGROUP = "/sys/fs/cgroup"
ATTEMPTS = {
    "make a device": "mknod /tmp/disk b 8 0 && dd if=/tmp/disk of=/dev/null bs=1 count=1",
    "make the kernel's memory": "mknod /tmp/kmem c 1 1",
    "mount a file system": "mkdir -p /tmp/m && mount -t tmpfs none /tmp/m",
    "mount the cgroups": "mkdir -p /tmp/c && mount -t cgroup -o memory none /tmp/c",
    "make read-only paths writable": "mount -o remount,rw /proc/sys",
    "take off what hides the kernel's files": "umount /proc/kcore",
    "another namespace of mounts": "unshare --mount true",
    "another namespace of users": "unshare --user --map-root-user true",
    "the core pattern": "echo '|/bin/true' >/proc/sys/kernel/core_pattern",
    "routing": "echo 1 >/proc/sys/net/ipv4/conf/all/accept_redirects",
    "the magic key": "echo h >/proc/sysrq-trigger",
    "memory of the host": "head -c 1 /proc/kcore | grep -q .",
    "the kernel's log": "dmesg",
    "a release agent of the host": "find /sys/fs/cgroup -name release_agent | grep -q .",
    "limits of memory": f"for f in {CGROUP}/memory/memory.limit_in_bytes {CGROUP}/memory.max; "
    "do [ -e $f ] && echo 2000000000 >$f && exit; done; exit 1",
    "devices that are allowed": f"f={CGROUP}/devices/devices.allow; [ -e $f ] && echo a >$f",
    "sysfs": "echo 1 >/sys/kernel/profiling || touch /sys/x",
    "the processor's settings": "echo 1 >/sys/devices/system/cpu/cpu0/power/async",
    "the host's clock": "date -s 2001-01-01",
    "the host's name": "hostname stolen",
    "a network card": "ip link add stolen type dummy",
    "an address of its own": "ip address add 10.214.0.9/20 dev eth0",
    "another route": "ip route add 10.99.0.0/16 via 10.213.0.1",
    "the tools of the host": "touch /.machineroom/x || cp /bin/true /.machineroom/busybox",
    "reading the tools of the host": "head -c 1 /.machineroom/busybox",
    "processes of the host": "grep -l -e dockerd -e jupyterhub /proc/[0-9]*/comm",
    "the engine": "find / -xdev -name 'docker*.sock' -o -xdev -name 'containerd*.sock' | grep -q .",
}


SYSCALLS = {
    "a kernel module": "175, b'x' * 64, 64, b''",
    "a kernel to boot": "246, 0, 0, 0, 0",
    "to switch off": "169, 0xfee1dead, 672274793, 0, 0",
    "a program in the kernel": "321, 0, bytes(72), 72",
    "counters of the processor": "298, bytes(120), 0, -1, -1, 0",
    "a key ring": "250, 0, -3, 1",
    "a file by its handle": "304, -100, bytes([8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]), 0",
    "input and output ports": "172, 3",
    "swap": "167, b'/root', 0",
}
"""Numbers and arguments of system calls of x86-64."""

CALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(%s), ctypes.get_errno())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of system calls are those of x86-64")
@pytest.mark.parametrize("wish", SYSCALLS)
def test_nothing_by_system_calls(school: School, wish: str) -> None:
    done = school.machine("ada").exec_run(["python3", "-c", CALL % SYSCALLS[wish]])
    result, reason = map(int, done.output.split())
    assert result == -1
    assert errno.errorcode[reason] in ("EPERM", "EACCES", "ENOSYS")


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_of_the_kernel(school: School, attempt: str) -> None:
    status, said = run(school.machine("ada"), ATTEMPTS[attempt])
    assert status != 0, said


def test_root_is_nobody_outside(school: School) -> None:
    """With user namespaces, which `doctor` asks for; without, capabilities and seccomp are all there is."""
    if not any("userns" in option for option in school.engine.info()["SecurityOptions"]):
        pytest.skip("this engine has no user namespaces: ./machineroom doctor says what that means")
    process = Path("/proc", str(school.machine("ada").attrs["State"]["Pid"]))
    assert process.stat().st_uid >= 100_000


def test_limits_are_set(school: School) -> None:
    """That they hold is tried by tests/spawners; here, that the course's machines have them."""
    for container in (school.machine("ada"), school.workspace("ada")):
        host = container.attrs["HostConfig"]
        assert 0 < host["Memory"] == host["MemorySwap"]
        assert 0 < host["PidsLimit"] <= 1024
        assert host["NanoCpus"] > 0 or host["CpuQuota"] > 0
        assert not host["Privileged"]
        assert host["LogConfig"]["Config"]["max-size"]
