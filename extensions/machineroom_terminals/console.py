"""The service's console of a machine, in the terminal that one sits at. It does not need ssh."""

import asyncio
import json
import os
import shutil
import signal
import tty

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

from .service import ServiceError, credentials, detail, machine_url
from .topology import Machine, Topology


def run(topology: Topology, machine: Machine) -> None:
    """Bridge our terminal and the console until either ends. Raises ServiceError."""
    asyncio.run(_bridge(machine_url(topology, machine, "console").replace("http", "ws", 1)))


async def _bridge(url: str) -> None:
    size = shutil.get_terminal_size()
    request = HTTPRequest(
        f"{url}?rows={size.lines}&cols={size.columns}", headers=credentials(), connect_timeout=10
    )
    try:
        socket = await websocket_connect(request, ping_interval=5, max_message_size=16 << 20)
    except HTTPClientError as error:
        body = error.response.body if error.response else b""
        raise ServiceError(detail(body, f"the Machineroom service said: {error}.")) from None
    except OSError as error:
        raise ServiceError(f"the Machineroom service does not answer ({error}).") from None

    def typed() -> None:
        try:
            data = os.read(0, 65536)
            if data:
                socket.write_message(data, binary=True)
            else:
                socket.close()
        except (OSError, WebSocketClosedError):
            socket.close()

    def resized() -> None:
        size = os.get_terminal_size(0)
        socket.write_message(json.dumps({"resize": [size.lines, size.columns]}))

    loop = asyncio.get_running_loop()
    if os.isatty(0):
        tty.setraw(0)
        loop.add_signal_handler(signal.SIGWINCH, resized)
    loop.add_reader(0, typed)
    try:
        while (message := await socket.read_message()) is not None:
            os.write(1, message if isinstance(message, bytes) else message.encode())
    finally:
        loop.remove_reader(0)
    if socket.close_code != 1000:
        raise ServiceError(socket.close_reason or "the connection to the Machineroom service was lost.")
