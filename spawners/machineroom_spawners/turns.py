"""Whose turn it is: so many at once, in the order in which they came; those who wait know their place."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Tell = Callable[[int, float | None], None]
"""Is told one's place, from 1, and the seconds until one's turn, as far as that can be said."""


class Turns:
    """Lets in `at_once` at a time. Belongs to one event loop."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._free = at_once
        self._queue: deque[tuple[asyncio.Future[None], Tell]] = deque()
        self._took: deque[float] = deque(maxlen=20)

    @asynccontextmanager
    async def turn(self, tell: Tell) -> AsyncIterator[None]:
        """Wait for one's turn, and have it for as long as the block takes.

        `tell` is called whenever one's place in the queue changes; who gets in at once is told nothing.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(tell)
        began = time.monotonic()
        try:
            yield
            self._took.append(time.monotonic() - began)
        finally:
            self._leave()

    async def _wait(self, tell: Tell) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((mine, tell))
        self._tell(len(self._queue))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                self._queue.remove((mine, tell))
                self._tell_all()
            else:  # let in at that very moment
                self._leave()
            raise

    def _leave(self) -> None:
        if self._queue:
            self._queue.popleft()[0].set_result(None)
            self._tell_all()
        else:
            self._free += 1

    def _tell_all(self) -> None:
        for place in range(1, len(self._queue) + 1):
            self._tell(place)

    def _tell(self, place: int) -> None:
        seconds = None
        if self._took:
            seconds = place * sum(self._took) / len(self._took) / self._at_once
        self._queue[place - 1][1](place, seconds)


def in_words(place: int, seconds: float | None) -> str:
    """One's place and the time left, as one may read it while waiting.

    >>> in_words(1, None)
    'you are next'
    >>> in_words(7, 22.0)
    'you are number 7 in the queue, about 25 seconds'
    >>> in_words(90, 200.0)
    'you are number 90 in the queue, about 4 minutes'
    """
    where = "you are next" if place == 1 else f"you are number {place} in the queue"
    if seconds is None:
        return where
    if seconds <= 55:
        return f"{where}, about {max(5, 5 * math.ceil(seconds / 5))} seconds"
    minutes = math.ceil(seconds / 60)
    return f"{where}, about {minutes} minute{'s' if minutes > 1 else ''}"
