"""Checks that misbehave: each pays for itself, and neither the others nor the host notice."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from machineroom_checks.runner import CheckRunner

from .conftest import EXTENSIONS

Checks = Callable[..., list[dict[str, Any]]]


def parents() -> dict[int, int]:
    """Every process of the host, and its parent."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found


def descendants(process: int) -> set[int]:
    """The processes below `process`."""
    known = parents()
    below: set[int] = set()
    while more := {p for p, parent in known.items() if parent in below | {process}} - below:
        below |= more
    return below


@pytest.fixture(autouse=True)
def nothing_is_left(runner: CheckRunner) -> Iterator[None]:
    yield
    deadline = time.monotonic() + 2
    while runner._server and descendants(runner._server.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("os._exit(0)", "error"),
        ("sys.exit(0)", "error"),
        ("os.kill(os.getpid(), 9)", "error"),
        ("os.kill(os.getppid(), 9)", "error"),
        ("os.kill(-1, 9)", "error"),
        ("pytest.exit('away')", "error"),
        ("raise KeyboardInterrupt", "error"),
        ("ctypes.string_at(0)", "error"),
        ("x = bytearray(4 << 30)", "error"),
        ("Path('/checks/full').write_bytes(bytes(20 << 20))", "error"),
        ("while True: pass", "timeout"),
        ("time.sleep(60)", "timeout"),
        ("s.run('sleep 60')", "failed-or-timeout"),
        ("[os.fork() for n in range(4)]", "passed"),
        ("[os.fork() for n in range(9)]", "error"),
        ("f = lambda: f(); f()", "error"),
        ("[os.write(n, bytes(100)) for n in range(3, 40) if stat.S_ISSOCK(mode(n))]", "error"),
        ("[os.close(n) for n in range(3, 40) if mode(n)]", "error"),
        ("os.setuid(0)", "error"),
        ("Path('/etc/mine').write_text('')", "error"),
        ("Path('/proc/sys/kernel/core_pattern').write_text('x')", "error"),
    ],
)
def test_the_next_check_passes_all_the_same(checks: Checks, code: str, outcome: str) -> None:
    hostile, good = checks(
        f"""
        import ctypes, os, pytest, stat, subprocess, sys, time
        from pathlib import Path
        def mode(n):
            try: return os.fstat(n).st_mode
            except OSError: return 0
        def test_hostile(s):
            {code}
        def test_good(s): assert s.run('echo yes') == 'yes'
        """
    )
    assert hostile["outcome"] in ([outcome] if outcome != "failed-or-timeout" else ["passed", "timeout"])
    assert good["outcome"] == "passed"


def test_check_that_cannot_be_stopped_is_killed(checks: Checks) -> None:
    stubborn, good = checks(
        """
        import signal
        def test_stubborn():
            while True:
                try:
                    signal.signal(signal.SIGALRM, signal.SIG_IGN)
                    while True: pass
                except BaseException: pass
        def test_good(): pass
        """
    )
    assert (stubborn["outcome"], good["outcome"]) == ("timeout", "passed")
    assert stubborn["observed"].startswith("This check did not end within 2 seconds.")


def test_whole_run_ends_in_time(checks: Checks) -> None:
    began = time.monotonic()
    found = checks("import time\ndef test_a(): time.sleep(9)\ndef test_b(): time.sleep(9)\n", timeout=1)
    assert time.monotonic() - began < 4
    assert [c["outcome"] for c in found] == ["timeout", "timeout"]
    assert "all checks together" in found[0]["observed"]
    assert found[1]["observed"] == "There was no time left for this check."


def test_daemons_end_with_the_run(checks: Checks) -> None:
    (check,) = checks(
        """
        import os, signal, subprocess, time
        def test_x():
            subprocess.Popen(["setsid", "sleep", "1000"])
            if not os.fork():
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                if not os.fork():
                    time.sleep(1000)
        """
    )
    assert check["outcome"] == "passed"


