"""Commands on machines by ssh: one kept connection per machine, on an event loop in a thread of its own."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, wait
from typing import Any

import asyncssh

from .workspace import NotPossible, folder, wake

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 1.5
HELD = 256 << 10
"""So many bytes wait to be shown before we stop reading from the machine."""
QUIET_SECONDS = 0.3
LINGER_SECONDS = 1.0
"""A command that has exited is over when its output, kept open by a child, is quiet for so long, or after
so long at the latest."""

Write = Callable[[bytes, bool], None]
"""Takes output as it comes: the bytes, and whether they are standard error."""


class Running(asyncssh.SSHClientSession[bytes]):
    """A command that runs on a machine. Its output is taken in the thread that calls `follow`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.rc: int | None = None
        self.signal_name = ""
        self._loop = loop
        self._output: queue.SimpleQueue[tuple[bytes, bool] | None] = queue.SimpleQueue()
        self._held = 0
        self._heard = 0.0
        self._over = False
        self._channel: Any = None

    def follow(self, write: Write, until: float | None = None) -> None:
        """Pass the output on until the command is over. Raises TimeoutError at the time `until`."""
        while not self._over:
            try:
                wait = None if until is None else max(0.0, until - time.monotonic())
                output = self._output.get(timeout=wait)
            except queue.Empty:
                raise TimeoutError from None
            if output is None:
                self._over = True
                # A child in the background may go on printing; it is read, so that it is not held up.
                self._loop.call_soon_threadsafe(self._taken, self._held)
            else:
                write(*output)
                self._loop.call_soon_threadsafe(self._taken, len(output[0]))

    def _taken(self, size: int) -> None:
        self._held -= size
        if self._held < HELD:
            self._channel.resume_reading()

    # What follows is called by asyncssh, in its thread.

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._heard = time.monotonic()
        if self._over:
            return
        self._held += len(data)
        self._output.put((data, datatype == asyncssh.EXTENDED_DATA_STDERR))
        if self._held >= HELD:
            self._channel.pause_reading()

    def exit_status_received(self, status: int) -> None:
        self._exited(status)

    def exit_signal_received(self, signal: str, *_: object) -> None:
        self.signal_name = signal
        self._exited(-1)

    def _exited(self, rc: int) -> None:
        self.rc = rc
        self._loop.call_later(QUIET_SECONDS, self._end_when_quiet, time.monotonic() + LINGER_SECONDS)

    def _end_when_quiet(self, latest: float) -> None:
        now = time.monotonic()
        if self._held or (now < latest and now - self._heard < QUIET_SECONDS):
            self._loop.call_later(QUIET_SECONDS, self._end_when_quiet, latest)
        else:
            self._output.put(None)

    def connection_lost(self, *_: object) -> None:
        self._output.put(None)


class Connections:
    """The connections of this kernel, by the machine's full name."""

    def __init__(self) -> None:
        self._kept: dict[str, asyncssh.SSHClientConnection] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="machineroom-ssh", daemon=True).start()

    def start(self, host: str, machine: str, command: str) -> Running:
        """Start `command` on `host`, which the user calls `machine`. Raises NotPossible in words.

        A machine that was put to sleep while idle takes the connection and says nothing: it is woken.
        """
        starting = asyncio.run_coroutine_threadsafe(self._start(host, command), self._loop)
        try:
            if not wait([starting], SILENT_SECONDS).done:
                wake(host)
            return starting.result()
        except KeyboardInterrupt:
            starting.cancel()
            raise
        except asyncssh.HostKeyNotVerifiable:
            raise NotPossible(
                f"{machine} shows another host key than its own, so nothing was sent to it. "
                "Somebody has replaced the key, or another machine answers: reset it in the launcher."
            ) from None
        except asyncssh.PermissionDenied:
            raise NotPossible(
                f"{machine} does not let you in any more: /root/.ssh/authorized_keys or sshd's settings "
                "on it have changed. Mend that on the machine's console, or reset it in the launcher."
            ) from None
        except (OSError, asyncssh.Error, CancelledError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer in time"
            raise NotPossible(
                f"{machine} does not answer by ssh ({reason}). If it is starting, wait a moment and try "
                "again; if its sshd or network is broken, use its console or reset it in the launcher."
            ) from None

    async def _start(self, host: str, command: str) -> Running:
        kept = self._kept.get(host)
        if kept and not kept.is_closed():
            try:
                return await asyncio.wait_for(self._session(kept, command), CONNECT_SECONDS / 2)
            except (OSError, asyncssh.Error, TimeoutError):
                kept.abort()  # the machine has been reset or stopped meanwhile; connect anew
        self._kept[host] = fresh = await asyncio.wait_for(self._connect(host), CONNECT_SECONDS)
        return await asyncio.wait_for(self._session(fresh, command), CONNECT_SECONDS)

    async def _connect(self, host: str) -> asyncssh.SSHClientConnection:
        ssh = folder() / "ssh"
        return await asyncssh.connect(
            host,
            config=[str(ssh / "config")],
            client_keys=[str(ssh / "id_ed25519")],
            known_hosts=str(ssh / "known_hosts"),
            agent_path=None,
        )

    async def _session(self, connection: asyncssh.SSHClientConnection, command: str) -> Running:
        running = Running(self._loop)
        channel, _ = await connection.create_session(lambda: running, command, encoding=None)
        channel.write_eof()
        return running
