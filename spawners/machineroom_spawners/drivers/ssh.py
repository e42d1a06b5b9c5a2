"""Sessions on machines that are reached by ssh alone: the host's own ssh client, and the machine's shell.

The machine's host key is pinned. Key and host key lie in memory, where ssh finds them as files: nothing
of them is on any disk, and nothing is left when the process ends.
"""

import os
import select
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from .session import Frames, LoopSession
from .tools import ENVIRONMENT

CONNECT_SECONDS = 10
_KILL_SECONDS = 5.0


class MemoryFile:
    """A file of mode 0600 that lies in memory only, for as long as this object lives."""

    def __init__(self, text: str) -> None:
        self._fd = os.memfd_create("machineroom", os.MFD_CLOEXEC)
        os.fchmod(self._fd, 0o600)
        os.write(self._fd, text.encode())
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    def __del__(self) -> None:
        os.close(self._fd)


class SshStream:
    """One ssh process that runs `command`, its two output streams in the frames of the engine."""

    def __init__(self, address: str, command: str, key: MemoryFile, host_key: str) -> None:
        self._known = MemoryFile(f"machine {host_key}\n")
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "HostKeyAlias": "machine",
            "HostKeyAlgorithms": "ssh-ed25519",
            "UserKnownHostsFile": self._known.path,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(CONNECT_SECONDS),
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        given = [f"-o{name}={value}" for name, value in options.items()]
        try:
            self._process = subprocess.Popen(
                ["ssh", "-F", "none", "-T", "-i", key.path, *given, f"root@{address}", command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise OSError("this host has no ssh client: apt-get install openssh-client") from None
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._in = self._process.stdin.fileno()
        self._streams = {self._process.stdout.fileno(): b"\1", self._process.stderr.fileno(): b"\2"}
        self._poll = select.poll()
        for descriptor in self._streams:
            self._poll.register(descriptor, select.POLLIN)
        os.set_blocking(self._in, False)

    def recv(self, seconds: float | None = None) -> bytes | None:
        """What has come; b"" at the end, None when nothing came within `seconds`."""
        while self._streams:
            ready = self._poll.poll(None if seconds is None else max(0, seconds) * 1000)
            if not ready:
                return None
            for descriptor, _ in ready:
                data = os.read(descriptor, 1 << 16)
                if data:
                    return self._streams[descriptor] + bytes(3) + len(data).to_bytes(4, "big") + data
                self._poll.unregister(descriptor)
                del self._streams[descriptor]
        return b""

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of `data`. Raises OSError when ssh has ended or the machine takes longer."""
        writable = select.poll()
        writable.register(self._in, select.POLLOUT)
        view, end = memoryview(data), time.monotonic() + seconds
        while view:
            if not writable.poll(max(0, end - time.monotonic()) * 1000):
                raise TimeoutError("the machine takes no more input")
            with suppress(BlockingIOError):
                view = view[os.write(self._in, view) :]

    def close(self) -> None:
        """Hang up. The loop on the machine sees the end of its input, and ends what it started."""
        self._process.terminate()
        try:
            self._process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):  # what was not sent any more
                pipe.close()  # type: ignore[union-attr]
        self._streams = {}


class SshSession(LoopSession):
    """A session over ssh; `find` gives the address of the machine, if it runs."""

    patience: ClassVar[float] = 2 * CONNECT_SECONDS

    def __init__(self, find: Callable[[], str], machine: str, key: MemoryFile, host_key: str) -> None:
        super().__init__(find, machine)
        self._key_file, self._host_key = key, host_key

    def _connect(self, loop: str) -> Frames:
        command = shlex.join(["env", "-i", *ENVIRONMENT, "sh", "-c", loop])
        return SshStream(self._find(), f"exec {command}", self._key_file, self._host_key)


def is_ssh(address: str, seconds: float) -> bool:
    """Whether an ssh server says so at the address, within so many seconds."""
    try:
        with socket.create_connection((address, 22), timeout=seconds) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
