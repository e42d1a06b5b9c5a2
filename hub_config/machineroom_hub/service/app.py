"""The app: everything below `/services/machineroom`."""

import asyncio
import contextlib
import errno
import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from machineroom_spawners.drivers.base import MachineError
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from ..room import Room
from ..workshops.keeper import Keeper, keep_timetable
from . import (
    PREFIX,
    board,
    bulk,
    checks,
    console,
    copies,
    deadlines,
    disk,
    exchange,
    executions,
    helping,
    home,
    idle,
    labs,
    lights,
    lines,
    machines,
    metrics,
    pruning,
    reconcile,
    regrade,
    shelf,
    sleeping,
    snapshots,
    submissions,
    visits,
    workshops,
)
from .audit import log
from .core import Service
from .limits import Limits
from .models import Submission, Verdict, now
from .sessions import IDLE_SECONDS

DESCRIPTION = """
Machines, checks and the exchange of one installation.

Show a JupyterHub token: `Authorization: token …`. What it may do stands in its scopes, for each course:
`custom:machineroom:learn:COURSE` (students), `assist` (teaching assistants) and `teach` (instructors).

Errors have the shape `{"detail": "what happened, to what, and what to do next"}`. Times are UTC.

Websockets are not in this list: workspaces' lines, visits to terminals, and the console, which is
`/services/machineroom/api/machines/{owner}/{course}/{lab}/{machine}/console?rows=24&cols=80`, with the
token in the header or as `&token=…`. Binary messages are the terminal's bytes, both ways;
the text message `{"resize": [rows, cols]}` tells its size.
"""

_FULL = r"disk is full|disk I/O error|no space left|unable to open database file"
"""What databases say when they cannot write; SQLite's journal and index files fail in words of their own."""


class Problem(BaseModel):
    """Every error."""

    detail: str


def create_app(room: Room, hub_api: str) -> FastAPI:
    """The service of `room`, which identifies its callers at `hub_api` (`http://…/hub/api`)."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = service = Service(room, hub_api)
        service.watch = idle.Watch(service)
        service.boards = board.Boards(service)
        service.lines, service.visits = lines.Lines(), visits.Visits(service)
        await service.write(visits.end_all)
        shelf.sweep(service)
        service.checks.forget(
            await service.read(lambda session: set(session.scalars(select(Verdict.checks).distinct())))
        )
        service.background(_sweep_copies(service))
        await service.work(service.executions.pool.sweep)
        keeper = Keeper(room, hub_api, service.driver)
        chores = [
            asyncio.create_task(_close_idle_sessions(service)),
            asyncio.create_task(reconcile.keep_true(service)),
            asyncio.create_task(idle.keep_watch(service)),
            asyncio.create_task(disk.watch(service)),
            asyncio.create_task(keep_timetable(keeper)),
        ]
        log.info("service started", extra={"data": {"room": room.id, "hub": hub_api}})
        try:
            yield
        finally:
            for chore in chores:
                chore.cancel()
            await keeper.close()
            await service.close()
            log.info("service stopped")

    app = FastAPI(
        title="Machineroom",
        version="1",
        summary="A notebook and a machine for every student.",
        description=DESCRIPTION,
        openapi_url=f"{PREFIX}/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem} for status in (401, 403, 404, 413, 422, 503)
    }
    api = APIRouter(prefix=f"{PREFIX}/api", responses=errors)
    api.include_router(home.api)
    api.include_router(workshops.api)
    for part in (
        exchange,
        submissions,
        deadlines,
        executions,
        checks,
        lights,
        regrade,
        pruning,
        labs,
        machines,
        snapshots,
        sleeping,
        board,
        bulk,
        helping,
        console,
        lines,
        visits,
    ):
        api.include_router(part.router)
    app.include_router(api)
    app.include_router(metrics.router, prefix=PREFIX, responses=errors)
    app.include_router(home.router, prefix=PREFIX)
    app.include_router(workshops.router, prefix=PREFIX)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(OSError, _no_room)
    app.add_exception_handler(DBAPIError, _no_room)
    app.add_exception_handler(Exception, _crashed)
    app.add_middleware(Limits)
    return app


async def _close_idle_sessions(service: Service) -> None:
    while True:
        await asyncio.sleep(IDLE_SECONDS / 2)
        await service.work(service.sessions.close_idle)
        await service.work(service.executions.pool.tidy)


async def _sweep_copies(service: Service) -> None:
    """Remove what a service that was killed has left behind; in the background, as the engine may be away."""
    before = now().replace(microsecond=0)
    ids = await service.read(lambda session: set(session.scalars(select(Submission.id))))
    try:
        await service.work(copies.sweep, service, ids, before)
    except MachineError as error:
        log.error("copies not swept", extra={"data": {"problem": str(error)}})


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == "Not Found":
        detail = f"There is nothing at {request.url.path}. The API is described at {PREFIX}/api/openapi.json."
    return JSONResponse({"detail": detail}, error.status_code, error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = [
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or problem['loc'][0]}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    ]
    return JSONResponse({"detail": f"The request does not fit: {'; '.join(said)}."}, 422)


async def _no_room(request: Request, error: Exception) -> JSONResponse:
    """A disk that is full is nobody's fault of programming; any other failure to read or write is."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not full and not (isinstance(error, DBAPIError) and re.search(_FULL, str(error.orig), re.IGNORECASE)):
        return await _crashed(request, error)
    log.error("the disk is full", extra={"data": {"path": request.url.path, "problem": str(error)}})
    return JSONResponse(
        {
            "detail": "The disk of this server is full, so nothing was stored. Keep your work, tell whoever "
            "runs this server (./machineroom doctor says where room is needed), and try again."
        },
        507,
    )


async def _crashed(request: Request, error: Exception) -> JSONResponse:
    log.error("request crashed", exc_info=error, extra={"data": {"path": request.url.path}})
    return JSONResponse(
        {"detail": "The service failed at this by a fault of its own. Try again; its log says more."}, 500
    )
