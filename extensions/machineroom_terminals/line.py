"""The workspace's line to the service: a websocket on which it is told things at once, and tells things.

We open it and we keep it; the service never calls us. Without it, nothing is told at once and nobody
can look on, and all else goes on.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from logging import Logger, getLogger
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from .service import credentials
from .topology import read_topology

FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
"""Seconds between two attempts; each pause is about twice the one before."""
PING = 30.0

log: Logger = getLogger(__name__)


class Line:
    """Keeps itself connected.

    Args:
        heard: told of each message.
        changed: told when the line is there, and when it is lost.
    """

    def __init__(self, heard: Callable[[dict[str, Any]], None], changed: Callable[[bool], None]) -> None:
        self._heard, self._changed = heard, changed
        self._socket: WebSocketClientConnection | None = None

    async def send(self, **message: Any) -> None:
        """Say something to the service; it is lost when there is no line."""
        if self._socket:
            with contextlib.suppress(WebSocketClosedError):
                await self._socket.write_message(json.dumps(message))

    async def keep(self) -> None:
        """Connect, and again whenever the line is lost."""
        pause = FIRST_PAUSE
        while True:
            service_url = read_topology().service_url
            if not service_url:
                return  # a workspace alone, without a Machineroom around it
            url = f"{service_url}/api/line".replace("http", "ws", 1)
            try:
                request = HTTPRequest(url, headers=credentials(), connect_timeout=10)
                self._socket = await websocket_connect(request, ping_interval=PING)
            except (HTTPClientError, OSError, ValueError) as error:
                log.info("No line to the service: %s", error)
            else:
                pause = FIRST_PAUSE
                await self._hear(self._socket)
            # after a restart of the service not everybody comes at the same moment
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(2 * pause, LAST_PAUSE)

    async def _hear(self, socket: WebSocketClientConnection) -> None:
        self._changed(True)
        try:
            while (message := await socket.read_message()) is not None:
                self._heard(json.loads(message))
        except (ValueError, KeyError, TypeError):
            log.exception("The service said what is not understood here")
        finally:
            self._socket = None
            socket.close()
            self._changed(False)
