"""One installation of Machineroom: where its state lies, its secret, its ports and its names."""

import hashlib
import json
import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from machineroom_spawners.keys import derive

DEFAULT_STATE = Path("/var/lib/machineroom")
SOURCE = Path(__file__).resolve().parents[2]
"""The clone that this code runs from."""


class Room:
    """An installation, known by its state directory. Two of them on one host share nothing.

    Environment `MACHINEROOM_STATE` names the state directory for child processes.
    """

    def __init__(self, state: Path | None = None) -> None:
        self.state = Path(state or os.environ.get("MACHINEROOM_STATE") or DEFAULT_STATE).resolve()

    @property
    def id(self) -> str:
        """Six hex digits that stand in the name of everything this installation makes."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:6]

    @cached_property
    def secret(self) -> bytes:
        """The secret from which all keys and tokens are derived; made on first use, mode 0600."""
        path = self.state / "secret"
        try:
            return bytes.fromhex(path.read_text())
        except FileNotFoundError:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o711)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_hex(32))
            return bytes.fromhex(path.read_text())

    def token(self, purpose: str) -> str:
        """A token for one of our own processes, such as `token("service")`: 64 hex digits."""
        return derive(self.secret, "token", purpose).hex()

    @property
    def settings(self) -> dict[str, Any]:
        """What `up` was last told: `{"port": 8000, "demo": true, "subdomains": ""}`."""
        try:
            return json.loads((self.state / "settings.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def save_settings(self, **changed: Any) -> None:
        """Remember what `up` was told, for the next `up` and for the hub's configuration."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o711)
        path = self.state / "settings.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps({**self.settings, **changed}, indent=2) + "\n")
        part.replace(path)

    @property
    def port(self) -> int:
        """The public port, on 127.0.0.1. The other ports follow it: see below."""
        return int(self.settings.get("port", 8000))

    @property
    def subdomains(self) -> str:
        """The address below whose host name every user has one, such as https://lab.example.org; or ""."""
        return str(self.settings.get("subdomains", ""))

    @property
    def url(self) -> str:
        """Where browsers find it."""
        return f"{self.subdomains or self.local_url}/"

    @property
    def host_cookies(self) -> bool:
        """Whether cookies get the prefix `__Host-`: what a page below a user's name cannot set for ours.

        Browsers take such cookies over TLS only, and from this computer itself.
        """
        address = urlsplit(self.subdomains)
        return address.scheme == "https" or str(address.hostname).endswith(".localhost")

    @property
    def local_url(self) -> str:
        """Where our own programs find the proxy; they send `host_header` with it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def host_header(self) -> dict[str, str]:
        """What tells the proxy whose pages are meant, where it goes by host names."""
        return {"Host": urlsplit(self.url).netloc}

    @property
    def hub_port(self) -> int:
        """Hub API, on the hub network's gateway address."""
        return self.port + 81

    @property
    def proxy_api_port(self) -> int:
        """The proxy's own API, on 127.0.0.1, with a token."""
        return self.port + 82

    @property
    def service_port(self) -> int:
        """The Machineroom service, on the hub network's gateway address."""
        return self.port + 83

    @property
    def hub_network(self) -> str:
        """The Docker network on which workspaces meet hub and service."""
        return f"mr-{self.id}-hub"

    @property
    def clouds(self) -> Path:
        """How the cloud is reached whose servers are machines: a clouds.yaml, where there is one."""
        return self.state / "cloud" / "clouds.yaml"

    @property
    def courses(self) -> Path:
        """The live course folders; a course's gradebook lies in it too."""
        return self.state / "courses"

    @property
    def logs(self) -> Path:
        """The logs of our processes."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Sockets and process ids; emptied by a reboot without harm."""
        return self.state / "run"
