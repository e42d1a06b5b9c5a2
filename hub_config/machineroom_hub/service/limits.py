"""What no request gets past: sizes, slow senders, and the headers that every answer carries."""

import asyncio
import re
import time
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import PREFIX, metrics
from .archives import MAX_BYTES
from .audit import log
from .models import now

MAX_JSON = 64 << 10
CHUNK_SECONDS = 20.0
BODY_SECONDS = 600.0
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
_ARCHIVE = re.compile(r"/(release|submissions|feedback|executions)\Z")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)


class Limits:
    """ASGI middleware: bounds every body in size and time, adds headers, counts and logs requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_BYTES if _ARCHIVE.search(scope["path"]) else MAX_JSON
        began, status = time.monotonic(), 500
        scope.setdefault("state", {})["arrived"] = now()
        headers = dict(scope["headers"])

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, _POLICY]
            await send(message)

        try:
            declared = headers.get(b"content-length", b"0")
            if not declared.isdigit() or int(declared) > limit:
                refusal = JSONResponse({"detail": _too_large(limit)}, 413, {"Connection": "close"})
                await refusal(scope, receive, send_marked)
                return
            await self._app(scope, _bounded(receive, limit), send_marked)
        finally:
            seconds = time.monotonic() - began
            _note(scope, status, seconds)


def _bounded(receive: Receive, limit: int) -> Receive:
    size = 0
    deadline = time.monotonic() + BODY_SECONDS
    ended = False

    async def receive_bounded() -> Message:
        nonlocal size, ended
        if ended:  # what comes now is only that the client hangs up, which may take as long as it likes
            return await receive()
        try:
            async with asyncio.timeout(min(CHUNK_SECONDS, deadline - time.monotonic())):
                message = await receive()
        except TimeoutError:
            ended = True
            raise HTTPException(
                408,
                "The request's body came too slowly. Nothing was stored; send it again.",
                {"Connection": "close"},
            ) from None
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if size > limit:
                raise HTTPException(413, _too_large(limit), {"Connection": "close"})
        return message

    return receive_bounded


def _too_large(limit: int) -> str:
    shown = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return f"The body is larger than {shown}, so nothing was stored. Leave large files out and send it again."


def _note(scope: Scope, status: int, seconds: float) -> None:
    """Into the metrics and the log; never the query, which can hold a token."""
    route: Any = scope.get("route")
    template = getattr(route, "path", "none").removeprefix(PREFIX)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.requests.labels(method, template, status).observe(seconds)
    if template != "/metrics":
        address = scope["client"][0] if scope.get("client") else ""
        data = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
            "address": address,
        }
        log.info("request", extra={"data": data})
