"""Types into ptys from the event loop, and never waits for one."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Typist(Executor):
    """Takes the place of terminado's executor, to which each keystroke is handed.

    terminado writes to all ptys from one thread. A program that does not read stops that thread, so
    nothing can be typed anywhere; and the write is not even ended by the program's end, so closing
    the pty then stops the whole server. Here, what a pty does not take yet waits until it does; the
    browser that typed it sends no more meanwhile.
    """

    def __init__(self, typed: Callable[[Any], None]) -> None:
        """`typed` is told of each terminal that is typed into."""
        self._typed = typed
        self._waiting: dict[int, deque[tuple[bytes, Future[None]]]] = {}

    def submit(  # type: ignore[override]
        self, _write: Callable[..., None], client: Any, text: str
    ) -> Future[None]:
        """Type `text` into the terminal of `client`, a terminado socket."""
        done: Future[None] = Future()
        if client.terminal is None:
            done.set_result(None)
            return done
        self._typed(client.terminal)
        fd = client.terminal.ptyproc.fd
        if fd in self._waiting:
            self._waiting[fd].append((text.encode("utf-8", "replace"), done))
        else:
            self._waiting[fd] = deque([(text.encode("utf-8", "replace"), done)])
            self._type(fd)
        return done

    def forget(self, fd: int) -> None:
        """The pty is about to be closed: what was not typed yet never will be."""
        asyncio.get_running_loop().remove_writer(fd)
        for _, done in self._waiting.pop(fd, ()):
            done.set_result(None)

    def _type(self, fd: int) -> None:
        queue = self._waiting[fd]
        try:
            while queue:
                data, done = queue[0]
                rest = data[os.write(fd, data) :] if data else b""
                if rest:
                    queue[0] = rest, done
                else:
                    queue.popleft()
                    done.set_result(None)
        except BlockingIOError:
            asyncio.get_running_loop().add_writer(fd, self._type, fd)
        except OSError:
            self.forget(fd)
        else:
            self.forget(fd)
