"""What tests need of this host: ports that are free, a small web server, and patience."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

Found = TypeVar("Found")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def free_room_port() -> int:
    """A public port for a room; the ports that follow from it are free as well, on every address."""
    while True:
        port = random.randrange(18000, 28000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for each in (port, port + 81, port + 82, port + 83):
                stack.enter_context(socket.create_server(("", each)))
            return port


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A web server of a handler's in this process: its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def until(ready: Callable[[], Found], seconds: float, what: str | Callable[[], str]) -> Found:
    """Wait until `ready()` gives something; fail saying `what`, or what `what()` gives then."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what if isinstance(what, str) else what()}, after {seconds} s")
        time.sleep(0.05)
    return found
