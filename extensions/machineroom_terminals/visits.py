"""Who looks on at this workspace's terminals, and whether they may type: the student says so, here.

The service tells who comes, and has seen to it that they may. It passes their keystrokes on; they count
for nothing before the student has allowed them. Only terminals on the course's own machines are shown.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from terminado.management import PtyWithClients
from tornado import web

from .line import Line
from .manager import MachineTerminals
from .scrollback import QUESTIONS
from .topology import Machine

PIECE = 32_000
"""Characters in one message: however they are written, the service takes it."""
MOST = 1 << 20
"""Characters that wait for a visitor who is slow; then what they missed is left out."""
LISTED = 100
"""Terminals that can be looked on at; the service takes no more."""
EVENT = "https://events.machineroom/help"
"""The event that tells the browser to look again."""
SCHEMA = {
    "$id": EVENT,
    "version": "1",
    "title": "Something is new: a message, somebody who comes or looks on",
    "type": "object",
    "properties": {"what": {"type": "string"}},
    "required": ["what"],
}


class Visit:
    """A visitor at a terminal: for terminado, one more of its clients, of no size of its own."""

    size = (None, None)
    ws_connection = None

    def __init__(self, line: Line, terminal: PtyWithClients, name: str, said: dict[str, Any]) -> None:
        self.id, self.by, self.course = said["visit"], said["by"], said["course"]
        self.terminal: PtyWithClients | None = terminal
        self.name = name
        self.since = datetime.now(UTC)
        self.typing: Literal["no", "asked", "allowed", "refused"] = "no"
        self._line = line
        self._waiting: list[str] = []
        self._size = 0
        self._news = asyncio.Event()
        self._sending = asyncio.create_task(self._send())
        self._show_all()

    def as_json(self) -> dict[str, Any]:
        """For the student's browser."""
        since = self.since.isoformat(timespec="seconds").replace("+00:00", "Z")
        facts = {"id": self.id, "by": self.by, "course": self.course, "terminal": self.name}
        return {**facts, "since": since, "typing": self.typing}

    def on_pty_read(self, text: str) -> None:
        """The terminal shows something."""
        self._waiting.append(text)
        self._size += len(text)
        if self._size > MOST:
            self._show_all()
        self._news.set()

    def on_pty_died(self) -> None:
        """The terminal has ended."""
        self.terminal = None

    def close(self) -> None:
        """No more is shown to this visitor, nor typed by them."""
        self.typing = "refused"
        self._sending.cancel()
        if self.terminal and self in self.terminal.clients:
            self.terminal.clients.remove(self)

    def _show_all(self) -> None:
        """Begin anew, with what the terminal still knows."""
        assert self.terminal
        self._waiting = list(self.terminal.read_buffer.copy())
        self._size = 0
        self._news.set()

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            # the visitor's terminal would answer each question that a program puts to the student's
            text = QUESTIONS.sub("", "".join(self._waiting))
            self._waiting, self._size = [], 0
            for start in range(0, len(text), PIECE):
                await self._line.send(output=self.id, text=text[start : start + PIECE])


class Visits:
    """The visits that go on at this workspace."""

    def __init__(self, manager: MachineTerminals, events: Any) -> None:
        self._manager, self._events = manager, events
        self._visits: dict[str, Visit] = {}
        self.line = Line(self._heard, self._line_changed)
        self._running: set[asyncio.Task[None]] = set()
        events.register_event_schema(SCHEMA)
        manager.changed = self.tell_terminals

    def start(self) -> None:
        """Have the line kept, for as long as the server runs."""
        self._do(self.line.keep())

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def as_json(self) -> list[dict[str, Any]]:
        """Who is here, in the order in which they came."""
        return [visit.as_json() for visit in self._visits.values()]

    def decide(self, id: str, allowed: bool) -> None:
        """The student says whether a visitor may type. Raises 404."""
        visit = self._named(id)
        visit.typing = "allowed" if allowed else "refused"
        self._do(self.line.send(visit=id, typing=visit.typing))
        self._tell_browser("visits")

    def end(self, id: str, why: str = "the student has ended it") -> None:
        """The student ends a visit. Raises 404."""
        visit = self._named(id)
        self._forget(visit)
        self._do(self.line.send(end=id, why=why))

    def tell_terminals(self) -> None:
        """Which terminals are open has changed."""
        found = [
            {"name": name, "course": terminal.machine.course}
            for name, terminal in self._manager.terminals.items()
            if isinstance(getattr(terminal, "machine", None), Machine)
        ]
        for visit in list(self._visits.values()):
            if visit.name not in self._manager.terminals:
                self.end(visit.id, "the terminal was closed")
        self._do(self.line.send(terminals=found[:LISTED]))

    def _named(self, id: str) -> Visit:
        if id not in self._visits:
            raise web.HTTPError(404, "This visit has ended.")
        return self._visits[id]

    def _heard(self, said: dict[str, Any]) -> None:
        if "news" in said:
            self._tell_browser("news")
        elif "visit" in said:
            self._begin(said)
        elif visit := self._visits.get(said.get("type") or said.get("ask") or said.get("end") or ""):
            if "type" in said:
                if visit.typing == "allowed" and visit.terminal:
                    self._manager.blocking_io_executor.submit(None, visit, said["text"])  # type: ignore[arg-type]
            elif "ask" in said:
                if visit.typing != "allowed":
                    visit.typing = "asked"
                    self._tell_browser("visits")
            else:
                self._forget(visit)

    def _begin(self, said: dict[str, Any]) -> None:
        terminal = self._manager.terminals.get(said["terminal"])
        machine = getattr(terminal, "machine", None)
        if terminal is None or not isinstance(machine, Machine) or machine.course != said["course"]:
            self._do(self.line.send(end=said["visit"], why="this terminal is not open any more"))
            return
        visit = Visit(self.line, terminal, said["terminal"], said)
        self._visits[visit.id] = visit
        terminal.clients.append(visit)
        self._tell_browser("visits")

    def _forget(self, visit: Visit) -> None:
        visit.close()
        del self._visits[visit.id]
        self._tell_browser("visits")

    def _line_changed(self, there: bool) -> None:
        if there:
            self.tell_terminals()
        else:
            for visit in list(self._visits.values()):
                self._forget(visit)
        self._tell_browser("news")

    def _tell_browser(self, what: str) -> None:
        self._events.emit(schema_id=EVENT, data={"what": what})


class VisitsHandler(APIHandler):
    """`GET …/machineroom/visits`: who looks on now."""

    auth_resource = "terminals"

    def initialize(self, visits: Visits) -> None:
        """Tornado's constructor."""
        self.visits = visits

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish({"visits": self.visits.as_json()})


class VisitHandler(VisitsHandler):
    """`PUT …/machineroom/visits/ID` `{"typing": true}`: the student's word. `DELETE` ends the visit."""

    @web.authenticated
    @authorized
    async def put(self, id: str) -> None:
        body = self.get_json_body()
        if not isinstance(body, dict) or not isinstance(body.get("typing"), bool):
            raise web.HTTPError(400, 'Say whether they may type: {"typing": true} or {"typing": false}.')
        self.visits.decide(id, body["typing"])
        self.finish({"visits": self.visits.as_json()})

    @web.authenticated
    @authorized
    async def delete(self, id: str) -> None:
        self.visits.end(id)
        self.set_status(204)
        self.finish()

    get = None  # type: ignore[assignment]
