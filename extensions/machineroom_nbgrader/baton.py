"""Submissions are graded in threads, one of which runs at a time: whoever holds the baton."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

baton = threading.Lock()


@contextmanager
def others() -> Iterator[None]:
    """Let the others work while this submission waits."""
    baton.release()
    try:
        yield
    finally:
        baton.acquire()
