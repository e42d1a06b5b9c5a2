"""A student who is root forges: it gains nothing, hangs nothing, and is seen."""

import re
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


@pytest.mark.parametrize(
    ("trap", "said"),
    [
        ("mkfifo /srv/trap", "not a plain file"),
        ("ln -s /dev/zero /srv/trap", "not a plain file"),
        ("ln -s /dev/tty /srv/trap", "not a plain file"),
        ("truncate -s 100G /srv/trap", "larger than 1024 KB"),
        ("ln -s /checks/files/test_it.py /srv/trap", "No such file"),
        ("ln -s /var/lib/machineroom/secret /srv/trap", "No such file"),
        ("ln -s trap /srv/trap", "Too many levels|Symbolic link loop|ELOOP"),
    ],
)
def test_what_is_no_plain_file_is_not_waited_for(
    verdicts: Verdicts, root: Callable[[str], None], trap: str, said: str
) -> None:
    root(f"rm -rf /srv/trap; {trap}")
    found = verdicts(
        """
        def test_content(machine): assert machine.file('/srv/trap').content_string
        def test_contains(machine): assert machine.file('/srv/trap').contains('x')
        def test_the_next_is_right(machine): assert machine.file('/etc/hostname').content_string == 'web\\n'
        """
    )
    assert [check["outcome"] for check in found.values()] == ["failed", "failed", "passed"], found
    assert re.search(said, found["test_content"]["observed"]), found["test_content"]
    root("rm -f /srv/trap")


def test_a_checksum_of_a_hundred_gigabytes_is_refused(
    verdicts: Verdicts, root: Callable[[str], None]
) -> None:
    root("truncate -s 100G /srv/trap")
    (check,) = verdicts("def test_sum(machine): assert machine.file('/srv/trap').sha256sum").values()
    assert check["outcome"] == "failed"
    assert "larger than" in check["observed"]
    root("rm -f /srv/trap")


def test_a_folder_of_very_many_entries_is_cut(verdicts: Verdicts, root: Callable[[str], None]) -> None:
    many = "import os; os.mkdir('/srv/many'); [os.mknod(f'/srv/many/{n:0120}') for n in range(10_000)]"
    root(f'/usr/bin/python3 -c "{many}"')
    found = verdicts(
        """
        def test_list(machine): assert len(machine.file('/srv/many').listdir()) == 10_000
        def test_find(machine): assert machine.run("find /srv/many -name 'x*' | wc -l").stdout.strip() == '0'
        def test_the_next_is_right(machine): assert machine.file('/srv/many').is_directory
        """
    )
    assert [check["outcome"] for check in found.values()] == ["failed", "passed", "passed"], found
    root("rm -r /srv/many")


def test_nothing_is_mounted_over_what_we_read(
    session: Session, verdicts: Verdicts, root: Callable[[str], None]
) -> None:
    root("mkdir -p /srv/fake/1; echo systemd >/srv/fake/1/comm; cp -r /etc /srv/fake/etc")
    for attack in (
        "mount --bind /srv/fake /proc",
        "mount --bind /srv/fake/etc /etc",
        "mount --bind /srv/fake /.machineroom",
        "unshare -m true",
        "nsenter -t 1 -m -p mount -t tmpfs none /proc",
        "ln -sfn /srv/fake /proc/1",
        "mv /.machineroom /srv/old",
    ):
        assert session.run(f"PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/bin/bash -c '{attack}'").rc != 0, attack
    assert not not_passed(verdicts(FACTS))
    root("rm -rf /srv/fake")


def test_a_service_runs_only_while_the_kernel_knows_a_process_of_it(
    session: Session, verdicts: Verdicts, root: Callable[[str], None]
) -> None:
    check = "def test_it(machine): assert machine.service('shop').is_running\n"
    root("systemd-run --unit=shop /usr/bin/sleep 1000")
    assert not not_passed(verdicts(check))
    root(
        """
        top=/sys/fs/cgroup/systemd; [ -d $top ] || top=/sys/fs/cgroup
        mkdir $top/aside.slice; systemctl show -P MainPID shop >$top/aside.slice/cgroup.procs
        """
    )
    assert session.run("/usr/bin/systemctl is-active shop").stdout == b"active\n"
    assert verdicts(check)["test_it"]["outcome"] == "failed"
    root("systemctl stop shop")


def test_a_package_that_only_the_data_base_knows_is_not_installed(
    verdicts: Verdicts, root: Callable[[str], None]
) -> None:
    root(
        """
        printf 'Package: nginx\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n' >/root/new
        printf 'Maintainer: me <m@e>\\nDescription: no\\n\\n' | cat /root/new - >>/var/lib/dpkg/status
        """
    )
    check = "def test_it(machine): assert machine.package('nginx').is_installed\n"
    assert verdicts(check)["test_it"]["outcome"] == "failed"
    root("printf '/.\\n/usr\\n/usr/sbin\\n/usr/sbin/nginx\\n' >/var/lib/dpkg/info/nginx.list")
    assert verdicts(check)["test_it"]["outcome"] == "failed"
    (found,) = verdicts(check.replace("assert", "assert not")).values()
    assert trusts(found) == {"machine"}
    root("rm /var/lib/dpkg/info/nginx.list; sed -i '/^Package: nginx$/,$d' /var/lib/dpkg/status")


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
