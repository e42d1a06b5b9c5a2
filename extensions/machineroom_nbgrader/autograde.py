"""`nbgrader autograde` for all submissions at once: they are executed in parallel, and graded one by one.

nbgrader's converter does one submission after the other. Here each has a thread and a converter of its
own, and whoever holds the baton runs; it is put down only while the service executes or checks. So nbgrader's
code and its database see one thread at a time, as ever.
"""

import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.writers import FilesWriter
from nbgrader.apps import api, autogradeapp
from nbgrader.converters import Autograde, NbGraderException

from . import apart
from .archive import files_of
from .baton import baton, others
from .exchange import Exchange
from .service import ServiceError


def install() -> None:
    """Have nbgrader's command and formgrader's button use ours; nbgrader has no setting for it."""
    autogradeapp.Autograde = api.Autograde = ParallelAutograde


class ParallelAutograde(Autograde):
    """Autogrades the submissions that nbgrader has found, as many at a time as the service has places for."""

    def convert_notebooks(self) -> None:
        """Grade every submission. Raises NbGraderException when one could not be."""
        exchange = Exchange(coursedir=self.coursedir, parent=self)
        cancelled = threading.Event()
        began, failed = time.monotonic(), 0
        with ThreadPoolExecutor(4 * (os.cpu_count() or 1), "autograde") as threads:
            running = {
                threads.submit(Submission(self, name, exchange, cancelled).grade)
                for name in sorted(self.assignments)
            }
            total = len(running)
            try:
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    failed += sum(not each.result() for each in done)
                    if total > 1:
                        self._tell(total - len(running), total, failed, time.monotonic() - began)
            except BaseException:
                cancelled.set()
                threads.shutdown(cancel_futures=True)
                raise
        if failed:
            raise NbGraderException(f"{failed} of {total} submissions were not graded; why is said above.")

    def _tell(self, done: int, total: int, failed: int, seconds: float) -> None:
        """A line of progress."""
        left = seconds / done * (total - done)
        bar = ("█" * (20 * done // total)).ljust(20, "░")
        wrong = f", {failed} could not be graded" if failed else ""
        rest = f", about {left:.0f} s left" if done < total else f" in {seconds:.0f} s"
        self.log.info("%s %s of %s submissions%s%s", bar, done, total, wrong, rest)


class Submission(Autograde):
    """nbgrader's converter for one submission; all of its notebooks are executed together."""

    def __init__(self, all_of: ParallelAutograde, name: str, exchange: Exchange, cancelled: threading.Event):
        super().__init__(coursedir=all_of.coursedir, parent=all_of.parent)
        self.force, self.create_student = all_of.force, all_of.create_student
        self.assignments = {name: all_of.assignments[name]}
        self.exchange = exchange
        self.executed: dict[str, apart.Executed] = {}
        self._cancelled = cancelled
        self._unfinished: Path | None = None

    def grade(self) -> bool:
        """Convert it, in a thread of its own; whether that went well."""
        with baton:
            self.writer = FilesWriter(parent=self, config=self.config)
            self.exporter = self.exporter_class(parent=self, config=self.config)
            try:
                self.convert_notebooks()
            except NbGraderException:
                return False
            if self._unfinished:
                self._unfinished.unlink(missing_ok=True)
            return True

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        """Whether to grade it. What was left half graded, when somebody ended nbgrader, is graded again."""
        dest = Path(self._format_dest(assignment_id, student_id))
        marker = dest.with_name(f".{dest.name}.unfinished")
        if marker.exists():
            self.log.warning("Grading %s's %s was not finished the last time", student_id, assignment_id)
            self.force = True
        wanted: bool = super().init_destination(assignment_id, student_id)
        if wanted:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
            self._unfinished = marker
        return wanted

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        """Lay the submission out as nbgrader does, put its notebooks right, and have them executed."""
        super().init_assignment(assignment_id, student_id)
        self._sanitizing = True
        self._init_preprocessors()
        for notebook in self.notebooks:
            self.log.info("Sanitizing %s", notebook)
            super(Autograde, self).convert_single_notebook(notebook)
        execute = apart.ExecuteApart(parent=self.exporter, config=self.config)
        if execute.enabled:
            self.executed = self._execute(execute, assignment_id, student_id)

    def convert_single_notebook(self, notebook_filename: str) -> None:
        """Grade a notebook that was put right and executed."""
        path = str(Path(self.writer.build_directory, Path(notebook_filename).name))
        self.log.info("Autograding %s", path)
        self._sanitizing = False
        self._init_preprocessors()
        try:
            super(Autograde, self).convert_single_notebook(path)
        finally:
            self._sanitizing = True

    def _execute(
        self, execute: apart.ExecuteApart, assignment_id: str, student_id: str
    ) -> dict[str, apart.Executed]:
        folder = Path(self._format_dest(assignment_id, student_id))
        submitted = Path(
            self.coursedir.format_path(self.coursedir.submitted_directory, student_id, assignment_id)
        )
        notebooks = {Path(name).name for name in self.notebooks}
        order = {
            "assignment": assignment_id,
            "student": student_id,
            "timeout": execute.timeout,
            "environment": {
                **apart.environment(),
                **{"NBGRADER_EXECUTION": "autograde", "USER": student_id, "JUPYTERHUB_USER": student_id},
            },
            "notebooks": [self._cells(execute, folder / name) for name in sorted(notebooks)],
        }
        # beside the cells lie the notebooks as they were submitted: nobody finds hidden tests in a file
        files = [
            (path.relative_to(folder).as_posix(), submitted / path.name if path.name in notebooks else path)
            for path in files_of(folder, self.exchange.ignore)
        ]
        self.log.info("Executing %s's %s in a container of its own", student_id, assignment_id)
        with others():
            return apart.execute(self.exchange.service, self.exchange.course, order, files, self._alive)

    def _cells(self, execute: apart.ExecuteApart, path: Path) -> dict[str, Any]:
        nb = nbformat.read(path, as_version=4)
        return {"name": path.stem, "cells": [nb.cells[index].source for index in execute.runnable(nb)]}

    def _alive(self) -> None:
        if self._cancelled.is_set():
            raise ServiceError("Canceled")
