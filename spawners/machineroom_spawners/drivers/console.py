"""Consoles on machines that are containers, through the engine's exec."""

from contextlib import suppress
from typing import Any

from docker.errors import APIError
from requests.exceptions import RequestException

from .base import MachineError
from .stream import ExecStream
from .tools import BUSYBOX, ENVIRONMENT

_SHELL = r"""
echo $$
cd /root 2>&- || cd /
if /bin/bash -c : 2>&-; then exec /bin/bash -l; fi
echo "(bash is gone from this machine: this is the rescue shell)"
exec sh
"""

_GRACE = 5.0
"""Seconds that an exec has to begin, and a console to take input."""


class DockerConsole:
    """A raw terminal in a container. See `base.Console`. `machine` is how errors call it."""

    def __init__(self, api: Any, container: str, machine: str, rows: int, columns: int) -> None:
        self._api, self._container = api, container
        said = self._open()
        if not self._pid:
            # A student who deleted /dev/ptmx left no way to make a terminal; this is the way back.
            self._exec("sh", "-c", "[ -e /dev/ptmx ] || ln -s pts/ptmx /dev/ptmx", detach=False)
            said = self._open()
        if not self._pid:
            raise MachineError(
                f"No console can be opened on {machine}: {said.strip() or 'no answer'}. "
                "It may be out of processes or memory: end some of its processes, or reset it."
            )
        self.resize(rows, columns)

    def _open(self) -> str:
        """Start the shell; its first line is its process id, and what comes instead is given back."""
        terminal = (*ENVIRONMENT, "TERM=xterm-256color")
        command = [BUSYBOX, "env", "-i", *terminal, BUSYBOX, "sh", "-c", _SHELL]
        self._stream = ExecStream(self._api, self._container, command, tty=True)
        said = b""
        while b"\n" not in said:
            data = self._stream.recv(_GRACE)
            if not data:
                break
            said += data
        line, _, self._ahead = said.partition(b"\n")
        self._pid = line.strip().decode() if line.strip().isdigit() else ""
        if not self._pid:
            self._stream.close()
        return said.decode(errors="replace")

    def _exec(self, *command: str, detach: bool = True) -> None:
        made = self._api.exec_create(self._container, [BUSYBOX, *command], user="0:0", workdir="/")
        self._api.exec_start(made["Id"], detach=detach)

    def read(self, size: int = 65536) -> bytes:
        """Wait for output; b"" when the console is closed."""
        while not self._ahead:
            data = self._stream.recv()
            if data == b"":
                return b""
            self._ahead = data or b""
        said, self._ahead = self._ahead[:size], self._ahead[size:]
        return said

    def write(self, data: bytes) -> None:
        """Type `data`."""
        try:
            self._stream.send(data, _GRACE)
        except OSError:
            raise MachineError(
                "The console is closed, or the machine takes no more input. Open it again."
            ) from None

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size, in characters."""
        with suppress(APIError):  # the shell has just ended
            self._api.exec_resize(self._stream.exec_id, rows, columns)

    def close(self) -> None:
        """Hang up: the shell gets SIGHUP, as from any terminal that goes away."""
        self._stream.close()
        with suppress(APIError, RequestException):  # the machine is gone or full: so is the shell soon
            self._exec("kill", "-HUP", self._pid)
