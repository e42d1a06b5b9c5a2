"""The five stories, in a real browser, in the order in which they happen to a class."""

import re
import subprocess
import sys
import time
from collections.abc import Callable

import docker
import pytest
from installation import Installation
from playwright.sync_api import FrameLocator, Locator, Page, expect

from .conftest import TerminalLog, log_in

People = Callable[[str], Page]
Shot = Callable[[Page, str], None]

NOTEBOOK = "linux-intro/first-steps/first-steps.ipynb"


@pytest.fixture(scope="module")
def terminal(people: People) -> TerminalLog:
    """Everything that ada's terminals print, from the first one on."""
    return TerminalLog(people("ada"))


def card(page: Page, label: str) -> Locator:
    """A card of the launcher, which is opened if it is not there."""
    if not page.locator(".jp-Launcher-body:visible").count():
        page.keyboard.press("Control+Shift+L")
    return page.locator(".jp-LauncherCard:visible").filter(has=page.get_by_text(label, exact=True)).first


def machine(installation: Installation, engine: docker.DockerClient, name: str = "box"):  # type: ignore[no-untyped-def]
    """The container of ada's machine."""
    filters = {"label": [f"machineroom.room={installation.room.id}", f"machineroom.machine={name}"]}
    found = engine.containers.list(filters=filters)
    return next(c for c in found if c.labels["machineroom.owner"] == "ada")


def test_1_a_root_shell_on_a_machine_of_ones_own(people: People, terminal: TerminalLog, shot: Shot) -> None:
    page = people("ada")
    shot(page, "launcher")
    card(page, "Terminal on box").click()
    terminal.wait_for(r"root@box")
    assert "running" in terminal.run("hostname; systemctl is-system-running", r"box\r?\n(.|\n)*running")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    terminal.wait_for("running")
    terminal.run("echo $((6*7)) żółw 日本 $(tput colors)", "42 żółw 日本 256")
    terminal.text = ""
    page.keyboard.type("ls --color=always -d /etc\n")
    terminal.wait_for("/etc")
    rows = terminal.run("stty size", r"\n\d+ \d+")
    page.set_viewport_size({"width": 1100, "height": 700})
    smaller = terminal.run("stty size", r"\n\d+ \d+")
    assert _size(smaller) < _size(rows)
    page.set_viewport_size({"width": 1400, "height": 900})
    page.evaluate("navigator.clipboard.writeText('echo pasted $((40+2))')")
    terminal.text = ""
    page.keyboard.press("Control+v")
    page.keyboard.press("Enter")
    terminal.wait_for("pasted 42")
    terminal.run("apt-get update -qq && apt-get install -y -qq hello >/dev/null 2>&1; hello", "Hello, world!", 120)
    shot(page, "terminal")


def test_1_the_shell_outlives_reloads_and_restarts(
    people: People, terminal: TerminalLog, installation: Installation
) -> None:
    page = people("ada")
    terminal.run("MARK=still-$((1000+1)); sleep 5000 &", r"\[1\] \d+")
    page.reload()
    terminal.wait_for("Hello, world!")  # the scrollback
    _focus_terminal(page)
    terminal.run('echo "$MARK $(jobs)"', "still-1001.*Running.*sleep 5000")
    for name in ("hub", "service", "proxy"):
        _restart(installation, name)
    sockets = terminal.sockets
    page.wait_for_function("() => navigator.onLine")
    deadline = time.monotonic() + 60
    while terminal.sockets == sockets and time.monotonic() < deadline:
        page.wait_for_timeout(250)
    if terminal.sockets == sockets:
        page.reload()
    terminal.wait_for("still-1001", 60)
    _focus_terminal(page)
    terminal.run('echo "again $MARK $(jobs)"', "again still-1001.*Running.*sleep 5000")


def _size(printed: str) -> int:
    """The number of characters that fit, from what `stty size` printed."""
    rows, columns = map(int, re.findall(r"\n(\d+) (\d+)", printed)[-1])
    return rows * columns


def _focus_terminal(page: Page) -> None:
    page.locator(".jp-Terminal:visible").first.click()


def _restart(installation: Installation, name: str) -> None:
    control = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(installation.room.run / "supervisord.conf")]
    subprocess.run([*control, "restart", name], check=True, capture_output=True)
