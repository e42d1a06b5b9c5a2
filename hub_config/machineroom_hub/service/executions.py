"""The API of executions: a submission's notebooks, run for a grade.

The grader's nbgrader sends the submission's files and the cells, and makes of the kernel's messages
what it makes of those of a kernel of its own.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse
from machineroom_spawners.course import Grading

from . import audit, metrics
from .actions import LINES, Line
from .auth import CallerNow
from .core import CourseId, Service, ServiceDep
from .executing import Execution, Order, unpack
from .shelf import ARCHIVE_BODY, Arriving

router = APIRouter(tags=["exchange"])

WAITING_SECONDS = 2.0
"""How often whoever waits is told so."""


@router.post(
    "/courses/{course}/executions",
    summary="Run a submission's notebooks for a grade",
    response_class=StreamingResponse,
    responses=LINES,
    openapi_extra=ARCHIVE_BODY,
)
async def execute(
    course: CourseId, request: Request, service: ServiceDep, caller: CallerNow
) -> StreamingResponse:
    """Body: a gzipped tar of `execution.json` and `files.tar.gz`. When the caller hangs up, it is ended.

    `done` is `{"notebooks": {NAME: {"language_info", "cells": [{"messages", "timed_out"}], "problem"}}}`:
    for each cell the kernel's messages, the reply last; `problem` is null or `{"kind": "died|late", "why"}`.
    """
    caller.require("assist", course)
    found = service.course(course)
    async with Arriving(service, request) as upload:
        files = upload.part.with_suffix(".files.part")
        try:
            order = await anyio.to_thread.run_sync(unpack, upload.part, files)
            await service.record(caller, "execute", course, f"{order.student} {order.assignment}")
        except BaseException:
            files.unlink(missing_ok=True)
            raise
    grading = next((a.autograde for a in found.assignments if a.name == order.assignment), Grading())
    return StreamingResponse(
        _lines(service, course, order, files, grading),
        media_type="application/x-ndjson",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(
    service: Service, course: str, order: Order, files: Path, grading: Grading
) -> AsyncIterator[str]:
    """The execution's progress as lines of JSON."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[Line | None] = asyncio.Queue()
    cancelled = threading.Event()

    def say(line: Line) -> None:
        loop.call_soon_threadsafe(lines.put_nowait, line)

    execution = Execution(f"{course}/{order.assignment}", order, files, grading, say, cancelled)
    service.background(_execute(service, execution, lines))
    try:
        while True:
            try:
                line = await asyncio.wait_for(lines.get(), WAITING_SECONDS)
            except TimeoutError:
                line = {"percent": 0, "message": "waiting"}
            if line is None:
                return
            yield json.dumps(line) + "\n"
    finally:
        cancelled.set()


async def _execute(service: Service, execution: Execution, lines: asyncio.Queue[Line | None]) -> None:
    """Wait for a place, run, and put the last line into `lines`."""
    began, outcome = time.monotonic(), "failed"
    executions = service.executions
    try:
        if not execution.cancelled.is_set():
            done = await anyio.to_thread.run_sync(executions.run, execution, limiter=executions.slots)
            outcome = "done"
            lines.put_nowait({"done": done})
    except HTTPException as error:
        audit.log.error("execution failed", extra={"data": {"problem": error.detail}})
        lines.put_nowait({"error": error.detail})
    except Exception:
        audit.log.exception("execution crashed")
        lines.put_nowait({"error": "The service failed at this by a fault of its own. Try again."})
    finally:
        lines.put_nowait(None)
        with contextlib.suppress(OSError):
            execution.files.unlink()
        metrics.executions.labels(outcome).observe(time.monotonic() - began)
