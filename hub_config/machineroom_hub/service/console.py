"""A raw terminal on a machine over a websocket, for when its ssh is broken."""

import asyncio
import contextlib
import json
import threading
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, WebSocket, WebSocketDisconnect
from machineroom_spawners.drivers.base import Console, MachineError
from machineroom_spawners.spec import MachineRef
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .auth import Caller
from .core import CourseId, Service
from .machines import authorised
from .sockets import close, first_of

router = APIRouter()

CONSOLES = 100
"""Open at once; each has a thread that waits for output."""
_slots = asyncio.Semaphore(CONSOLES)

Rows = Annotated[int, Query(ge=1, le=1000)]
Columns = Annotated[int, Query(ge=1, le=2000)]


class Resize(BaseModel):
    """What a text message may say: `{"resize": [rows, columns]}`."""

    model_config = ConfigDict(extra="forbid")
    resize: tuple[Annotated[int, Field(ge=1, le=1000)], Annotated[int, Field(ge=1, le=2000)]]


@router.websocket("/machines/{owner}/{course}/{lab}/{machine}/console")
async def console(
    websocket: WebSocket,
    owner: Annotated[str, Path(max_length=255)],
    course: CourseId,
    lab: Annotated[str, Path(max_length=60)],
    machine: Annotated[str, Path(max_length=31)],
    rows: Rows = 24,
    cols: Columns = 80,
) -> None:
    """Binary messages both ways are what is typed and shown."""
    service: Service = websocket.app.state.service
    ref = MachineRef(owner, course, lab, machine)
    caller = await service.authority.identify(websocket, fresh=True)
    if caller is None:
        raise HTTPException(401, "The console needs a JupyterHub token: in the header, or as ?token=….")
    await authorised(service, caller, ref)
    if _slots.locked():
        raise HTTPException(503, f"{CONSOLES} consoles are open, which is all there are. Try again later.")
    async with _slots:
        await service.record(caller, "console", course, str(ref))
        await websocket.accept()
        try:
            opened = await service.work(service.driver_of(ref).console, ref, rows, cols)
        except MachineError as error:
            await close(websocket, 1011, str(error))
            return
        try:
            await _bridge(service, websocket, opened, ref)
        finally:
            await service.work(opened.close)
            await close(websocket, 1000, "the console is closed")


async def _bridge(service: Service, websocket: WebSocket, opened: Console, ref: MachineRef) -> None:
    """Carry bytes until either side ends, or the caller's rights do."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def show() -> None:
        # a thread of its own, since it waits for as long as nothing is shown; it sends one piece
        # after the other, so a browser that does not read holds up the machine and not our memory
        with contextlib.suppress(MachineError, OSError, RuntimeError, WebSocketDisconnect):
            while data := opened.read():
                asyncio.run_coroutine_threadsafe(websocket.send_bytes(data), loop).result()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    async def type_() -> None:
        with contextlib.suppress(WebSocketDisconnect, MachineError, OSError):
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("bytes"):
                    await service.work(opened.write, message["bytes"])
                elif message.get("text"):
                    try:
                        rows, columns = Resize.model_validate(json.loads(message["text"])).resize
                    except (ValueError, ValidationError):
                        continue
                    await service.work(opened.resize, rows, columns)

    async def still(caller: Caller) -> None:
        await authorised(service, caller, ref)

    threading.Thread(target=show, name=f"console {ref}", daemon=True).start()
    await first_of(type_(), service.authority.refused(websocket, still), ended.wait())
