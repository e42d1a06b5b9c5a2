"""Slows down guessing of passwords without locking anybody out.

Each attempt counts against some keys: the pair of name and address, the address, the name. What
is counted leaks away with time, and past a free allowance each further attempt has to wait twice
as long as the one before. So a guesser is held to a steady, harmless rate, while nobody is ever
shut out for longer than a leak or two, and never by somebody else who guesses from elsewhere.

An attempt is counted before its password is looked at, so that attempts made at the same time
count too; one that turns out right is taken back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """How many wrong attempts are free, and in how many seconds one of them is forgotten."""

    free: int
    leak: float


class Throttle:
    """Counts attempts by key, in memory. Not safe for threads; meant for the hub's event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = 50_000) -> None:
        self._clock, self._most = clock, most
        self._counted: dict[str, tuple[float, float]] = {}

    def wait(self, keys: dict[str, Allowance]) -> float:
        """Seconds until the next attempt may be made; 0 means now."""
        return max((self._wait(key, allowance) for key, allowance in keys.items()), default=0.0)

    def count(self, keys: dict[str, Allowance]) -> None:
        """An attempt is being made."""
        for key, allowance in keys.items():
            count = self._now(key, allowance) + 1
            self._counted.pop(key, None)  # the newest stand last
            self._counted[key] = (count, self._clock())
        while len(self._counted) > self._most:
            del self._counted[next(iter(self._counted))]

    def take_back(self, keys: dict[str, Allowance]) -> None:
        """The attempt just counted was right."""
        for key in keys:
            count, last = self._counted.get(key, (0.0, 0.0))
            if count <= 1:
                self._counted.pop(key, None)
            else:
                self._counted[key] = (count - 1, last)

    def _now(self, key: str, allowance: Allowance) -> float:
        count, last = self._counted.get(key, (0.0, 0.0))
        return max(0.0, count - (self._clock() - last) / allowance.leak)

    def _wait(self, key: str, allowance: Allowance) -> float:
        count, last = self._counted.get(key, (0.0, 0.0))
        over = count - allowance.free
        if over < 0:
            return 0.0
        delay = min(2.0 ** min(over, 30), 2 * allowance.leak)
        return max(0.0, last + delay - self._clock())
