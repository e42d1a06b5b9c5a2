"""The raw streams that the engine gives: of an exec in a container, of a container itself."""

import select
import time
from contextlib import suppress
from typing import Any


class Stream:
    """The two-way byte stream that the engine makes of a request to `url`."""

    def __init__(self, api: Any, url: str, data: dict[str, Any] | None = None) -> None:
        # docker-py's own way gives the raw socket and drops what http.client has read ahead of it.
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        if data is None:  # a body that the engine does not expect would be the stream's first bytes
            self._response = api._post(url, headers=headers, stream=True)
        else:
            self._response = api._post_json(url, headers=headers, data=data, stream=True)
        api._raise_for_status(self._response)
        self._file = self._response.raw._fp.fp
        self._socket = self._file.raw._sock
        self._socket.setblocking(False)
        self._ahead: bytes = self._file.peek()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def recv(self, seconds: float | None = None) -> bytes | None:
        """What has come; b"" at the end, None when nothing came within `seconds`."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        if self._socket.fileno() < 0:
            return b""
        if not self._poll.poll(None if seconds is None else max(0, seconds) * 1000):
            return None
        try:
            return self._socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of `data`. Raises OSError when the other end is gone or takes longer."""
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        view = memoryview(data)
        end = time.monotonic() + seconds
        while view:
            if not writable.poll(max(0, end - time.monotonic()) * 1000):
                raise TimeoutError
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                continue

    def close(self) -> None:
        """Hang up; what waits in `recv` sees the end."""
        with suppress(OSError):  # the other end was first
            self._socket.shutdown(2)
        self._response.close()
        self._socket.close()


class ExecStream(Stream):
    """The two-way byte stream of an exec."""

    def __init__(self, api: Any, container: str, command: list[str], tty: bool) -> None:
        created = api.exec_create(container, command, stdin=True, tty=tty, user="0:0", workdir="/")
        self.exec_id: str = created["Id"]
        super().__init__(api, api._url("/exec/{0}/start", self.exec_id), {"Tty": tty, "Detach": False})
