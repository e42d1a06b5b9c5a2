"""One line, a websocket, from each workspace that runs: how a student's own server is told something at once.

The workspace opens it and shows its own token. Nothing of ours ever calls a student's server: whatever we
would show it there, the student could read.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .auth import Caller
from .core import Service
from .sockets import close, first_of, send

router = APIRouter()

LOOK_AGAIN = 600.0
"""Seconds until the hub is asked again whether a line's token is still good."""
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
TerminalName = Annotated[str, Field(pattern=r"^\w{1,100}$")]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Terminal(_Said):
    """A terminal that is open, and the course whose machine it is on."""

    name: TerminalName
    course: Annotated[str, Field(max_length=40)]


class Terminals(_Said):
    """All terminals on machines that are open now."""

    terminals: Annotated[list[Terminal], Field(max_length=100)]


class Output(_Said):
    """What a terminal shows, for one visit."""

    output: Id
    text: str


class Typing(_Said):
    """Whether a visitor may type: the student has decided."""

    visit: Id
    typing: Literal["allowed", "refused"]


class End(_Said):
    """The student ends a visit, or the terminal has ended."""

    end: Id
    why: Annotated[str, Field(max_length=200)]


_SAID: TypeAdapter[Terminals | Output | Typing | End] = TypeAdapter(Terminals | Output | Typing | End)


class Line:
    """A workspace that listens."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.terminals: list[Terminal] = []

    async def send(self, **message: Any) -> bool:
        """Tell the workspace something; whether it was taken."""
        return await send(self.websocket, message)


class Lines:
    """The lines that are open, by whose they are: one for each, the newest."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def of(self, name: str) -> Line | None:
        """Somebody's line, if their workspace listens."""
        return self._lines.get(name)

    def terminals(self, name: str, course: str) -> list[str]:
        """Somebody's terminals on machines of a course."""
        line = self._lines.get(name)
        return [each.name for each in line.terminals if each.course == course] if line else []

    async def news(self, course: str, names: list[str]) -> None:
        """Tell these people's workspaces that there is something new in a course."""
        lines = [self._lines[name] for name in names if name in self._lines]
        await asyncio.gather(*(line.send(news=course) for line in lines))

    @contextlib.asynccontextmanager
    async def opened(self, name: str, line: Line) -> Any:
        """While this lasts, `line` is the one."""
        before = self._lines.get(name)
        self._lines[name] = line
        if before:
            await close(before.websocket, 1000, "there is a newer line")
        try:
            yield
        finally:
            if self._lines.get(name) is line:
                del self._lines[name]


@router.websocket("/line")
async def listen(websocket: WebSocket) -> None:
    """Messages both ways are JSON; see `docs/architecture.md`."""
    service: Service = websocket.app.state.service
    caller = await service.authority.identify(websocket, fresh=True)
    if caller is None:
        raise HTTPException(401, "A line needs a JupyterHub token, in the header.")
    if not caller.roles():
        raise HTTPException(403, f"{caller.name} is in no course.")
    await websocket.accept()
    line = Line(websocket)
    try:
        async with service.lines.opened(caller.name, line):
            await first_of(
                _hear(service, caller, line),
                service.authority.refused(websocket, _still(caller), LOOK_AGAIN),
            )
    finally:
        await service.visits.line_lost(caller.name, line)
        await close(websocket, 1000, "the line is closed")


def _still(caller: Caller) -> Callable[[Caller], Awaitable[None]]:
    async def check(now: Caller) -> None:
        if now.name != caller.name or not now.roles():
            raise HTTPException(403, "not any more")

    return check


async def _hear(service: Service, caller: Caller, line: Line) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            try:
                said = _SAID.validate_json(await line.websocket.receive_text())
            except (ValidationError, KeyError):
                return  # it speaks another language: there will be another line
            if isinstance(said, Terminals):
                line.terminals = said.terminals
            else:
                await service.visits.hear(caller.name, line, said)
