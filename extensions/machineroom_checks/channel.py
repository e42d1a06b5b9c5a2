"""Messages between the check runner and a run: JSON objects, each behind its length in four bytes."""

import json
import socket
import struct
import time
from typing import Any

LARGEST = 8 << 20
"""No message is longer, in bytes: neither side can be made to hold more."""


class Closed(Exception):
    """The other side is gone, or sent something that is no message."""


class Channel:
    """One end of a socket pair, for messages."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def send(self, message: dict[str, Any], timeout: float | None = 10.0) -> None:
        """Send `message`. Raises Closed, and TimeoutError when the other side does not read."""
        data = json.dumps(message).encode()
        self.socket.settimeout(timeout)
        try:
            self.socket.sendall(struct.pack("!I", len(data)) + data)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from None

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """The next message. Raises Closed, and TimeoutError when it is not whole within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        (length,) = struct.unpack("!I", self._read(4, deadline))
        if length > LARGEST:
            raise Closed(f"a message of {length} bytes")
        try:
            message = json.loads(self._read(length, deadline))
        except (ValueError, RecursionError):
            raise Closed("not a message") from None
        if not isinstance(message, dict):
            raise Closed("not a message")
        return message

    def _read(self, length: int, deadline: float | None) -> bytes:
        data = bytearray()
        while len(data) < length:
            if deadline is not None and deadline <= time.monotonic():
                raise TimeoutError
            self.socket.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
            try:
                part = self.socket.recv(min(length - len(data), 1 << 16))
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed("the other side is gone")
            data += part
        return bytes(data)
