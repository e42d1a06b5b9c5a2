"""Executes a submission's notebooks for a grade, in a container that is then thrown away.

Cells go into the container one at a time, so that no code of a student's finds the tests that come
after it lying about. What comes back are the messages of a kernel, and whatever went wrong.
"""

import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import HTTPException
from machineroom_spawners.course import Grading
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..room import Room
from .archives import Refused, inspect
from .throwaway import ENGINE, START_SECONDS, Ended, Late, Pool, Throwaway

GRACE_SECONDS = 10.0
"""How long an interrupted cell may take to end, on a busy host."""
_MOST_ORDER = 32 << 20
_ORDER, _FILES = "execution.json", "files.tar.gz"


class Notebook(BaseModel):
    """A notebook's name and the sources of the cells that are to run."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=255)
    cells: list[str] = Field(max_length=10_000)


class Order(BaseModel):
    """What is to be executed; beside it lie the submission's files."""

    model_config = ConfigDict(extra="forbid")
    assignment: str = Field(max_length=255)
    student: str = Field(max_length=255)
    timeout: float | None = Field(None, gt=0, description="seconds for one cell")
    environment: dict[Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")], str] = Field({}, max_length=100)
    notebooks: list[Notebook] = Field(min_length=1, max_length=100)


def places() -> int:
    """How many submissions run at once on this host: more than it has CPUs, as containers come and go."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(2 * (os.cpu_count() or 1), free // (2 * Grading().memory)))


class Executions:
    """The containers of all executions, and who has a place."""

    def __init__(self, room: Room) -> None:
        self.slots = anyio.CapacityLimiter(places())
        self.pool = Pool(room, int(self.slots.total_tokens))

    def run(self, execution: "Execution") -> dict[str, Any]:
        """Execute; what came of each notebook, up to the first that did not end well. Blocks."""
        done: dict[str, Any] = {}
        try:
            with self.pool.lend(execution.grading) as container:
                execution.start(container)
                for notebook in execution.order.notebooks:
                    done[notebook.name] = execution.notebook(container, notebook)
                    if done[notebook.name]["problem"]:
                        break
        except Ended as error:
            raise HTTPException(
                503, f"The container for {execution.order.student}'s code ended: {error}. Try again."
            ) from error
        except ENGINE as error:
            raise HTTPException(503, f"The container engine does not do it: {error}. Try again.") from error
        return {"notebooks": done}


@dataclass
class Execution:
    """An order, and how far it is."""

    folder: str
    order: Order
    files: Path
    grading: Grading
    say: Callable[[dict[str, Any]], None]
    cancelled: threading.Event
    cells: int = 0

    def start(self, container: Throwaway) -> None:
        """Bring the submission's files in."""
        with self.files.open("rb") as files:
            container.say({"files": self.files.stat().st_size, "folder": self.folder}, files)
        try:
            self._read(container, time.monotonic() + START_SECONDS)
        except Late:
            raise Ended(f"it did not take the files within {START_SECONDS:.0f} s") from None
        self._end = time.monotonic() + 60 * self.grading.minutes

    def notebook(self, container: Throwaway, notebook: Notebook) -> dict[str, Any]:
        """Run one in a kernel of its own: its language, its cells' messages, and what went wrong."""
        done: dict[str, Any] = {"language_info": None, "cells": [], "problem": None}
        try:
            container.say({"notebook": notebook.name, "environment": self.order.environment})
            done["language_info"] = self._read(container, self._end).get("language_info")
            for number, source in enumerate(notebook.cells, 1):
                self._progress(notebook)
                done["cells"].append(self._cell(container, number, source))
            container.say({"end": True})
            self._read(container, time.monotonic() + GRACE_SECONDS)
        except Ended as error:
            done["problem"] = {"kind": "died", "why": str(error)}
        except Late:
            why = "a cell did not end, though it was interrupted"
            if time.monotonic() > self._end:
                why = f"its notebooks took more than {self.grading.minutes:g} minutes"
            done["problem"] = {"kind": "late", "why": why}
        return done

    def _cell(self, container: Throwaway, number: int, source: str) -> dict[str, Any]:
        """Run one cell: its messages, the reply last, and whether it had to be interrupted."""
        messages: list[dict[str, Any]] = []
        timed_out = False
        end = min(self._end, time.monotonic() + (self.order.timeout or float("inf")))
        container.say({"source": source})
        while not messages or messages[-1].get("msg_type") != "execute_reply":
            try:
                message = self._read(container, end)
            except Late:
                if timed_out or time.monotonic() > self._end:
                    raise
                timed_out, end = True, time.monotonic() + GRACE_SECONDS
                container.interrupt()
                continue
            if "ended" in message:
                raise Ended(_killed(message["ended"], self.grading))
            if message.get("cell") == str(number):
                messages.append(message)
        return {"messages": messages, "timed_out": timed_out}

    def _read(self, container: Throwaway, end: float) -> dict[str, Any]:
        return container.read(end, self.cancelled)

    def _progress(self, notebook: Notebook) -> None:
        total = sum(len(each.cells) for each in self.order.notebooks)
        self.say({"percent": 100 * self.cells // max(1, total), "message": notebook.name})
        self.cells += 1


def _killed(status: Any, grading: Grading) -> str:
    """Why a kernel ended that nobody had told to."""
    if status == -9:
        return f"it was killed, most likely because it wanted more than {grading.memory >> 20} MB of memory"
    return f"it ended itself with status {status}"


def unpack(archive: Path, files: Path) -> Order:
    """The order in an archive, and the submission's files, which are put at `files`. Raises Refused."""
    try:
        with tarfile.open(archive) as tar:
            order, inner = tar.extractfile(_ORDER), tar.extractfile(_FILES)
            assert order
            assert inner
            text = order.read(_MOST_ORDER + 1)
            with files.open("xb") as copy:
                shutil.copyfileobj(inner, copy)
    except (tarfile.TarError, KeyError, AssertionError):
        raise Refused(f"it does not hold {_ORDER} and {_FILES}") from None
    inspect(files)
    if len(text) > _MOST_ORDER:
        raise Refused(f"the cells are more than {_MOST_ORDER >> 20} MiB")
    try:
        return Order.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused(f"{_ORDER} does not fit: {where}: {first['msg']}") from None
