"""All servers of a room by one listing, told to everybody who asks: however many wait, Nova is asked once."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

Server = Mapping[str, Any]

INTERVAL = 1.0
"""Seconds between two listings, and how old one may be that is told."""


class Watch:
    """`fetch` is the listing. Times are those of the monotonic clock."""

    def __init__(self, fetch: Callable[[], Sequence[Server]], interval: float = INTERVAL) -> None:
        self._fetch, self._interval = fetch, interval
        self._lock = Lock()
        self._began = self._changed = float("-inf")
        self._found: Sequence[Server] = ()

    def changed(self) -> None:
        """Something was just done, of which no older listing knows."""
        self._changed = time.monotonic()

    def servers(self, after: float = float("-inf")) -> Sequence[Server]:
        """The servers as they are now, or at most an interval ago; in any case as they were after `after`."""
        wanted = max(after, self._changed, time.monotonic() - self._interval)
        with self._lock:
            if self._began < wanted:
                time.sleep(max(0.0, self._began + self._interval - time.monotonic()))
                began = time.monotonic()
                self._found = self._fetch()
                self._began = began
            return self._found
