"""The Docker driver: what all drivers owe, and what a root student may try on a container."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from machineroom_hub.room import Room
from machineroom_spawners.drivers import make_driver, objects
from machineroom_spawners.drivers.base import Machine, MachineError, State
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.names import bridge, image, network
from machineroom_spawners.spec import MachineSpec
from spawners.driver_suite import DriverSuite, read_until, run, until

SpecFactory = Callable[..., MachineSpec]

MAKE = """
import json, sys
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef, MachineSpec
room, tools, given, action = json.load(sys.stdin)
spec = MachineSpec(**{**given, "ref": MachineRef(**given["ref"])})
print(getattr(DockerDriver(room_id=room, tools=tools), action)(spec).id)
"""


class TestDocker(DriverSuite):
    """The Docker driver does what every driver owes."""

    @pytest.fixture
    def driver(self, docker_driver: DockerDriver) -> DockerDriver:
        return docker_driver


@pytest.fixture(scope="module")
def driver(docker_driver: DockerDriver) -> DockerDriver:
    return docker_driver


@pytest.fixture
def victim(driver: DockerDriver, spec: SpecFactory) -> Iterator[MachineSpec]:
    """A machine with systemd, to be broken."""
    wanted = spec("victim", image="lab", pids=96)
    driver.ensure(wanted)
    yield wanted
    driver.delete(wanted.ref)


def in_another_process(
    room: Room, tools: Path, spec: MachineSpec, action: str = "ensure"
) -> subprocess.Popen[str]:
    """`ensure` or `reset`, by a process of its own that prints the machine's id."""
    paths = os.pathsep.join(p for p in sys.path if p)
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert process.stdin
    process.stdin.write(json.dumps([room.id, str(tools), vars(spec) | {"ref": vars(spec.ref)}, action]))
    process.stdin.close()
    return process


def test_two_processes_make_one_machine(
    driver: DockerDriver, spec: SpecFactory, room: Room, tools: Path
) -> None:
    wanted = spec("contested", owner="eve")
    processes = [in_another_process(room, tools, wanted) for _ in range(2)]
    ids = {p.stdout.read().strip() for p in processes if p.stdout and p.wait() == 0}
    assert ids == {driver.poll(wanted.ref).id}
    driver.delete(wanted.ref)


def test_a_crash_while_making_leaves_no_machine_and_is_made_good(
    driver: DockerDriver, engine: docker.DockerClient, spec: SpecFactory, room: Room, tools: Path
) -> None:
    wanted = spec("crashed", setup="touch /root/made; sleep 600")
    process = in_another_process(room, tools, wanted)
    until(lambda: _exists(driver, engine, wanted, "/root/made"))
    assert driver.poll(wanted.ref).state is State.CREATING
    with pytest.raises(MachineError, match="still being made"):
        driver.open_session(wanted.ref)
    assert driver.tidy() == [], "somebody is at work on it"
    process.kill()
    process.wait()
    assert driver.poll(wanted.ref) is None
    assert wanted.ref not in [machine.ref for machine in driver.machines()]
    machine = driver.ensure(spec("crashed"))
    assert machine.state is State.RUNNING
    assert run(driver, wanted.ref, "ls /root") == ""
    assert engine.containers.get(machine.id).name == objects.container_name(room.id, wanted.ref)
    driver.delete(wanted.ref)


def _exists(driver: DockerDriver, engine: docker.DockerClient, spec: MachineSpec, path: str) -> bool:
    machine = driver.poll(spec.ref)
    if machine is None:
        return False
    container = engine.containers.get(machine.id)
    return container.status == "running" and container.exec_run(["test", "-e", path]).exit_code == 0


def test_a_crash_while_resetting_leaves_the_old_machine_or_the_new(
    driver: DockerDriver, engine: docker.DockerClient, spec: SpecFactory, room: Room, tools: Path
) -> None:
    box = spec("halved")
    driver.ensure(box)
    run(driver, box.ref, "echo work >/root/file")
    slow = spec("halved", setup="touch /root/made; sleep 600")
    process = in_another_process(room, tools, slow, "reset")
    until(lambda: _exists(driver, engine, slow, "/root/made"))
    process.kill()
    process.wait()
    assert driver.poll(box.ref).state is State.STOPPED
    assert driver.tidy() == [box.ref]
    assert driver.tidy() == []
    driver.ensure(box)
    assert run(driver, box.ref, "cat /root/file") == "work\n"

    old = engine.containers.get(driver.poll(box.ref).id)
    snapshot = driver.snapshot(box.ref, "before")
    config = objects.container(
        box, room.id, engine.images.get(snapshot.id).attrs, "lab-slim", str(tools), old.id
    )
    new = engine.api.create_container_from_config(config, objects.making_name(room.id, box.ref))["Id"]
    old.remove(force=True)  # and here, before it gives the new one its name, the maker dies
    assert driver.ensure(box).id == new
    assert run(driver, box.ref, "cat /root/file") == "work\n"
    driver.delete_snapshot(box.ref, "before")
    driver.delete(box.ref)


