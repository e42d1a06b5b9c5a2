"""Processes and a systemd unit of one's own, on the machine `box`."""

import time

import pytest

# --- stop-the-grinder ----------------------------------------------------------------------------


def state(machine, unit):
    return machine.run(f"systemctl is-active {unit}").stdout.strip()


def running(machine, name):
    return machine.run(f"pgrep -f '^/bin/bash /usr/local/bin/{name}'").stdout.split()


@pytest.mark.task("stop-the-grinder")
@pytest.mark.hint(
    "Killed processes come back when somebody starts them again: `systemctl status PID` says who."
)
def test_grinder_is_gone(machine):
    """No grinder runs, and none comes back"""
    pids = running(machine, "grinder")
    assert not pids, f"grinder runs, with process id {pids[0]}"
    assert state(machine, "grinder") != "activating", "grinder is about to be started again"
    time.sleep(1)
    assert not running(machine, "grinder"), "grinder was gone, and came back a second later"


@pytest.mark.task("stop-the-grinder")
@pytest.mark.hint("`stop` is about now, `disable` about the next boot.")
def test_grinder_stays_away_after_boot(machine):
    """The grinder is not started at the next boot either"""
    seen = machine.run("systemctl is-enabled grinder").stdout.strip()
    assert seen not in ("enabled", "enabled-runtime"), f"systemctl is-enabled grinder says: {seen}"


@pytest.mark.task("stop-the-grinder")
@pytest.mark.hint("`systemctl start ticker` mends it, if it was hit by accident.")
def test_ticker_still_runs(machine):
    """Its harmless neighbour, the ticker, still runs"""
    assert not running(machine, "grinder"), "the grinder still runs, so this does not count yet"
    seen = state(machine, "ticker")
    assert seen == "active", f"systemctl is-active ticker says: {seen}"


# --- own-unit ------------------------------------------------------------------------------------


def need_heartbeat(machine):
    seen = state(machine, "heartbeat")
    assert seen == "active", f"systemctl is-active heartbeat says: {seen}"
    return machine.check_output("systemctl show -P MainPID heartbeat")


@pytest.mark.task("own-unit", title="A unit of your own")
@pytest.mark.hint(
    "203/EXEC in `systemctl status` means that the program could not be run: look at its permissions."
)
def test_heartbeat_runs(machine):
    """heartbeat.service runs /opt/heartbeat/heartbeat"""
    pid = need_heartbeat(machine)
    command = machine.check_output(f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    assert "/opt/heartbeat/heartbeat" in command, f"the service runs, but it runs: {command.strip()}"


@pytest.mark.task("own-unit")
@pytest.mark.hint("`User=` in the section `[Service]`, then `daemon-reload` and `restart`.")
def test_heartbeat_runs_as_pulse(machine):
    """It runs as the user pulse, not as root"""
    pid = need_heartbeat(machine)
    who = machine.check_output(f"stat -c %U /proc/{pid}")
    assert who == "pulse", f"the heartbeat runs as {who}"


@pytest.mark.task("own-unit")
@pytest.mark.hint(
    "`WantedBy=` in the section `[Install]` says at what point of the boot; `enable` makes it so."
)
def test_heartbeat_is_enabled(machine):
    """It will be started at the next boot"""
    need_heartbeat(machine)
    seen = machine.run("systemctl is-enabled heartbeat").stdout.strip()
    assert seen == "enabled", f"systemctl is-enabled heartbeat says: {seen or 'nothing'}"


@pytest.mark.task("own-unit")
@pytest.mark.hint("`Restart=` decides what happens when the program ends in a way that nobody asked for.")
def test_heartbeat_comes_back(machine):
    """Killed, it is back within five seconds"""
    pid = need_heartbeat(machine)
    machine.run(f"kill -KILL {pid}")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        time.sleep(0.2)
        now = machine.run("systemctl show -P MainPID heartbeat").stdout.strip()
        if now not in ("0", pid) and state(machine, "heartbeat") == "active":
            return
    pytest.fail(f"after we killed process {pid}, systemctl is-active says: {state(machine, 'heartbeat')}")
