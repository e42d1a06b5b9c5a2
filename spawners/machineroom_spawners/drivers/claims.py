"""Who is at work on what, across the processes of this host, as the kernel tells it.

A claim is a lock on one byte of a file, the byte that the name's digest says. The kernel gives it up
with its holder, however that ends: there is no claim of a process that died, and none that outlives
the call in which it was made, in a process that lives on.
"""

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PLACE = Path("/run/machineroom-claims")
_FLOCK = "hhqqi4x"
"""The kernel's `struct flock`: type, whence, start, length, process."""


class Claimed(Exception):
    """Somebody else is at work on it."""


@contextmanager
def claim(name: str) -> Iterator[None]:
    """Be the only one, of all threads and processes, who is at work on `name`. Raises Claimed."""
    handle = _open()
    try:
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, name))
        except (BlockingIOError, PermissionError):
            raise Claimed(name) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def turn(name: str, wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only one who is at work on `name`, when it is one's turn; `wait` is called while it is not."""
    with ExitStack() as held:
        while True:
            with suppress(Claimed):
                held.enter_context(claim(name))
                break
            wait()
            time.sleep(0.2)
        yield


def is_claimed(name: str) -> bool:
    """Whether somebody is at work on `name`."""
    handle = _open()
    try:
        answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK, name))
    finally:
        os.close(handle)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _open() -> int:
    return os.open(PLACE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _range(kind: int, name: str) -> bytes:
    byte = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)
