"""What takes its time on a machine: one thing after the other, told step by step as lines of JSON."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from machineroom_spawners.drivers.base import Driver, MachineError, Progress
from machineroom_spawners.spec import MachineRef

from . import audit, metrics
from .core import Service

Line = dict[str, Any]
Work = Callable[[Driver, Progress], Any]
"""The driver's part. It blocks, and answers what is `done`."""
Say = Callable[[Line], None]
"""Told of each line but the last."""

LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "one JSON object per line: progress, at last `done` or `error`",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"percent": 40, "message": "Booting box"}\n{"done": {"state": "running"}}\n',
            }
        },
    }
}


def stream(service: Service, ref: MachineRef, action: str, work: Work) -> StreamingResponse:
    """Do `work` when it is this machine's turn. It goes on to its end when the caller hangs up."""
    return told(service, lambda say: act(service, ref, action, work, say))


def told(service: Service, doing: Callable[[Say], Coroutine[Any, Any, Line]]) -> StreamingResponse:
    """What `doing` says, and at last answers, as lines of JSON. It goes on when the caller hangs up."""
    return StreamingResponse(
        _lines(service, doing),
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(service: Service, doing: Callable[[Say], Coroutine[Any, Any, Line]]) -> AsyncIterator[str]:
    """It is a task of its own."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[Line | None] = asyncio.Queue()

    def say(line: Line | None) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    async def task() -> None:
        try:
            say(await doing(say))
        finally:
            say(None)

    service.background(task())
    while (line := await lines.get()) is not None:
        yield json.dumps(line, ensure_ascii=False) + "\n"


async def act(service: Service, ref: MachineRef, action: str, work: Work, say: Say) -> Line:
    """Do `work`, one action at a time for one machine, and answer the last line: `done` or `error`."""
    began, outcome = time.monotonic(), "failed"

    def progress(percent: int, message: str) -> None:
        say({"percent": percent, "message": message})

    try:
        driver = service.driver_of(ref)
        async with service.turns.of(f"machine {ref}", f"What was asked of {ref.machine} before"):
            done = await service.work(work, driver, progress)
        outcome = "done"
        return {"done": done}
    except (MachineError, HTTPException) as error:
        problem = str(error.detail) if isinstance(error, HTTPException) else str(error)
        data = {"action": action, "machine": str(ref), "problem": problem}
        audit.log.warning("machine action failed", extra={"data": data})
        return {"error": problem}
    except Exception:
        audit.log.exception("machine action crashed", extra={"data": {"action": action, "machine": str(ref)}})
        return {
            "error": f"{action} of {ref.machine} failed by our fault. Try again, or tell your instructor."
        }
    finally:
        metrics.actions.labels(action, outcome).observe(time.monotonic() - began)