def test_a_reset_that_fails_keeps_the_machine(driver: DockerDriver, spec: SpecFactory) -> None:
    box = spec("careful")
    driver.ensure(box)
    run(driver, box.ref, "echo work >/root/file")
    with pytest.raises(MachineError, match="ended with 1"):
        driver.reset(spec("careful", setup="exit 1"))
    driver.ensure(box)
    assert run(driver, box.ref, "cat /root/file") == "work\n"
    driver.delete(box.ref)


def test_systemd_runs_as_a_student_expects(driver: DockerDriver, victim: MachineSpec) -> None:
    session = driver.open_session(victim.ref)
    until(lambda: session.run("systemctl is-system-running").stdout not in (b"starting\n", b"initializing\n"))
    state = session.run("systemctl is-system-running; systemctl --failed --no-legend")
    assert state.stdout == b"running\n"
    commands = (
        "useradd -m bob && su - bob -c 'sudo -n true; id -un' && chown bob /tmp && ping -c1 -W2 127.0.0.1 && "
        "systemd-run --wait true && ps -p 1 -o comm="
    )
    done = session.run(commands)
    assert (done.rc, done.stdout.splitlines()[-1]) == (0, b"systemd"), done
    session.close()


def test_a_root_student_cannot_lift_limits_nor_reach_a_session(
    driver: DockerDriver, victim: MachineSpec, engine: docker.DockerClient
) -> None:
    session = driver.open_session(victim.ref)
    session.run("true")
    limits = ("pids.max", "memory.max", "pids/pids.max", "memory/memory.limit_in_bytes")
    attacks = (
        *(f"test -e /sys/fs/cgroup/{limit} && echo 9999999999 >/sys/fs/cgroup/{limit}" for limit in limits),
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /.machineroom",
        "rm -f /.machineroom/busybox",
        "cp /bin/true /.machineroom/busybox",
        "mknod /tmp/disk b 254 0",
    )
    for attack in attacks:
        assert session.run(f"bash -c '{attack}'").rc != 0, attack
    if "name=userns" in engine.info()["SecurityOptions"]:
        spy = "for p in $(pgrep -f 'IFS= rea[d]'); do echo; ls /proc/$p/fd/; cat /proc/$p/environ; done"
        student = engine.containers.get(driver.poll(victim.ref).id)
        seen, refused = student.exec_run(["bash", "-c", spy], demux=True).output
        assert seen == b"\n\n"
        assert refused.count(b"Permission denied") == 4
    session.close()


def test_swapped_tools_change_no_answer(driver: DockerDriver, victim: MachineSpec) -> None:
    session = driver.open_session(victim.ref)
    forge = "printf '#!/bin/bash\\necho forged\\n' >/root/forged; chmod 755 /root/forged; "
    forge += "for t in cat stat grep test ls id sha256sum; do cp /root/forged /usr/bin/$t; done; "
    forge += "rm -f /bin/sh; cp /root/forged /bin/sh; echo 'alias stat=/root/forged' >/root/.profile; "
    forge += "echo /root/forged.so >/etc/ld.so.preload"
    assert session.run(forge).rc == 0
    session.close()
    fresh = driver.open_session(victim.ref)
    truth = fresh.run(
        "stat -c %a /etc/shadow; cat /etc/hostname; test -e /nowhere || grep -c root /etc/passwd"
    )
    assert truth.stdout == b"640\nvictim\n1\n"
    fresh.close()


