"""`%%on` and `on` in a real kernel, against the real sshd of a real machine."""

import time
from collections.abc import Callable

import psutil
import pytest

from .conftest import COURSE, Kernel, Lab


def eventually(what: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cell_runs_as_a_bash_script_with_both_streams(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%on web\nhostname\ncd /tmp\n[[ $PWD == /tmp ]] && echo \"in 'tmp'\"\necho oops >&2\nid -un"
    )
    assert ran.stdout.splitlines() == ["web", "in 'tmp'", "root"]
    assert (ran.stderr, ran.error) == ("oops\n", "")


def test_output_comes_while_the_command_runs(kernel: Kernel, lab: Lab) -> None:
    ran = kernel.run(
        "%%on web\necho first\nwhile [ ! -e /tmp/go ]; do sleep .05; done; echo second",
        until="first",
        then=lambda: lab.on_machine("touch /tmp/go") and None,
    )
    assert ran.stdout == "first\nsecond\n"


def test_characters_are_not_cut_in_two(kernel: Kernel) -> None:
    ran = kernel.run("%%on web\nprintf '\\xe2\\x82'; sleep .2; printf '\\xac ä \\xff'; printf '\\xe2' >&2")
    assert (ran.stdout, ran.stderr) == ("€ ä \ufffd", "\ufffd")


def test_exit_status_is_told_without_a_traceback(kernel: Kernel) -> None:
    ran = kernel.run("%%on web\nexit 3")
    assert ran.error == "CommandFailed: the script on web ended with exit status 3."


@pytest.mark.parametrize(
    "script",
    [
        "echo go; sleep 4711",
        "echo go; sleep 4711 & sleep 4711 & wait",
        "echo go; (trap '' INT; sleep 4711; sleep 4711) | sleep 4711",
        "trap '' INT TERM; echo go; sleep 4711; sleep 4711",
        "echo go; yes",
    ],
)
def test_interrupt_stops_the_command_and_its_children(kernel: Kernel, lab: Lab, script: str) -> None:
    ran = kernel.run(f"%%on web\n{script}", until="go", then=kernel.manager.interrupt_kernel)
    assert ran.error == "Interrupted: what ran on web has been stopped."
    left = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done | grep -E '^(sleep 4711|yes)'"
    eventually(lambda: lab.on_machine(left) == "")
    assert kernel.run('on("web", "echo still here").stdout').value == "'still here\\n'"


def test_endless_output_is_cut_and_its_memory_settles(kernel: Kernel, lab: Lab) -> None:
    process = psutil.Process(kernel.manager.provisioner.process.pid)  # type: ignore[union-attr]
    sizes: list[int] = []

    def flood_grows_by() -> int:
        ran = kernel.run("%%on web --timeout 2\nyes")
        assert ran.error.startswith(
            "NotPossible: The script on web was stopped: it took longer than 2 seconds."
        )
        assert "longer than 1 MB" in ran.stderr
        assert len(ran.stdout) <= 1 << 20
        sizes.append(process.memory_info().rss)
        return sizes[-1] - sizes[-2] if len(sizes) > 1 else sizes[-1]

    # The first floods fill buffers that stay; kept output would be tens of megabytes each time.
    assert any(flood_grows_by() < 8 << 20 for _ in range(6)), sizes


def test_a_machine_that_was_put_to_sleep_is_woken(kernel: Kernel, lab: Lab) -> None:
    assert kernel.run("%%on web\necho awake").stdout == "awake\n"
    lab.driver.suspend(lab.machine.ref)
    assert kernel.run("%%on web\necho awake again").stdout == "awake again\n"


def test_a_server_in_the_background_outlives_its_cell(kernel: Kernel, lab: Lab) -> None:
    began = time.monotonic()
    ran = kernel.run(
        "%%on web\n(while sleep .1; do echo alive; date +%s%N > /tmp/beat; done) &\necho started"
    )
    assert time.monotonic() - began < 5
    assert "started" in ran.stdout
    before = lab.on_machine("cat /tmp/beat")
    eventually(lambda: lab.on_machine("cat /tmp/beat") != before)


def test_as_another_user(kernel: Kernel, lab: Lab) -> None:
    lab.on_machine("useradd -m bob")
    ran = kernel.run("%%on web --user bob\nid -un; pwd; echo $HOME; touch /etc/mine 2>/dev/null || echo no")
    assert ran.stdout.splitlines() == ["bob", "/home/bob", "/home/bob", "no"]


def test_function_returns_what_was_printed(kernel: Kernel) -> None:
    ran = kernel.run('r = on("web", "echo out; echo err >&2; exit 4"); (r.rc, r.stdout, r.stderr)')
    assert ran.value == "(4, 'out\\n', 'err\\n')"
    ran = kernel.run('on("web", "sleep 4712", timeout=0.3)')
    assert "it took longer than 0.3 seconds" in ran.error


def test_mistakes_are_told_in_words(kernel: Kernel) -> None:
    assert (
        kernel.run("%%on mail\ntrue").error
        == "NotPossible: There is no machine 'mail' here. The machines: web."
    )
    assert "Write: %%on MACHINE [--timeout SECONDS] [--user NAME]" in kernel.run("%%on\ntrue").error
    assert "Write: %%on MACHINE" in kernel.run("%%on web --timeout soon\ntrue").error
    assert kernel.run(f"%%on web.shop.{COURSE}\nhostname").stdout == "web\n"


def test_connection_that_is_lost_is_told_and_made_anew(kernel: Kernel, lab: Lab) -> None:
    kill = "kill -9 $(grep -l '^sshd-session' /proc/[0-9]*/cmdline | cut -d/ -f3)"
    ran = kernel.run("%%on web\necho go; sleep 60", until="go", then=lambda: lab.on_machine(kill) and None)
    assert ran.error.startswith("NotPossible: The connection to web was lost while the script ran")
    assert kernel.run("%%on web\nhostname").stdout == "web\n"


def test_another_host_key_is_refused(kernel: Kernel, lab: Lab) -> None:
    known = lab.etc / "ssh" / "known_hosts"
    right = known.read_text()
    other = (lab.etc / "ssh" / "id_ed25519").read_text()
    assert other
    fresh = Kernel(lab)
    try:
        kind, key = right.split()[1:3]
        known.write_text(
            right.replace(key, key[:-6] + ("AAAAAA" if not key.endswith("AAAAAA") else "BBBBBB"))
        )
        assert kind == "ssh-ed25519"
        assert "web shows another host key than its own" in fresh.run("%%on web\ntrue").error
    finally:
        known.write_text(right)
        fresh.close()


def test_machine_without_sshd_is_told(kernel: Kernel, lab: Lab) -> None:
    fresh = Kernel(lab)
    config = lab.etc / "ssh" / "config"
    right = config.read_text()
    try:
        config.write_text(right.replace("Host *", "Host *\n    Port 1"))
        ran = fresh.run("%%on web\ntrue")
        assert ran.error.startswith("NotPossible: web does not answer by ssh (")
        assert "reset it in the launcher" in ran.error
    finally:
        config.write_text(right)
        fresh.close()
