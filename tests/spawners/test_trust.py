"""Whose word an answer is, told from the command alone: in doubt the machine's."""

import pytest
from machineroom_spawners.drivers.trust import trust

OURS = frozenset("cat curl dpkg-query find grep ls ps ss stat systemctl timeout xargs wc".split())  # noqa: SIM905


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/passwd",
        "stat -c '%a;$x' /srv/notes 2>/dev/null",
        "test -e /nowhere || grep -c root /etc/passwd",
        "[ -f /srv/x ] || { echo 'no such file'; exit 1; }",
        "if [ -e /x ]; then cat /x; else echo no >&2; fi",
        "find /srv/inbox -name '*.tmp' | wc -l",
        "! grep -q figlet /etc/x && ps -Aww -o pid,comm",
        "LC_ALL=C ls -1 -q -- /srv",
        "systemctl is-enabled nginx",
        "ss -tln > /dev/null; true",
        "grep -E '(a|b)' \"/tmp/some file\"",
    ],
)
def test_our_own_tools_speak_for_the_kernel_and_the_disk(command: str) -> None:
    assert trust(command, OURS) == "outside"


@pytest.mark.parametrize(
    "command",
    [
        "nginx -T",
        "cat /x | python3",
        "/usr/bin/stat /x",
        "stat /x; ./stat /x",
        "PATH=/root:$PATH stat /x",
        "LD_PRELOAD=/root/x.so stat /x",
        "echo $(nginx -v)",
        "echo `nginx -v`",
        "sh -c 'nginx -v'",
        "find / -name x -exec nginx {} +",
        "echo x | xargs nginx",
        "timeout 5 cat /x",
        "cat <<E\nx\nE",
        "true\nnginx",
        "(cat /x && nginx)",
        "for x in 1; do cat /x; done",
        "$TOOL /x",
        "cat 'x",
        "systemctl is-active nginx",
        "systemctl",
        "dpkg-query -W figlet",
        "curl -s localhost",
        "eval 'cat /x'",
        "cat /x & nginx",
        "2>/dev/null nginx",
        "alias cat=nginx; cat /x",
        "echo '>' ; nginx",
        "echo a;>x nginx",
        "cat /x &>y nginx",
        "cat /x >y& nginx",
        "f() { nginx; }; f",
    ],
)
def test_what_may_be_the_machines_is_the_machines(command: str) -> None:
    assert trust(command, OURS) == "machine"


def test_without_the_kit_its_tools_are_the_machines() -> None:
    assert trust("ps aux", OURS - {"ps"}) == "machine"
