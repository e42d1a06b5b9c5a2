"""`python -m machineroom_terminals.watch COURSE STUDENT TERMINAL`: look over a student's shoulder.

It runs in a terminal of the grader's own workspace, and shows what the student's shows. What one types is
sent once the student allows it; the first key asks for that. Ctrl-] leaves.
"""

import asyncio
import codecs
import json
import os
import re
import sys
import time
import tty
from urllib.parse import quote

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from .attach import SANE, say, terminal_kept
from .service import ServiceError, credentials, detail
from .topology import read_topology

LEAVE = "\x1d"
ANSWERS = re.compile(
    r"\x1b\[[?>=]?[\d;]*[cRn]|\x1b\[[IO]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP[^\x1b]*\x1b\\"
)
"""What a terminal says by itself when a program asks it something: it answers for the student's already."""
TITLES = re.compile(r"\x1b\][012];[^\x07\x1b]*(?:\x07|\x1b\\)")
"""The tab keeps ours, which says whose terminal it is."""
AGAIN = 10.0
"""Seconds until a key asks anew."""


class Watcher:
    """One visit, from our side."""

    def __init__(self, student: str, socket: WebSocketClientConnection) -> None:
        self._student, self._socket = student, socket
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._typing = False
        self._asked = float("-inf")

    def typed(self) -> None:
        """There is something to read from our keyboard."""
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        text = ANSWERS.sub("", self._decode(data))
        if not data or LEAVE in text:
            self._socket.close()
        elif text and self._typing:
            self._send(type=text)
        elif text and time.monotonic() - self._asked > AGAIN:
            self._asked = time.monotonic()
            self._send(ask=True)
            self._say(f"{self._student} is asked whether you may type.")

    async def show(self) -> None:
        """Show what comes, until it ends."""
        while (message := await self._socket.read_message()) is not None:
            said = json.loads(message)
            if "output" in said:
                sys.stdout.write(TITLES.sub("", said["output"]))
                sys.stdout.flush()
            else:
                self._typing = said["typing"]
                self._asked = float("-inf") if self._typing else time.monotonic()
                words = "You may type now" if self._typing else "You may only look on"
                self._say(f"{words}: {self._student} has decided so.")

    def _send(self, **message: object) -> None:
        try:
            self._socket.write_message(json.dumps(message))
        except WebSocketClosedError:
            self._socket.close()

    @staticmethod
    def _say(text: str) -> None:
        sys.stdout.write("\r\n")
        say(text)
        sys.stdout.write("\r")
        sys.stdout.flush()


async def watch(course: str, student: str, terminal: str) -> str:
    """Look on until either side ends it; answers why it has ended. Raises ServiceError."""
    place = "/".join(quote(part, safe="") for part in (course, "students", student, "terminals", terminal))
    url = f"{read_topology().service_url}/api/courses/{place}".replace("http", "ws", 1)
    try:
        socket = await websocket_connect(
            HTTPRequest(url, headers=credentials(), connect_timeout=10), ping_interval=20
        )
    except HTTPClientError as error:
        body = error.response.body if error.response else b""
        raise ServiceError(detail(body, f"The Machineroom service said: {error}.")) from None
    except OSError as error:
        raise ServiceError(f"The Machineroom service does not answer ({error}).") from None
    say(f"You look on at {terminal} of {student}, who sees that you do. Ctrl-] leaves.")
    watcher = Watcher(student, socket)
    loop = asyncio.get_running_loop()
    tty.setraw(0)
    loop.add_reader(0, watcher.typed)
    try:
        await watcher.show()
    finally:
        loop.remove_reader(0)
    if socket.close_code is None:
        return "The connection to the Machineroom service was lost"
    return socket.close_reason or "you have left"


def main() -> int:
    """The command line."""
    course, student, terminal = sys.argv[1:]
    sys.stdout.write(f"\x1b]0;{student}: {terminal}\x07")
    try:
        with terminal_kept():
            why = asyncio.run(watch(course, student, terminal))
    except ServiceError as error:
        why = str(error).rstrip(".")
    sys.stdout.write(f"{SANE}\r\n")
    say(f"The visit has ended: {why}. Press Enter to close.")
    sys.stdin.readline()
    return 0


if __name__ == "__main__":
    sys.exit(main())
