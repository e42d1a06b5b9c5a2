"""Debian 13, bootstrapped on the host: from the host's own mirrors, through the host's own proxy."""

import hashlib
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RELEASE = "trixie"
SOURCES = "/etc/apt/sources.list.d/debian.sources"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

INCLUDE = "ca-certificates"
# Manual pages stay, since a Linux course wants them; translations and most documents do not.
# Neither a machine nor an image needs dpkg to wait for the disk.
DPKG = (
    "force-unsafe-io",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/??/*",
    "path-exclude=/usr/share/man/??_*/*",
    "path-exclude=/usr/share/doc/*/*",
    "path-include=/usr/share/doc/*/copyright",
)


@dataclass(frozen=True)
class Archive:
    """Where Debian packages come from. The image's own apt is told the same.

    Without a `mirror`, on a host that has none of Debian's, mmdebstrap takes and writes down its own default.
    """

    mirror: str | None = None
    security: str | None = None
    options: tuple[str, ...] = ()
    """Lines of apt.conf: the host's proxies."""

    @property
    def suites(self) -> tuple[tuple[str, str], ...]:
        """Mirror and suite of each part of the release."""
        wanted = (
            (self.mirror, RELEASE),
            (self.mirror, f"{RELEASE}-updates"),
            (self.security, f"{RELEASE}-security"),
        )
        return tuple((mirror, suite) for mirror, suite in wanted if self.mirror and mirror)

    @property
    def sources(self) -> str:
        """What the image's own apt reads, in deb822 form."""
        return "\n".join(
            f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
            for mirror, suite in self.suites
        )

    @property
    def hash(self) -> str:
        """Changes whenever the bootstrap would make something else."""
        return hashlib.sha256("\0".join(self.bootstrap(Path("-"))).encode()).hexdigest()

    def bootstrap(self, target: Path) -> list[str]:
        """The command that writes a minimal system as a tar archive to `target`."""
        return [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={INCLUDE}",
            f"--keyring={KEYRING}",
            *(f"--dpkgopt={option}" for option in DPKG),
            *(f"--aptopt={option}" for option in self.options),
            RELEASE,
            str(target),
            *(self._write_sources() if self.mirror else []),
            *(f"deb {mirror} {suite} main" for mirror, suite in self.suites),
        ]

    def _write_sources(self) -> list[str]:
        return [
            f"--customize-hook=printf %s {shlex.quote(self.sources)} > $1{SOURCES}",
            "--customize-hook=rm -f $1/etc/apt/sources.list",
        ]


@cache
def host_archive() -> Archive:
    """The mirrors and proxies that the host's own apt is configured with."""
    return Archive(*_mirrors(_ask("apt-get", "indextargets", "--format", _TARGET)), options=_proxies())


_TARGET = "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI) $(ORIGIN)"


def _mirrors(targets: str, codename: str | None = None) -> tuple[str | None, str | None]:
    """Main and security mirror from apt's own list of what it fetches; None where it has none.

    >>> _mirrors("Packages bookworm main http://mirror.example/debian/ Debian", "bookworm")
    ('http://mirror.example/debian', None)
    """
    if codename is None:
        system = platform.freedesktop_os_release()
        codename = system.get("VERSION_CODENAME", "") if system["ID"] == "debian" else ""
    found: dict[str, str | None] = {codename: None, f"{codename}-security": None}
    rows = [row.split() for row in targets.splitlines() if codename]
    # Before the first `apt-get update` apt does not know origins yet: then the first source counts.
    for row in sorted(rows, key=lambda row: row[4:] == ["Debian"]):
        kind, suite, component, uri = row[:4]
        if kind == "Packages" and component == "main" and suite in found and uri.startswith("http"):
            found[suite] = uri.rstrip("/")
    return found[codename], found[f"{codename}-security"]


def _proxies() -> tuple[str, ...]:
    proxy = re.compile(r'Acquire::https?::Proxy(::\S+)? ".+";')
    return tuple(line for line in _ask("apt-config", "dump").splitlines() if proxy.fullmatch(line))


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


PHASES: Sequence[tuple[str, int]] = (
    ("running apt-get update", 5),
    ("downloading packages", 20),
    ("extracting archives", 40),
    ("installing essential", 55),
    ("installing remaining", 75),
    ("cleaning package lists", 90),
    ("creating tarball", 95),
)
"""What mmdebstrap says, and how far it is then, in percent."""
