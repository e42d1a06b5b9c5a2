"""Terminals of Jupyter that are shells on machines."""

import asyncio
import os
import re
import select
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from jupyter_server_terminals.terminalmanager import MODEL, TerminalManager
from terminado.management import PtyWithClients
from tornado import web
from tornado.ioloop import IOLoop

from . import memory
from .scrollback import Scrollback
from .topology import WORKSPACE, Machine, UnknownMachine, read_topology
from .typist import Typist
from .wake import wake_if_silent

TERMINAL_NAME = re.compile(r"\w{1,100}\Z")

LEFT = 15.0
"""Seconds for which a visit to somebody else's terminal goes on without a browser that shows it."""

PIECES = 16
"""How often a pty is read before what has come is sent on: it gives up to 4 KB at a time."""


def attach_command(machine: Machine, *options: str) -> list[str]:
    """What runs in the pty of a terminal on `machine`. `-P`: a student's `json.py` is not ours."""
    return [sys.executable, "-P", "-m", "machineroom_terminals.attach", *options, str(machine)]


def watch_command(visit: list[str]) -> list[str]:
    """What runs in the pty of who looks on at a student's terminal: `[course, student, terminal]`."""
    return [sys.executable, "-P", "-m", "machineroom_terminals.watch", *visit]


class MachineTerminals(TerminalManager):
    """Makes each terminal a root shell on a machine, unless the workspace's own shell is asked for.

    Set as `TerminalsExtensionApp.terminal_manager_class`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocking_io_executor: Typist = Typist(self._typed)
        self._unanswered: dict[int, asyncio.Event] = {}
        self._closing = False
        self.changed: Callable[[], None] = lambda: None
        """Called when a terminal has come or gone."""
        IOLoop.current().add_callback(self._bring_back)

    def create(
        self,
        name: str | None = None,
        machine: str | None = None,
        cwd: str | None = None,
        console: bool = False,
        again: bool = False,
        visit: list[str] | None = None,
        **options: Any,
    ) -> MODEL:
        """Make a terminal, or return the one that is called `name` already.

        Args:
            machine: `web`, `lab/web`, `course/lab/web` or `workspace`; left out, it is the machine
                that `name` speaks of, else the default one of the course that `cwd` is in.
            console: the machine's console, which needs no ssh.
            again: it was open when the server ended; the student is told.
            visit: somebody else's terminal, to look on at: its course, student and name.
        """
        if name is not None:
            if not isinstance(name, str) or not TERMINAL_NAME.match(name):
                raise web.HTTPError(400, "A terminal's name is made of letters, digits and _ only.")
            if name in self.terminals:
                return self.get_terminal_model(name)
        topology = read_topology()
        course = topology.of_course(Path(cwd)) if cwd else None
        place: Machine | None
        if visit is not None:
            fits = isinstance(visit, list) and len(visit) == 3
            if not fits or not all(isinstance(word, str) and word for word in visit):
                raise web.HTTPError(400, "A visit is to [course, student, terminal].")
            options["shell_command"] = watch_command(visit)
            name = name or next(n for i in count(1) if (n := f"visit_{i}") not in self.terminals)
            place = None
        elif machine == WORKSPACE or "shell_command" in options:
            place = None
        elif machine is not None:
            try:
                place = topology.find(str(machine), course)
            except UnknownMachine as error:
                raise web.HTTPError(404, str(error)) from None
        elif name is not None and re.fullmatch(rf"{WORKSPACE}(_\d+)?", name):
            place = None
        else:
            place = topology.of_terminal(name) if name else None
            place = place or next((m for m in topology.machines if m.course == course), topology.default)
        options["name"] = name or topology.terminal_name(place, self.terminals)
        if place:
            words = {"--console": console, "--again": again}
            options["shell_command"] = attach_command(place, *(word for word, said in words.items() if said))
        elif cwd:
            options["cwd"] = cwd
        try:
            model = super().create(**options)
        except OSError as error:
            raise web.HTTPError(503, f"The workspace cannot start one more terminal: {error}.") from error
        terminal: Any = self.terminals[options["name"]]
        terminal.machine, terminal.visit = place, visit
        if visit:
            self._end_if_left(terminal)
        self._remember()
        return model

    def _bring_back(self) -> None:
        """The terminals that were open when the server ended, under their names: browsers find them."""
        for entry in memory.recall():
            try:
                self.create(**entry, again=True)
            except web.HTTPError as error:
                self.log.warning("Terminal %s is not brought back: %s", entry["name"], error)

    def _remember(self) -> None:
        if self._closing:
            return
        own = {name: t for name, t in self.terminals.items() if not getattr(t, "visit", None)}
        places = {name: getattr(terminal, "machine", None) for name, terminal in own.items()}
        memory.remember([{"name": name, "machine": str(p or WORKSPACE)} for name, p in places.items()])
        self.changed()

    def client_disconnected(self, websocket: Any) -> None:
        """A browser has gone. Nobody looks on at a student's terminal without seeing it."""
        super().client_disconnected(websocket)
        if getattr(websocket.terminal, "visit", None):
            self._end_if_left(websocket.terminal)

    def _end_if_left(self, terminal: PtyWithClients) -> None:
        def end() -> None:
            name = next((name for name, known in self.terminals.items() if known is terminal), None)
            if name and not terminal.clients:
                IOLoop.current().add_callback(self.terminate, name, force=True)

        IOLoop.current().call_later(LEFT, end)

    async def terminate(self, name: str, force: bool = False) -> None:
        """Close a terminal for good."""
        await super().terminate(name, force=force)
        self._remember()

    async def terminate_all(self) -> None:
        """The server ends: what is open now is brought back when it starts again."""
        self._closing = True
        await super().terminate_all()

    def new_terminal(self, **kwargs: Any) -> PtyWithClients:
        """A pty whose output is kept for those who come back."""
        terminal = super().new_terminal(**kwargs)
        terminal.read_buffer = Scrollback()
        os.set_blocking(terminal.ptyproc.fd, False)
        return terminal

    def pty_read(self, fd: int, _events: Any = None) -> None:
        """There is output: send on what there is of it, as one message; terminado sends one for every 4 KB.

        While no browser takes any more of it, the program that prints is left waiting.
        """
        terminal = self.ptys_by_fd[fd]
        self.pre_pty_read_hook(terminal)
        pieces: list[str] = []
        try:
            while len(pieces) < PIECES and _is_readable(fd):
                pieces.append(terminal.ptyproc.read(1 << 16))
        except EOFError:
            if not pieces:  # else we are called again
                self.on_eof(terminal)
                for client in terminal.clients:
                    client.on_pty_died()
        if text := "".join(pieces):
            terminal.read_buffer.append(text)
            for client in terminal.clients:
                client.on_pty_read(text)
        if fd in self._unanswered:
            self._unanswered[fd].set()
        if self._nobody_keeps_up(fd):
            IOLoop.current().remove_handler(fd)
            self._read_on(self.ptys_by_fd[fd])

    def _typed(self, terminal: PtyWithClients) -> None:
        """Somebody types. A machine that prints nothing then may have been put to sleep: it is woken."""
        fd, machine = terminal.ptyproc.fd, getattr(terminal, "machine", None)
        if machine is None or fd in self._unanswered:
            return
        self._unanswered[fd] = answered = asyncio.Event()
        waiting = asyncio.create_task(wake_if_silent(machine, answered))
        waiting.add_done_callback(lambda _: self._unanswered.pop(fd, None))

    def _read_on(self, terminal: PtyWithClients) -> None:
        fd = terminal.ptyproc.fd
        if self.ptys_by_fd.get(fd) is not terminal:
            return  # it was closed meanwhile
        loop = IOLoop.current()
        if self._nobody_keeps_up(fd):
            loop.call_later(0.005, self._read_on, terminal)
        else:
            loop.add_handler(fd, self.pty_read, loop.READ)

    def _nobody_keeps_up(self, fd: int) -> bool:
        """Whether every browser has output before it that its connection does not take yet."""
        clients = self.ptys_by_fd[fd].clients if fd in self.ptys_by_fd else []
        connections = [client.ws_connection for client in clients]
        return bool(connections) and all(c is not None and c.stream.writing() for c in connections)

    def on_eof(self, ptywclients: PtyWithClients) -> None:
        """The program in the pty has ended."""
        self.blocking_io_executor.forget(ptywclients.ptyproc.fd)
        super().on_eof(ptywclients)
        self._remember()


def _is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
