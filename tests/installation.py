"""One real installation for the tests that need a whole one: `./machineroom up`, as the README has it."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local import free_room_port
from machineroom_hub.room import Room
from playwright.sync_api import Browser, sync_playwright

SOURCE = Path(__file__).resolve().parents[1]
REUSE = "MACHINEROOM_TEST_STATE"
"""Environment variable: the state of an installation that is up, used instead of a new one."""
REUSE_NAMES = "MACHINEROOM_TEST_NAMES_STATE"
"""The same, for one that is up with `--subdomains`."""


@dataclass
class Installation:
    """A running Machineroom: its room, its address, and the demo people's passwords."""

    room: Room
    url: str
    passwords: dict[str, str]

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `./machineroom …` on this installation."""
        command = [str(SOURCE / "machineroom"), *words, "--state", str(self.room.state)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


@contextlib.contextmanager
def new_installation(*options: str, subdomains: str = "") -> Iterator[Installation]:
    """Brought up by the README's own command, with further options of `up`; purged at the end.

    `subdomains` is a host name below which each user has one, such as `room.localhost`.
    """
    reuse = REUSE_NAMES if subdomains else REUSE
    if reuse in os.environ:
        room = Room(Path(os.environ[reuse]))
        here = Installation(room, room.url.rstrip("/"), {})
        if options:
            here.command("up", *options)
        yield _with_passwords(here)
        return
    state = Path(tempfile.mkdtemp(prefix="machineroom-e2e-"))
    state.chmod(0o711)
    port = free_room_port()
    url = f"http://{subdomains or '127.0.0.1'}:{port}"
    here = Installation(Room(state), url, {})
    names = ("--subdomains", url) if subdomains else ()
    try:
        print(here.command("up", "--port", str(port), *names, *options).stdout)
        yield _with_passwords(here)
    finally:
        print(here.command("down", "--purge", "--yes", check=False).stdout)


def _with_passwords(here: Installation) -> Installation:
    accounts = json.loads(here.command("accounts", "--json").stdout)
    here.passwords.update({a["name"]: a["password"] for a in accounts})
    return here


@contextlib.contextmanager
def new_browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=quiet)
        yield chromium
        chromium.close()