def test_floods_of_output_and_a_fork_bomb(checks: Checks) -> None:
    noisy, _, good = checks(
        """
        import os, sys, warnings
        def test_noisy():
            for n in range(128):
                sys.stdout.write("x" * (1 << 20)); os.write(2, b"y" * (1 << 20))
            warnings.warn("noise")
        def test_bomb():
            try:
                while True: os.fork()
            except OSError: pass
        def test_good(): pass
        """
    )
    assert (noisy["outcome"], good["outcome"]) == ("passed", "passed")


def test_nothing_of_ours_is_seen(checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINEROOM_SECRET", "S3CRET")
    (tmp_path / "secret").symlink_to("/etc/shadow")
    found = checks(
        f"""
        import os
        from pathlib import Path

        def test_environment():
            everything = [p.read_bytes() for p in Path("/proc").glob("*/environ") if os.access(p, os.R_OK)]
            assert not any(b"S3CRET" in e for e in [*everything, repr(dict(os.environ)).encode()])
        def test_processes():
            assert [p.name for p in Path("/proc").glob("[0-9]*")] == ["1", "2"], "there are others"
        def test_host_files():
            for path in ("{tmp_path}", "/var/lib", "/home", "/root/.ssh", "/run/docker.sock"):
                assert not Path(path).exists(), path
        def test_other_runs():
            assert sorted(p.name for p in Path("/checks").iterdir()) == ["files"]
            assert [p.name for p in Path("/checks/files").rglob("*") if p.is_file()] == ["test_it.py"]
        def test_rights():
            status = Path("/proc/self/status").read_text()
            said = dict(line.split(":\\t", 1) for line in status.splitlines() if ":\\t" in line)
            assert {{said[k] for k in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")}} == {{"0" * 16}}
            assert said["NoNewPrivs"] == "1" and os.getuid() > 60000 and os.getgroups() == []
        def test_descriptors():
            links = [os.readlink(p) for p in Path("/proc/self/fd").iterdir() if os.path.lexists(p)]
            assert [x.split(":")[0] for x in links if x != "/dev/null"] == ["socket"], links
        def test_shadow():
            try: Path("/etc/shadow").read_text()
            except PermissionError: pass
            else: assert False, "read"
        """
    )
    assert {c["name"]: c["observed"] for c in found if c["outcome"] != "passed"} == {}


@pytest.mark.parametrize("code", ["import os; os._exit(1)", "while True: pass", "raise SystemExit"])
def test_code_outside_of_tests_is_an_error_in_words(
    runner: CheckRunner, tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("machineroom_checks.runner.START_SECONDS", 2.0)
    (tmp_path / "test_it.py").write_text(f"{code}\ndef test_x(): pass\n")
    with pytest.raises(Exception, match=r"outside of (their )?tests|test_it.py"):
        runner.collect(tmp_path)


def test_server_that_was_killed_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_x(): pass\n")
    runner = CheckRunner()
    try:
        runner.collect(tmp_path)
        assert runner._server
        runner._server.kill()
        runner._server.wait()
        assert runner.collect(tmp_path)[0]["task"] == "it"
    finally:
        runner.close()


def test_runs_end_with_the_service(tmp_path: Path) -> None:
    service = dedent(
        f"""
        import sys; sys.path.insert(0, {str(EXTENSIONS)!r})
        from pathlib import Path
        from machineroom_checks.runner import CheckRunner
        def session(): print("running", flush=True); raise OSError
        CheckRunner().run(Path({str(tmp_path)!r}), None, {{"web": session}}, "web", addresses={{}})
        """
    )
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_x(s):\n    try: s.run('go')\n    finally: time.sleep(1000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", service], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "running\n"
    runs = descendants(process.pid)
    assert len(runs) == 4  # the server, and the three of a run
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while runs & parents().keys():
        assert time.monotonic() < deadline
        time.sleep(0.02)
