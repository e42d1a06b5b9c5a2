"""Autograde: submissions per second in a grader's workspace, beside nbgrader alone."""

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import docker
from machineroom_spawners import workspace
from machineroom_spawners.drivers.base import Progress

from ..host import HostError
from . import spawns
from .figures import Figure
from .stage import Stage

GRADER = "grader"
ASSIGNMENT = "slim"
SUBMISSIONS = 12
NOTEBOOKS = ("one", "two")
STOCK = "nbgrader autograde in the same image, one submission after the other"

SOURCE = """\
import json
import nbformat.v4 as v4
import nbformat, pathlib, sys

def marks(name, **flags):
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return {"nbgrader": {**plain, "grade_id": name, **flags}}

def notebook(answer):
    cells = [v4.new_markdown_cell("# Squares")]
    for n in range(5):
        cells.append(v4.new_code_cell(f"def f{n}(x):\\n    {answer}", metadata=marks(f"f{n}", solution=True)))
        test = f"assert [f{n}(x) for x in range(10)] == [x * x for x in range(10)]"
        cells.append(v4.new_code_cell(test, metadata=marks(f"t{n}", grade=True, locked=True, points=1)))
    return v4.new_notebook(cells=cells)

course, assignment, count, *names = sys.argv[1:]
for number in range(-1, int(count)):
    part = pathlib.Path("source") if number < 0 else pathlib.Path("submitted", f"s{number}")
    folder = pathlib.Path(course) / part / assignment
    folder.mkdir(parents=True)
    for name in names:
        nb = notebook(["return x * x", "return x + x", "return 1 / 0"][max(0, number) % 3])
        nbformat.write(nb, folder / f"{name}.ipynb")
"""
"""Writes a course's source and submissions: a third right, a third wrong, a third with errors."""


def measure(stage: Stage, runs: int, progress: Progress) -> list[Figure]:
    """All submissions of an assignment, two notebooks each, autograded by one command."""
    figure = Figure("autograde: submissions per second", "1/s", STOCK, more_is_better=True)
    progress(0, "a grader's workspace")
    course, plain = stage.course.folder, stage.room.state / "plain"
    image, uid = stage.stock_image, workspace.host_uid(stage.client.info())
    plain.mkdir()
    _own(plain, uid)
    _stock(stage, image, plain, "python", "-c", SOURCE, "/course", ASSIGNMENT, str(SUBMISSIONS), *NOTEBOOKS)
    _stock(stage, image, plain, "nbgrader", "generate_assignment", ASSIGNMENT)
    for part in ("source", "submitted", "release", "gradebook.db"):
        copy = shutil.copytree if (plain / part).is_dir() else shutil.copy2
        copy(plain / part, course / part)
    _own(course, uid)
    try:
        with spawns.started(stage.ours, [GRADER]) as seconds:
            if seconds == [None]:
                raise HostError("the grader's workspace does not start")
            mine = stage.client.containers.get(stage.ours.workspace.format(GRADER))
            for run in range(runs):
                progress(10 + 90 * run // runs, f"run {run + 1} of {runs}: ours")
                began = time.monotonic()
                done: Any = mine.exec_run(
                    ["sh", "-c", f"cd ~/courses/bench && nbgrader autograde {ASSIGNMENT} --force"],
                    environment={"JUPYTERHUB_API_TOKEN": stage.ours.token_of(GRADER)},
                    user="jovyan",
                )
                figure.ours.append(SUBMISSIONS / (time.monotonic() - began))
                if done.exit_code:
                    raise HostError(f"nbgrader autograde failed: {bytes(done.output).decode()[-2000:]}")
                progress(10 + 90 * (2 * run + 1) // (2 * runs), f"run {run + 1} of {runs}: stock")
                began = time.monotonic()
                _stock(stage, image, plain, "nbgrader", "autograde", ASSIGNMENT, "--force")
                figure.stock.append(SUBMISSIONS / (time.monotonic() - began))
    finally:
        for part in ("source", "submitted", "release", "autograded"):
            shutil.rmtree(course / part, ignore_errors=True)
    if _scores(course) != _scores(plain):
        raise HostError("ours and stock's scores differ, so their speeds cannot be compared")
    return [figure]


def _stock(stage: Stage, image: str, folder: Path, *command: str) -> None:
    """Run a command in the same image without our part; it grades the course in `folder`."""
    client: docker.DockerClient = stage.client
    name = f"mr-{stage.room.id}-grading"
    container: Any = client.containers.create(
        image,
        [*command, "--course-dir=/course"] if command[0] == "nbgrader" else list(command),
        name=name,
        labels={"machineroom.room": stage.room.id},
        volumes=[f"{folder}:/course"],
        network_mode="none",
    )
    try:
        container.start()
        status = container.wait(timeout=1800)["StatusCode"]
        if status:
            raise HostError(f"stock's {command[0]} failed: {container.logs().decode()[-2000:]}")
    finally:
        container.remove(force=True)


def _own(folder: Path, uid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def _scores(course: Path) -> list[tuple[Any, ...]]:
    """Every automatic score in a course's gradebook."""
    query = """
        SELECT student.id, notebook.name, base_cell.name, grade.auto_score FROM grade
        JOIN base_cell ON base_cell.id = grade.cell_id
        JOIN submitted_notebook ON submitted_notebook.id = grade.notebook_id
        JOIN notebook ON notebook.id = submitted_notebook.notebook_id
        JOIN submitted_assignment ON submitted_assignment.id = submitted_notebook.assignment_id
        JOIN student ON student.id = submitted_assignment.student_id
        ORDER BY 1, 2, 3"""
    database = sqlite3.connect(course / "gradebook.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()
