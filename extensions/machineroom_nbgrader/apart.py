"""Runs submissions apart from everything: their code in throw-away containers of the service, not here.

What comes back are the messages of kernels. nbclient and nbgrader make outputs of them, as they do of
those of kernels that they start themselves; cells, metadata and points stay what they are here.
"""

import base64
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from nbclient.client import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.exporters.exporter import ResourcesDict
from nbformat.notebooknode import NotebookNode
from nbgrader import preprocessors

from .archive import anonymous
from .service import Service, ServiceError

Processed = tuple[NotebookNode, ResourcesDict]
Executed = dict[str, Any]
"""Of one notebook: `{"language_info", "cells": [{"messages", "timed_out"}], "problem"}`."""

KEPT = ("LANG", "LANGUAGE", "TZ")
"""Of the grader's environment, what a student's kernel sees; besides `LC_…` and `NBGRADER_…`."""


class ExecuteApart(preprocessors.Execute):
    """Takes the outputs of a notebook from an execution that is over."""

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict, km: Any = None) -> Processed:
        """Give each cell that ran its outputs."""
        NotebookClient.__init__(self, nb, km)
        self.record_timing = False
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        executed = self.executed(resources["nbgrader"]["notebook"])
        ran = iter(executed["cells"])
        for index in self.runnable(nb):
            result = next(ran, None)
            if result is None:
                raise _ended(executed["problem"], nb.cells[index])
            self._outputs(nb.cells[index], index, result)
        if executed["problem"]:
            raise _ended(executed["problem"], nb.cells[-1])
        nb.metadata["language_info"] = executed["language_info"]
        self.set_widgets_metadata()
        return nb, resources

    def executed(self, notebook: str) -> Executed:
        """What the converter has had executed."""
        found: Executed = self.parent.parent.executed[notebook]
        return found

    def runnable(self, nb: NotebookNode) -> list[int]:
        """The indices of the cells that nbclient runs."""
        return [
            index
            for index, cell in enumerate(nb.cells)
            if cell.cell_type == "code"
            and cell.source.strip()
            and self.skip_cells_with_tag not in cell.metadata.get("tags", ())
        ]

    def _outputs(self, cell: NotebookNode, index: int, result: dict[str, Any]) -> None:
        """What nbclient makes of a cell's messages, and nbgrader of its reply."""
        cell.outputs = []
        self.clear_before_next_output = False
        *messages, reply = result["messages"]
        for message in messages:
            named = {"header": {"msg_type": message["msg_type"]}, "parent_header": {"msg_id": str(index)}}
            buffers = [memoryview(base64.b64decode(buffer)) for buffer in message["buffers"]]
            self.process_message({**message, **named, "buffers": buffers}, cell, index)
        if result["timed_out"]:
            reply = {"content": {**self.error_on_timeout, "status": "error"}}
        self.on_cell_executed(cell=cell, cell_index=index, execute_reply=reply)

    def on_cell_executed(self, **kwargs: Any) -> None:
        """When the kernel replied with an error, nothing that the cell displayed counts as a score."""
        super().on_cell_executed(**kwargs)
        if kwargs["execute_reply"]["content"]["status"] == "error":
            cell = kwargs["cell"]
            cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]


def _ended(problem: dict[str, str], cell: NotebookNode) -> Exception:
    """What nbclient raises of a kernel that does not go on."""
    if problem["kind"] == "died":
        return DeadKernelError(f"Kernel died: {problem['why']}")
    return CellTimeoutError(f"The notebook was given up: {problem['why']}. The cell was:\n{cell.source}")


def execute(
    service: Service,
    course: str,
    order: dict[str, Any],
    files: Iterable[tuple[str, Path]],
    alive: Callable[[], None],
) -> dict[str, Executed]:
    """Have the service run an order's notebooks beside `files`, which are pairs of name and path.

    `alive` is called again and again meanwhile; what it raises ends the execution.

    Raises:
        ServiceError: nothing was executed, or not to its end.
    """
    with tempfile.TemporaryFile() as body:
        _pack(order, files, body)
        headers = {"Content-Type": "application/gzip"}
        request = service.stream("POST", "courses", course, "executions", content=body, headers=headers)
        with request as response:
            for line in response.iter_lines():
                alive()
                said = json.loads(line)
                if "error" in said:
                    raise ServiceError(said["error"])
                if "done" in said:
                    return said["done"]["notebooks"]
    raise ServiceError("The service ended while it executed this submission. Nothing was graded; try again.")


def environment() -> dict[str, str]:
    """Of this process's environment, what a student's kernel sees."""
    return {k: v for k, v in os.environ.items() if k in KEPT or k.startswith(("LC_", "NBGRADER_"))}


def _pack(order: dict[str, Any], files: Iterable[tuple[str, Path]], body: IO[bytes]) -> None:
    """Write a request's body: the order, and an archive of the files."""
    with tempfile.TemporaryFile() as inner, tarfile.open(fileobj=body, mode="w:gz", compresslevel=1) as outer:
        with tarfile.open(fileobj=inner, mode="w:gz", compresslevel=1) as tar:
            for name, path in files:
                tar.add(path, name, filter=anonymous)
        _add(outer, "execution.json", io.BytesIO(json.dumps(order).encode()))
        _add(outer, "files.tar.gz", inner)
    body.seek(0)


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)
    info.size = file.seek(0, os.SEEK_END)
    file.seek(0)
    tar.addfile(info, file)