def test_a_machine_without_files_still_answers_and_is_reset(
    driver: DockerDriver, victim: MachineSpec
) -> None:
    run(driver, victim.ref, "/bin/rm -rf --no-preserve-root / 2>/dev/null; [ ! -e /bin/ls ]", timeout=60)
    session = driver.open_session(victim.ref)
    assert session.run("ls /usr/bin; hostname; id -u").stdout == b"victim\n0\n"
    assert session.run("systemctl is-active ssh").rc == 1
    session.close()
    console = driver.console(victim.ref)
    console.write(b"echo $((6*7))\n")
    assert b"rescue shell" in read_until(console, b"42\r\n")
    console.close()
    assert driver.ensure(victim).state is State.BROKEN
    driver.stop(victim.ref)
    assert driver.ensure(victim).state is State.BROKEN
    assert driver.reset(victim).state is State.RUNNING
    assert run(driver, victim.ref, "test -x /bin/ls && hostname") == "victim\n"


@pytest.mark.parametrize("harm", ["systemctl stop ssh.socket ssh; pkill sshd", "/bin/ip link set eth0 down"])
def test_a_machine_that_cannot_be_reached_is_broken_not_waited_for(
    driver: DockerDriver, spec: SpecFactory, harm: str
) -> None:
    wanted = spec("harmed", image="lab", capabilities=("NET_ADMIN",))
    driver.ensure(wanted)
    session = driver.open_session(wanted.ref)
    session.run(harm)
    told: list[str] = []
    machine = driver.ensure(wanted, lambda _, message: told.append(message))
    assert machine.state is State.BROKEN
    assert told[-1] == "Machine harmed is broken (its ssh does not answer): reset it"
    assert session.run("hostname").stdout == b"harmed\n"
    assert driver.reset(wanted).state is State.RUNNING
    session.close()
    driver.delete(wanted.ref)


