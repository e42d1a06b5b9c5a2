"""What the service's websockets have in common."""

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

SEND_SECONDS = 10.0
"""Who takes longer to take a message is gone."""


async def send(websocket: WebSocket, message: dict[str, Any]) -> bool:
    """Send a message as JSON; whether it was taken."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await websocket.send_text(json.dumps(message))
    except (TimeoutError, RuntimeError, WebSocketDisconnect, OSError):
        return False
    return True


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close it with a reason, if it is open."""
    if websocket.client_state == websocket.application_state == WebSocketState.CONNECTED:
        with contextlib.suppress(RuntimeError):
            await websocket.close(code, reason.encode()[:120].decode(errors="ignore"))


async def first_of(*work: Coroutine[Any, Any, Any]) -> None:
    """Do all of it until one part ends; then end the others."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
