"""A student who is root forges: it gains nothing, hangs nothing, and is seen."""

from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

import pytest
from machineroom_checks.runner import CheckRunner
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Session
from workspaces import new_course, new_machine

Verdicts = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def session(room: Room) -> Iterator[Session]:
    """A shell on a whole machine, systemd and all, whose student has had an hour with it."""
    course = new_course(room, "forge", "machines:\n  web: {image: lab}\n")
    driver, spec, machine = new_machine(room, course, "mallory")
    session = driver.open_session(machine.ref)
    yield session
    session.close()
    driver.delete(spec.ref)


@pytest.fixture
def root(session: Session) -> Callable[[str], None]:
    """Does something on the machine as its student would: by bash and the machine's own tools."""

    def do(script: str) -> None:
        quoted = dedent(script).replace("'", "'\\''")
        done = session.run(f"PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/bash -c '{quoted}'", timeout=60)
        assert done.rc == 0, done

    return do


@pytest.fixture
def verdicts(session: Session, tmp_path: Any) -> Iterator[Verdicts]:
    """Runs checks on the machine: outcome, words, evidence, by the name of the check."""
    runner = CheckRunner(check_seconds=15)

    class Kept:
        run = staticmethod(session.run)

        def close(self) -> None:
            """The session is the module's."""

    def run(text: str) -> dict[str, dict[str, Any]]:
        (tmp_path / "test_it.py").write_text(dedent(text))
        (report,) = runner.run(tmp_path, None, {"web": Kept}, "web", addresses={})
        return {check["name"]: check for check in report["checks"]}

    yield run
    runner.close()


def not_passed(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What to read when a check should have passed."""
    return {n: (c["observed"], c["evidence"]) for n, c in found.items() if c["outcome"] != "passed"}


def trusts(check: dict[str, Any]) -> set[str]:
    return {item["trust"] for item in check["evidence"]}


FACTS = """
    def test_mode(machine): assert machine.file('/etc/shadow').mode == 0o640
    def test_content(machine): assert machine.file('/etc/hostname').content_string == 'web\\n'
    def test_user(machine):
        assert machine.user('root').shell == '/bin/bash'
        assert not machine.user('eve').exists and not machine.group('eve').exists
    def test_package(machine):
        assert machine.package('openssh-server').is_installed and not machine.package('nginx').is_installed
    def test_processes(machine):
        comms = {p.comm for p in machine.process.filter()}
        assert 'systemd' in comms and 'nginx' not in comms, comms
        assert not machine.process.filter(comm='nginx')
    def test_sockets(machine):
        assert machine.socket('tcp://0.0.0.0:22').is_listening and not machine.socket('tcp://81').is_listening
    def test_service(machine):
        assert machine.service('ssh').is_running and machine.service('ssh').is_enabled
        assert not machine.service('nginx').is_running and not machine.service('cron').is_masked
    def test_network(machine): assert 'lo' in machine.run('ip -br link').stdout
    def test_web(machine): assert machine.run('curl -s http://127.0.0.1:81/').rc != 0
    def test_programs(machine): assert machine.exists('ssh') and not machine.exists('nginx')
"""


def test_facts_are_so_before_anything_is_forged(verdicts: Verdicts) -> None:
    found = verdicts(FACTS)
    assert not not_passed(found)
    for name in ("test_mode", "test_content", "test_user", "test_processes", "test_sockets", "test_network"):
        assert trusts(found[name]) == {"outside"}, found[name]
    assert trusts(found["test_package"]) == trusts(found["test_web"]) == {"machine"}


def test_replaced_programs_libraries_and_paths_change_nothing(
    verdicts: Verdicts, root: Callable[[str], None]
) -> None:
    root(
        """
        cat >/root/forged <<'E'
        #!/bin/bash
        case ${0##*/}\\ $* in
            systemctl*) echo active; echo enabled ;;
            dpkg*) echo install ok installed 1.0 ;;
            stat*) echo 777 ;;
            ps*|pgrep*) echo '  PID COMMAND'; echo '    7 nginx' ;;
            ss*) echo 'LISTEN 0 511 0.0.0.0:81 0.0.0.0:*' ;;
            getent*|id*) echo 'eve:x:0:0::/root:/bin/eve' ;;
            curl*) echo Llama shop ;;
            *) echo forged ;;
        esac
        exit 0
        E
        chmod 755 /root/forged
        for t in systemctl dpkg dpkg-query stat ps pgrep ss ip getent id curl wget cat test grep find ls \\
            uname readlink realpath head wc which env timeout sha256sum md5sum hostname apk rpm; do
            cp --remove-destination /root/forged /usr/local/sbin/$t
            cp --remove-destination /root/forged /usr/bin/$t 2>/dev/null || :
        done
        echo 'PATH=/usr/local/sbin; alias ps=/root/forged; ps() { /root/forged; }' | tee /root/.profile \\
            /root/.bashrc /etc/profile /etc/profile.d/x.sh /etc/bash.bashrc /root/.shinit >/dev/null
        echo 'PATH=/usr/local/sbin' >/etc/environment
        echo 'url = "file:///etc/passwd"' >/root/.curlrc
        printf 'passwd: forged files\\ngroup: forged files\\nhosts: forged files dns\\n' >/etc/nsswitch.conf
        sed -i 's/^ID=.*/ID=alpine/; s/^NAME=.*/NAME=Alpine/' /etc/os-release
        printf '[provider_sect]\\nforged = forged\\n[forged]\\nmodule = /root/x.so\\nactivate = 1\\n' \\
            >/etc/ssl/openssl.cnf
        cp --remove-destination /root/forged /usr/bin/dash
        for l in proc2 systemd selinux crypto; do
            for f in /usr/lib/*-linux-gnu/lib$l.so.*; do rm -f $f; echo forged >$f; done
        done
        echo /root/forged.so >/etc/ld.so.preload
        """
    )
    found = verdicts(FACTS)
    assert not not_passed(found)
    said = [item["stdout"] + item["stderr"] for check in found.values() for item in check["evidence"]]
    assert not [text for text in said if "forged" in text or "preload" in text]
