"""Debian packages that a room's host needs; installed only when something is missing."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import HostError

NEEDED = {
    "mmdebstrap": ("/usr/bin/mmdebstrap",),
    "debian-archive-keyring": ("/usr/share/keyrings/debian-archive-keyring.gpg",),
    "busybox-static": ("/usr/bin/busybox", "/bin/busybox"),
    "iptables": ("/usr/sbin/iptables", "/sbin/iptables"),
}
"""What images, machines and the firewall are made with, and a file that tells that it is there."""


def missing() -> list[str]:
    """Packages of NEEDED that this host lacks."""
    return [name for name, files in NEEDED.items() if not any(Path(f).exists() for f in files)]


def install(names: list[str], say: Callable[[str], None]) -> None:
    """Install Debian packages by name. Raises HostError with apt's own words when it fails."""
    if not names:
        return
    if not shutil.which("apt-get"):
        raise HostError(
            f"this host lacks {', '.join(names)} and has no apt-get: Machineroom installs itself on "
            "Debian 12, Debian 13 and Ubuntu; elsewhere install these by hand and call this again"
        )
    say(f"Installing {', '.join(names)} from the distribution")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode and command[1] == "install":
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise HostError(f"{tail}\n{' '.join(names)} could not be installed; see apt-get's words above")
