"""Logs, and a service to mend, on the machine `box`."""

from collections import Counter

import pytest

# --- log-detective -------------------------------------------------------------------------------


def requests(machine):
    """(client, path, status) of every request in the shop's log."""
    lines = machine.file("/var/log/shop/access.log").content_string.splitlines()
    assert len(lines) == 3000, f"the log itself has {len(lines)} lines now: reset the machine"
    words = [line.split() for line in lines]
    return [(word[0], word[6], word[8]) for word in words]


def answer(machine, name):
    file = machine.file(f"/root/answers/{name}")
    assert file.is_file, f"there is no file /root/answers/{name}"
    return file.content_string.strip()


@pytest.mark.task("log-detective", title="Log detective")
@pytest.mark.hint("The status is the ninth word: `awk '$9 == 500'`. `grep 500` finds other things too.")
def test_errors_are_counted(machine):
    """errors.txt holds the number of requests that were answered with status 500"""
    said = answer(machine, "errors.txt")
    right = sum(status == "500" for _, _, status in requests(machine))
    assert said == str(right), f"errors.txt says {said[:40]!r}, which is not their number"


@pytest.mark.task("log-detective")
@pytest.mark.hint("The client is the first word of a line.")
def test_busiest_client(machine):
    """client.txt holds the address that sent the most requests"""
    said = answer(machine, "client.txt")
    clients = Counter(client for client, _, _ in requests(machine))
    assert said in clients, f"client.txt says {said[:40]!r}, which is no client in the log"
    assert clients[said] == max(clients.values()), f"client.txt says {said}; another one sent more"


@pytest.mark.task("log-detective")
@pytest.mark.points(2)
@pytest.mark.hint("Keep the lines with status 404 first, then count what they ask for.")
def test_most_missed_path(machine):
    """missing.txt holds the path that was most often answered with 404"""
    said = answer(machine, "missing.txt")
    missed = Counter(path for _, path, status in requests(machine) if status == "404")
    assert said in missed, f"missing.txt says {said[:40]!r}, which was never answered so"
    assert missed[said] == max(missed.values()), (
        f"missing.txt says {said}; another path was missed more often"
    )


# --- mend-the-greeter ----------------------------------------------------------------------------


def need_greeter(machine):
    seen = machine.run("systemctl is-active greeter").stdout.strip()
    assert seen == "active", f"systemctl is-active greeter says: {seen}"
    return machine.check_output("systemctl show -P MainPID greeter")


@pytest.mark.task("mend-the-greeter", title="Mend the greeter")
@pytest.mark.points(2)
@pytest.mark.hint("`journalctl -u greeter -e` says why it ended. There are two faults, one behind the other.")
def test_greeter_greets(machine):
    """The service greeter runs and writes its greeting"""
    need_greeter(machine)
    greeting = machine.file("/run/greeter/greeting")
    assert greeting.exists, "the service runs, but there is no /run/greeter/greeting"
    assert greeting.content_string.strip(), "/run/greeter/greeting is empty"


@pytest.mark.task("mend-the-greeter")
@pytest.mark.hint("Who may read a file is not only a matter of its mode, but of its owner and its group.")
def test_password_stays_secret(machine):
    """/etc/greeter.conf, which holds a password, is still closed to everybody else"""
    need_greeter(machine)
    seen = machine.file("/etc/greeter.conf")
    assert seen.exists, "there is no /etc/greeter.conf any more"
    assert seen.mode & 0o007 == 0, (
        f"the mode of /etc/greeter.conf is {oct(seen.mode)[2:]}: anybody may read it"
    )


@pytest.mark.task("mend-the-greeter")
@pytest.mark.hint("Making it root would have been the easy way, and the wrong one.")
def test_greeter_is_not_root(machine):
    """The service still runs as the user greeter"""
    pid = need_greeter(machine)
    who = machine.check_output(f"stat -c %U /proc/{pid}")
    assert who == "greeter", f"the service runs as {who}"
