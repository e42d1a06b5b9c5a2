"""Consoles on servers of a cloud: the serial port, as its compute service offers it by websocket."""

from contextlib import suppress

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from .base import MachineError

_OPEN_SECONDS = 15


class SerialConsole:
    """A machine's serial port. See `base.Console`; a serial line knows no size, so `resize` does nothing."""

    def __init__(self, url: str, machine: str) -> None:
        try:
            self._socket = connect(
                url,
                subprotocols=[Subprotocol("binary")],
                open_timeout=_OPEN_SECONDS,
                max_size=None,
                proxy=None,
            )
        except (OSError, WebSocketException) as error:
            raise MachineError(
                f"{machine}: its serial console at {url.partition('?')[0]} cannot be opened ({error}). "
                "Somebody else may have it open; if not, ask the cloud's operator about nova-serialproxy."
            ) from None
        self._ahead = b""
        self.write(b"\r")  # a shell that was there before shows itself

    def read(self, size: int = 65536) -> bytes:
        """Wait for output; b"" when the console is closed."""
        while not self._ahead:
            try:
                data = self._socket.recv()
            except (OSError, WebSocketException):
                return b""
            self._ahead = data if isinstance(data, bytes) else data.encode()
        said, self._ahead = self._ahead[:size], self._ahead[size:]
        return said

    def write(self, data: bytes) -> None:
        """Type `data`."""
        try:
            self._socket.send(data)
        except (OSError, WebSocketException):
            raise MachineError("The console is closed. Open it again.") from None

    def resize(self, rows: int, columns: int) -> None:
        """Nothing: a serial line has no size. Who needs one types `stty rows … columns …`."""

    def close(self) -> None:
        """Hang up. The machine does not notice: what runs on its serial port goes on."""
        with suppress(OSError, WebSocketException):
            self._socket.close()
