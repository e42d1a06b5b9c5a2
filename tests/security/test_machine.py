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
from local import until

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
    "to freeze itself": f"for f in {CGROUP}/freezer/freezer.state {CGROUP}/cgroup.freeze; "
    "do [ -e $f ] && echo FROZEN >$f && exit; done; exit 1",
    "limits of processes": f"for f in {CGROUP}/pids/pids.max {CGROUP}/pids.max; "
    "do [ -e $f ] && echo max >$f && exit; done; exit 1",
    "limits of CPU": f"for f in {CGROUP}/cpu/cpu.cfs_quota_us {CGROUP}/cpu.max; "
    "do [ -e $f ] && echo -1 >$f && exit; done; exit 1",
    "addresses of the kernel": "grep -v '^0* ' /proc/kallsyms | grep -q .",
    "the kernel's messages' level": "echo 8 >/proc/sys/kernel/printk",
    "key rings of others": "echo 0 >/proc/sys/kernel/keys/maxkeys",
    "programs in the kernel for all": "echo 0 >/proc/sys/kernel/unprivileged_bpf_disabled",
    "counters for all": "echo -1 >/proc/sys/kernel/perf_event_paranoid",
    "how memory is given": "echo 1 >/proc/sys/vm/overcommit_memory",
    "handlers of kinds of programs": "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc",
    "the firmware": "ls /sys/firmware/* | grep -q .",
    "the kernel's debugging": "mount -t debugfs none /sys/kernel/debug",
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
    "memory whose faults one handles": "323, 0",
    "a key": "248, b'user', b'x', b'y', 1, -2",
    "the kernel's log": "103, 3, bytes(10), 10",
    "a tree of mounts": "428, -100, b'/', 1",
    "a file system to mount": "430, b'tmpfs', 0",
    "accounting of processes": "163, b'/tmp/x'",
    "the clock": "164, bytes(16), 0",
    "another root": "155, b'/', b'/'",
    "a namespace to enter": "308, 0, 0",
    "a network of its own": "272, 0x40000000",
    "cgroups of its own": "272, 0x02000000",
    "news of all files": "300, 0, 0",
    "to go before everybody": "144, 0, 1, bytes([1, 0, 0, 0])",
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


def test_the_own_workspace_goes_by_the_hubs_network(school: School) -> None:
    """A machine that says that its gateway's and the hub's address are its own is believed by nobody:
    the workspace's way out, and to hub and service, is the network on which no machine stands."""
    workspace, room = school.workspace("ada"), school.installation.room
    end = own_end(school)
    for address in (school.gateway, end["Gateway"]):
        frames(school, "arp", "00", address, "0")
    routes = [line.split() for line in run(workspace, "cat /proc/net/route", "jovyan")[1].splitlines()[1:]]
    outward = {route[0] for route in routes if route[1] == "00000000"}
    toward = {route[0] for route in routes if route[7] == "00F0FFFF"}
    assert outward == toward, "the hub's network is a /20"
    for port in (room.hub_port, room.service_port):
        reached = run(workspace, f"timeout 5 bash -c '</dev/tcp/{school.gateway}/{port}'", "jovyan")
        assert reached[0] == 0, port


def test_ports_that_others_publish(school: School) -> None:
    """Of a container on this engine that has nothing to do with us."""
    image = school.machine("ada").attrs["Image"]
    serve = (
        "import http.server as h; h.ThreadingHTTPServer(('', 80), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    labels = {"machineroom.room": school.installation.room.id}
    other = school.engine.containers.run(
        image, ["-c", serve], entrypoint="python3", detach=True, ports={"80/tcp": None}, labels=labels
    )
    try:
        other.reload()
        port = int(other.attrs["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
        inside = next(iter(addresses(other).values()))
        targets = [*((address, port) for address in host_addresses()), (inside, 80)]
        for target in targets:
            until(lambda target=target: is_open(target), 30, f"{target} does not listen")  # type: ignore[misc]
        assert set(dial(school, targets).values()) == {"silent"}
    finally:
        other.remove(force=True, v=True)


def is_open(target: tuple[str, int]) -> bool:
    try:
        socket.create_connection(target, 2).close()
    except OSError:
        return False
    return True


def test_only_the_standard_devices(school: School) -> None:
    said = run(school.machine("ada"), "find /dev -type b -o -type c | sort")[1].split()
    harmless = {"full", "null", "random", "tty", "urandom", "zero", "console", "pts/ptmx", "ptmx"}
    assert {name.removeprefix("/dev/") for name in said if not re.match(r"/dev/pts/\d+", name)} <= harmless


@pytest.mark.skipif(Path("/sys/fs/cgroup/cgroup.controllers").exists(), reason="of cgroup v1")
def test_the_writable_cgroup_limits_nothing(school: School) -> None:
    """systemd's own tree is the machine's to sort processes in; all that counts and limits is elsewhere."""
    machine = school.machine("ada")
    writable = run(machine, "find -L /sys/fs/cgroup -maxdepth 3 -writable -type f 2>/dev/null")[1].split()
    assert writable, "systemd needs its tree"
    assert all(path.startswith("/sys/fs/cgroup/systemd/") for path in writable)
    names = {Path(path).name for path in writable}
    assert names <= {"cgroup.procs", "tasks", "notify_on_release", "cgroup.clone_children"}
    moved = (
        f"mkdir {CGROUP}/systemd/mine && echo 1 >{CGROUP}/systemd/mine/notify_on_release && "
        f"(echo 0 >{CGROUP}/systemd/mine/cgroup.procs; cat /proc/self/cgroup); rmdir {CGROUP}/systemd/mine"
    )
    status, own = run(machine, moved)
    assert status == 0, own
    assert "name=systemd:/mine" in own
    pid = machine.attrs["State"]["Pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, kind, path = line.split(":", 2)
        if kind in ("pids", "memory", "freezer"):
            assert machine.id in path
            inside = next(seen for seen in own.splitlines() if seen.split(":")[1] == kind)
            assert inside.endswith(":/"), "it is still where its limits are"


def test_flooding_the_writable_cgroup_costs_its_own_memory(school: School) -> None:
    """Groups by the thousand are the machine's own memory, not the host's."""
    flood = (
        f"import os\nos.mkdir('{CGROUP}/systemd/flood')\n"
        "used = lambda: int(open('/sys/fs/cgroup/memory/memory.kmem.usage_in_bytes').read())\n"
        "before = used()\n"
        f"for i in range(2000): os.mkdir(f'{CGROUP}/systemd/flood/{{i}}')\nprint(used() - before)\n"
        f"for i in range(2000): os.rmdir(f'{CGROUP}/systemd/flood/{{i}}')\nos.rmdir('{CGROUP}/systemd/flood')"
    )
    if not Path("/sys/fs/cgroup/memory/memory.kmem.usage_in_bytes").exists():
        pytest.skip("this kernel does not tell a group's kernel memory")
    status, said = run(school.machine("ada"), f'python3 -c "{flood}"')
    assert status == 0, said
    assert int(said) > 100_000
