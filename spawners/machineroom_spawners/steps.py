"""What the hub's page shows while a server starts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any


class Steps:
    """The steps of one start: one percentage, made from those of all parts."""

    def __init__(self) -> None:
        self._percents: dict[str, int] = {}
        self._events: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def begin(self, *parts: str) -> None:
        """From now on these parts are under way."""
        self._percents = dict.fromkeys(parts, 0)

    def say(self, part: str, percent: int, message: str) -> None:
        """A part has come so far. The whole never goes back, and the last few percent are the hub's."""
        self._percents[part] = max(percent, self._percents.get(part, 0))
        whole = sum(self._percents.values()) * 95 // (100 * len(self._percents))
        event = {"progress": whole, "message": message}
        if [event] == self._events[-1:]:
            return
        self._events.append(event)
        self._more.set()
        self._more = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        told = 0
        while True:
            while told < len(self._events):
                yield self._events[told]
                told += 1
            await self._more.wait()