def test_a_machine_is_saved_broken_as_it_is_but_not_with_a_disk_full_of_holes(
    driver: DockerDriver, spec: SpecFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = spec("saved")
    driver.ensure(box)
    try:
        run(driver, box.ref, "mv /usr/sbin/sshd /root; truncate -s 100G /root/hole")
        run(
            driver,
            box.ref,
            "printf '#!/bin/sh\\nexec sleep 1000\\n' >/usr/sbin/sshd; chmod 755 /usr/sbin/sshd",
        )
        with pytest.raises(MachineError, match=r"holds 1\d\d\.\d GB .* more than the 4.3 GB .* Delete"):
            driver.snapshot(box.ref, "large")
        run(driver, box.ref, "rm /root/hole")
        driver.snapshot(box.ref, "broken")
        monkeypatch.setattr(driver, "boot_timeout", 2.0)
        assert driver.restore(box, "broken").state is State.BROKEN
        assert run(driver, box.ref, "ls /root") == "sshd\n"
    finally:
        driver.delete(box.ref)
        driver.delete_snapshot(box.ref, "broken")


def test_a_fork_bomb_stays_in_its_machine(
    driver: DockerDriver, victim: MachineSpec, engine: docker.DockerClient
) -> None:
    session = driver.open_session(victim.ref)
    session.run("bash -c 'while :; do sleep 1000 & done' >&- 2>&- &")
    container = engine.containers.get(driver.poll(victim.ref).id)
    until(lambda: container.stats(stream=False)["pids_stats"]["current"] >= victim.pids - 1)
    refusals = []
    for _ in range(2):
        fresh = driver.open_session(victim.ref)
        try:
            fresh.run("true", timeout=5)
        except MachineError as error:
            refusals.append(str(error))
        fresh.close()
    for refusal in refusals:
        assert "runs as many processes as it may" in refusal
    assert container.stats(stream=False)["pids_stats"]["current"] <= victim.pids
    assert driver.reset(victim).state is State.RUNNING
    assert session.run("pgrep -c sleep").stdout == b"0\n"
    session.close()


def test_a_bomb_in_a_command_is_ended_with_it(driver: DockerDriver, victim: MachineSpec) -> None:
    session = driver.open_session(victim.ref)
    bomb = session.run("bash -c 'b() { b | b & b; }; b' & bash -c 'while :; do sleep 1000 & done'", timeout=2)
    assert bomb.timed_out
    until(lambda: session.run("pgrep -c 'sleep|bash'").stdout == b"0\n")
    session.close()


def test_memory_is_limited_with_what_lies_in_tmpfs(driver: DockerDriver, victim: MachineSpec) -> None:
    session = driver.open_session(victim.ref)
    hog = session.run("head -c 200m /dev/zero | tail -c 200m | wc -c", timeout=60)
    assert hog.stdout != b"209715200\n"
    filled = session.run("head -c 200m /dev/zero >/run/fill; head -c 200m /dev/zero >/dev/shm/fill")
    assert filled.rc != 0
    session.run("rm -f /run/fill /dev/shm/fill")
    assert driver.ensure(victim).state is State.RUNNING
    session.close()


def test_a_session_killed_by_its_student_is_opened_again(
    driver: DockerDriver, box: Machine, engine: docker.DockerClient
) -> None:
    session = driver.open_session(box.ref)
    session.run("true")
    student = engine.containers.get(box.id)
    threading.Timer(0.3, lambda: student.exec_run(["pkill", "-9", "-f", "IFS= read"])).start()
    with pytest.raises(MachineError, match="its session ended while a command ran in it"):
        session.run("sleep 33")
    assert session.run("echo again").stdout == b"again\n"
    session.close()


def test_a_command_ends_with_the_session_that_is_hung_up(driver: DockerDriver, box: Machine) -> None:
    session = driver.open_session(box.ref)

    def interrupted() -> None:
        with pytest.raises(MachineError):
            session.run("sleep 34")

    thread = threading.Thread(target=interrupted)
    thread.start()
    until(lambda: run(driver, box.ref, "pgrep -cf 'sleep 3[4]' || :") == "1\n")
    session.close()
    thread.join(10)
    until(lambda: run(driver, box.ref, "pgrep -cf 'sleep 3[4]' || :") == "0\n")


def test_networks_are_named_small_and_gone_with_the_last_machine(
    driver: DockerDriver, spec: SpecFactory, engine: docker.DockerClient, room: Room
) -> None:
    workspace = engine.containers.create(
        image(room.id, "lab-slim"),
        name=f"mr-{room.id}-w-nat",
        labels={"machineroom.room": room.id, "machineroom.owner": "nat"},
    )
    driver.join("nat", workspace.name)
    driver.join("nat", workspace.name)
    web = spec("web", owner="nat", networks=("front", "back"))
    driver.ensure(web)
    place = ("linux", "first")
    expected = [network(room.id, "nat", *p) for p in ((), (*place, "front"), (*place, "back"))]
    workspace.reload()
    assert set(expected) <= set(workspace.attrs["NetworkSettings"]["Networks"])
    for name in expected:
        attrs = engine.networks.get(name).attrs
        assert attrs["IPAM"]["Config"][0]["Subnet"].endswith("/28")
        assert attrs["Options"]["com.docker.network.bridge.name"] == bridge(room.id, "student", name)
    driver.delete(web.ref)
    assert engine.networks.list(names=expected)
    workspace.remove()
    driver.release_networks("nat")
    assert engine.networks.list(names=expected) == []


def test_a_stopped_machine_gets_its_networks_back(
    driver: DockerDriver, spec: SpecFactory, engine: docker.DockerClient, room: Room
) -> None:
    wanted = spec("pruned", owner="pru")
    driver.ensure(wanted)
    driver.stop(wanted.ref)
    engine.networks.get(network(room.id, "pru")).remove()
    assert driver.ensure(wanted).state is State.RUNNING
    driver.delete(wanted.ref)


def test_errors_say_what_to_do(
    driver: DockerDriver,
    spec: SpecFactory,
    room: Room,
    tools: Path,
    engine: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        MachineError, match="no driver 'vmware' here; machines can be made with: docker, openstack"
    ):
        make_driver("vmware", room.id)
    with pytest.raises(MachineError, match=r"no image 'nope' here. Run ./machineroom image build nope"):
        driver.ensure(spec("box", image="nope"))
    with pytest.raises(MachineError, match="a lab may ask for IPC_LOCK, NET_ADMIN"):
        driver.ensure(spec("box", capabilities=("SYS_ADMIN",)))
    tiny = DockerDriver(room_id=room.id, tools=str(tools), client=engine, address_pool="127.0.0.0/28")
    monkeypatch.setattr(objects, "free_subnets", lambda *_: iter(()))
    with pytest.raises(MachineError, match=r"every /28 of 127\.0\.0\.0/28 is taken"):
        tiny.ensure(spec("box", owner="full"))
    monkeypatch.undo()
    without = DockerDriver(room_id=room.id, tools="/nowhere", client=engine)
    with pytest.raises(MachineError, match=r"/nowhere\. Run ./machineroom up"):
        without.ensure(spec("box", owner="tom"))
    monkeypatch.setattr(objects, "RUNTIME", "nonesuch")
    with pytest.raises(MachineError, match=r"no OCI runtime 'nonesuch'.* Run \./machineroom doctor"):
        driver.ensure(spec("box", owner="tom", image="lab"))
    assert driver.machines(owner="tom") == []
