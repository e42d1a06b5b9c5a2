"""What every driver owes its callers. Subclass `DriverSuite` with a fixture `driver` to test one more."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import (
    Console,
    Driver,
    Machine,
    MachineError,
    NoSuchMachine,
    Result,
    State,
)
from machineroom_spawners.keys import host_key, student_key
from machineroom_spawners.spec import MachineRef, MachineSpec

SpecFactory = Callable[..., MachineSpec]


def run(driver: Driver, ref: MachineRef, command: str, timeout: float = 15) -> str:
    """What `command` prints on the machine; it has to succeed."""
    session = driver.open_session(ref)
    try:
        result = session.run(command, timeout=timeout)
    finally:
        session.close()
    assert result.rc == 0, result
    return result.stdout.decode()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def read_until(console: Console, wanted: bytes) -> bytes:
    """What the console shows up to `wanted`."""
    said = b""
    while wanted not in said:
        data = console.read()
        assert data, said
        said += data
    return said


class DriverSuite:
    """Tests of one driver, which a subclass gives as the fixture `driver`.

    What an infrastructure does in its own way a subclass says in the attributes, or in a test of its own.
    """

    snapshot_sizes = range(3_000_000, 8_000_000)
    """What a snapshot of a machine that holds 3 MB more than its image may cost."""

    copies_keep_keys = True
    """Whether a copy of a machine is entered without a key of ours in it."""

    shell = "#!/bin/bash"
    """What a set-up script for the machines of these tests begins with."""

    @pytest.fixture
    def made(self, driver: Driver, spec: SpecFactory) -> Iterator[SpecFactory]:
        """Machines that are made for one test and deleted after it."""
        refs: list[MachineRef] = []

        def make(name: str = "box", owner: str = "ada", **changed: object) -> MachineSpec:
            description = spec(name, owner, **changed)
            refs.append(description.ref)
            driver.ensure(description)
            return description

        yield make
        for ref in refs:
            driver.delete(ref)

    def test_a_machine_is_made_once_and_answers_to_the_students_key(
        self, driver: Driver, made: SpecFactory, room: Room, tmp_path: Path
    ) -> None:
        box = made()
        told: list[tuple[int, str]] = []
        machine = driver.ensure(box, lambda percent, message: told.append((percent, message)))
        assert machine == driver.poll(box.ref)
        assert (machine.ref, machine.state, machine.image) == (box.ref, State.RUNNING, box.image)
        assert told[-1] == (100, "Machine box is ready")
        assert [m.id for m in driver.machines(owner="ada")] == [machine.id]

        key, known = tmp_path / "key", tmp_path / "known"
        key.write_text(student_key(room.secret, "ada").private)
        key.chmod(0o600)
        public = host_key(room.secret, "ada", "linux", "first", "box").public
        known.write_text(f"{machine.address} {public}\n")
        options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "BatchMode=yes"]
        ssh = ["ssh", "-F", "none", "-i", str(key), *(f"-o{o}" for o in options), f"root@{machine.address}"]
        done = subprocess.run([*ssh, "hostname; id -u"], capture_output=True, text=True)
        assert (done.stdout, done.returncode) == ("box\n0\n", 0), done.stderr

    def test_many_who_ensure_one_machine_at_once_get_one(self, driver: Driver, spec: SpecFactory) -> None:
        wanted = spec("crowded")
        with ThreadPoolExecutor(6) as pool:
            machines = list(pool.map(driver.ensure, [wanted] * 6))
        try:
            assert len({m.id for m in machines}) == 1
            assert [m.ref for m in driver.machines()] == [wanted.ref]
        finally:
            driver.delete(wanted.ref)

    def test_machines_are_listed_by_owner_and_course(self, driver: Driver, made: SpecFactory) -> None:
        ada, zoe = made().ref, made(owner="Zoë O'Brien").ref
        assert [m.ref for m in driver.machines()] == [zoe, ada]
        assert [m.ref for m in driver.machines(owner="Zoë O'Brien")] == [zoe]
        assert [m.ref for m in driver.machines(owner="ada", course="linux")] == [ada]
        assert driver.machines(course="other") == []

    def test_what_a_machine_uses_is_told_while_it_runs(self, driver: Driver, made: SpecFactory) -> None:
        machine = driver.ensure(made("usage"))
        before = driver.usage(machine)
        assert before
        assert before.started <= before.time
        assert 1 << 20 < before.memory < before.memory_limit
        assert 0 < before.processes < before.process_limit
        assert before.ports == ()
        run(driver, machine.ref, "nc -ll -p 8080 -e true & nc -ll -s 127.0.0.1 -p 8081 -e true & :")
        run(driver, machine.ref, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        until(lambda: getattr(driver.usage(machine), "ports", ()) == (8080,))
        after = driver.usage(machine)
        assert after
        assert after.time > before.time
        assert after.cpu_seconds > before.cpu_seconds
        driver.stop(machine.ref)
        assert driver.usage(machine) is None

    def test_what_is_on_a_machine_survives_its_stop(self, driver: Driver, made: SpecFactory) -> None:
        box = made()
        run(driver, box.ref, "echo kept >/root/file")
        assert driver.stop(box.ref).state is State.STOPPED
        assert driver.stop(box.ref).state is State.STOPPED
        assert driver.poll(box.ref).address == ""
        assert driver.ensure(box).state is State.RUNNING
        assert run(driver, box.ref, "cat /root/file") == "kept\n"

    def test_a_suspended_machine_goes_on_where_it_was(self, driver: Driver, made: SpecFactory) -> None:
        box = made()
        run(driver, box.ref, "sleep 1234 & echo $! >/root/pid")
        assert driver.suspend(box.ref).state is State.SUSPENDED
        assert driver.suspend(box.ref).state is State.SUSPENDED
        with pytest.raises(MachineError, match=r"suspended\. Resume it first"):
            driver.open_session(box.ref)
        assert driver.resume(box.ref).state is State.RUNNING
        assert driver.resume(box.ref).state is State.RUNNING
        driver.suspend(box.ref)
        assert driver.ensure(box).state is State.RUNNING
        run(driver, box.ref, "kill -0 $(cat /root/pid)")
        driver.suspend(box.ref)
        assert driver.stop(box.ref).state is State.STOPPED
        with pytest.raises(MachineError, match="Start it first"):
            driver.suspend(box.ref)

    def test_reset_gives_a_clean_machine(self, driver: Driver, made: SpecFactory) -> None:
        box = made()
        before = driver.poll(box.ref)
        session = driver.open_session(box.ref)
        session.run("touch /root/mess")
        after = driver.reset(box)
        assert after.id != before.id
        assert [m.id for m in driver.machines()] == [after.id]
        assert session.run("ls /root").stdout == b""
        session.close()

    def test_a_snapshot_outlives_its_machine(self, driver: Driver, made: SpecFactory) -> None:
        box = made()
        run(driver, box.ref, "head -c 3000000 /dev/urandom >/root/work")
        saved = driver.snapshot(box.ref, "first try")
        assert (saved.ref, saved.name) == (box.ref, "first try")
        assert saved.size in self.snapshot_sizes
        run(driver, box.ref, "echo more >/root/work2")
        driver.snapshot(box.ref, "second")
        driver.snapshot(box.ref, "second")
        assert [s.name for s in driver.snapshots(box.ref)] == ["first try", "second"]
        driver.delete(box.ref)
        assert driver.restore(box, "first try").state is State.RUNNING
        assert run(driver, box.ref, "wc -c </root/work; ls /root").split() == ["3000000", "work"]
        with pytest.raises(MachineError, match="no snapshot 'third'; it has: first try, second"):
            driver.restore(box, "third")
        for name in ("first try", "second", "second"):
            driver.delete_snapshot(box.ref, name)
        assert driver.snapshots(box.ref) == []

    def test_a_snapshot_that_another_keeps_is_out_of_its_owners_reach(
        self, driver: Driver, made: SpecFactory, spec: SpecFactory
    ) -> None:
        box, copy = made(), spec("box", owner="keeper:1", authorized_key="", host_key="")
        run(driver, box.ref, "echo mine >/root/work; echo key >/root/.ssh/authorized_keys")
        saved = driver.snapshot(box.ref, "kept", keeper=copy.ref)
        assert (saved.ref, driver.snapshots(box.ref)) == (copy.ref, [])
        assert saved in driver.snapshots()
        driver.delete_snapshot(box.ref, "kept")
        with pytest.raises(MachineError, match="no snapshot 'kept'; it has: none"):
            driver.restore(box, "kept")
        try:
            assert driver.restore(copy, "kept").ref == copy.ref
            assert run(driver, copy.ref, "cat /root/work") == "mine\n"
            if self.copies_keep_keys:
                assert run(driver, copy.ref, "cat /root/.ssh/authorized_keys") == "key\n"
            assert driver.machines(owner=box.ref.owner, course=box.ref.course) == [driver.poll(box.ref)]
        finally:
            driver.delete(copy.ref)
            driver.delete_snapshot(copy.ref, "kept")
        assert driver.snapshots() == []

    def test_set_up_is_run_once_and_its_failure_leaves_nothing(
        self, driver: Driver, made: SpecFactory, spec: SpecFactory
    ) -> None:
        box = made(setup=f"{self.shell}\nset -e\n[[ $(id -u) = 0 ]]\necho once >>/root/log\n")
        driver.stop(box.ref)
        driver.ensure(box)
        assert run(driver, box.ref, "cat /root/log") == "once\n"
        wrong = spec("wrong", setup="echo 'no such package' >&2\nexit 7\n")
        with pytest.raises(MachineError, match=r"linux/first/wrong: .*ended with 7.*\n.*no such package"):
            driver.ensure(wrong)
        assert driver.poll(wrong.ref) is None

    def test_machines_of_a_student_know_each_other_and_others_are_out_of_reach(
        self, driver: Driver, made: SpecFactory
    ) -> None:
        web, db, stranger = made("web"), made("db"), made("web", owner="mallory")
        assert run(driver, web.ref, "getent hosts db db.first db.first.linux | wc -l") == "3\n"
        banner = "bash -c 'exec 3<>/dev/tcp/%s/22; head -c 4 <&3'"
        assert run(driver, web.ref, banner % "db") == "SSH-"
        session = driver.open_session(stranger.ref)
        for machine in (web, db):
            result = session.run(banner % driver.poll(machine.ref).address, timeout=2)
            assert (result.stdout, result.timed_out) == (b"", True)
        session.close()

    def test_what_does_not_exist_is_said_to(self, driver: Driver, spec: SpecFactory) -> None:
        ref = spec("nowhere").ref
        assert driver.poll(ref) is None
        assert driver.snapshots(ref) == []
        driver.delete(ref)
        driver.delete_snapshot(ref, "any")
        actions: list[Callable[[MachineRef], object]] = [
            driver.suspend,
            driver.resume,
            driver.stop,
            driver.open_session,
            driver.console,
            lambda ref: driver.snapshot(ref, "any"),
        ]
        for action in actions:
            with pytest.raises(NoSuchMachine, match="ada/linux/first/nowhere does not exist"):
                action(ref)

    def test_a_session_tells_what_a_command_did(self, driver: Driver, made: SpecFactory) -> None:
        session = driver.open_session(made().ref)
        said = session.run("echo out; echo 'ärger' >&2; cd /tmp; x=1; exit 3")
        assert (said.rc, said.stdout, said.stderr) == (3, b"out\n", "ärger\n".encode())
        assert session.run('pwd; echo "$x$HOME$LANG"; cat; printf "no newline"').stdout == (
            b"/root\n/rootC.UTF-8\nno newline"
        )
        assert session.run("head -c 100000 /dev/urandom | tee /tmp/x; cksum </tmp/x >&2").rc == 0
        assert session.run("echo 'unbalanced").rc != 0
        assert session.run("true").rc == 0

        late = session.run("sleep 77 & sleep 77", timeout=0.5)
        assert (late.rc, late.timed_out, late.truncated) == (-1, True, False)
        assert 0.5 <= late.seconds < 5
        much = session.run("yes", limit=10_000)
        assert (much.stdout, much.truncated, much.timed_out) == (b"y\n" * 5000, True, False)
        until(lambda: session.run("pgrep -f 'sleep 7[7]|^ye[s]'").rc == 1)
        session.close()

    def test_a_session_goes_on_after_its_machine_was_away(self, driver: Driver, made: SpecFactory) -> None:
        box = made()
        session = driver.open_session(box.ref)
        session.run("true")
        driver.stop(box.ref)
        with pytest.raises(MachineError, match=r"is stopped\. Start it first"):
            session.run("true")
        driver.ensure(box)
        assert session.run("echo back").stdout == b"back\n"
        driver.suspend(box.ref)
        with pytest.raises(MachineError, match=r"is suspended\. Resume it first"):
            session.run("true")
        driver.delete(box.ref)
        with pytest.raises(NoSuchMachine):
            session.run("true")
        session.close()

    def test_a_command_costs_little(self, driver: Driver, made: SpecFactory) -> None:
        session = driver.open_session(made().ref)
        session.run("true")
        took = sorted(session.run("stat -c %a /etc/passwd").seconds for _ in range(100))
        session.close()
        assert took[50] < 0.05

    def test_a_console_is_a_terminal(self, driver: Driver, made: SpecFactory) -> None:
        box = made()
        console = driver.console(box.ref, rows=31, columns=97)
        console.write(b"stty size; tty; echo $TERM\n")
        assert re.search(rb"31 97\r\n/dev/\S+\r\nxterm", read_until(console, b"xterm-256color\r\n"))
        console.resize(12, 34)
        console.write(b"stty size; sleep 4321\n")
        read_until(console, b"12 34\r\n")
        console.close()
        assert console.read() == b""
        until(lambda: run(driver, box.ref, "pgrep -f 'sleep 432[1]' | wc -l") == "0\n")


__all__ = ["DriverSuite", "Machine", "Result", "read_until", "run", "until"]
