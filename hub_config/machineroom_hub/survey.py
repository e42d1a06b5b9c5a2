"""What a course holds, and whether its parts fit together: notebooks, checks, labs and solutions.

Nothing runs here but the collection of the checks, in the runner's sandbox. What the machines
say of the course is the business of `prove`.
"""

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from machineroom_checks.runner import CheckRunner, ChecksError
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import Assignment, Course
from pydantic import BaseModel, Field, ValidationError, model_validator

PROVEN_BY = ("checks", "labs", "images", "solutions")
"""The folders of a course that a proof speaks of: change anything in them, and it is void."""

_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


@dataclass(frozen=True)
class Task:
    """A task of an assignment, as its checks describe it; `changes` are paths that these say they change."""

    assignment: str
    name: str
    title: str
    points: float
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """The tasks of a course, and all that an author has to mend, one sentence each."""

    tasks: tuple[Task, ...]
    problems: tuple[str, ...]


class GradeCell(BaseModel):
    """nbgrader's metadata of a cell, schema 3, with the rules that nbgrader applies to it."""

    schema_version: int = Field(ge=3, le=3)
    grade: bool
    solution: bool
    locked: bool
    task: bool = False
    grade_id: str = Field("", pattern=r"^[a-zA-Z0-9_-]*$")
    points: float | None = Field(None, ge=0)
    markdown: bool

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.grade or self.solution or self.locked) and not self.grade_id:
            raise ValueError("it has no grade_id")
        if self.grade and self.points is None:
            raise ValueError("it is graded, but has no points")
        if self.markdown and not self.task and self.grade != self.solution:
            raise ValueError("a text cell is graded by hand: it needs both grade and solution")
        return self


def survey(course: Course, runner: CheckRunner) -> Survey:
    """Read everything in a course that can be read without a machine."""
    tasks: list[Task] = []
    problems: list[str] = []
    for assignment in course.assignments:
        here, wrong = _tasks(course, assignment, runner)
        tasks += here
        problems += wrong
        problems += _notebooks(course, assignment, here)
    for name, times in Counter(task.name for task in tasks).items():
        if times > 1:
            both = " and ".join(t.assignment for t in tasks if t.name == name)
            problems.append(f"Two tasks are called '{name}', in {both}: rename one, in checks and notebook.")
    return Survey(tuple(tasks), tuple(problems))


def require(course: Course, images: Collection[str]) -> None:
    """Refuse a course that cannot even be offered: an unknown image, or an assignment without a notebook.

    Raises:
        ContentError: all that has to be mended, with files and keys.
    """
    wrong = []
    for lab in course.labs.values():
        for name, machine in lab.machines.items():
            if machine.driver == "docker" and machine.image not in images:
                wrong.append(
                    f"{lab.folder / 'lab.yml'}: machines.{name}.image: there is no image '{machine.image}'; "
                    f"there are: {', '.join(sorted(images))}. A course brings its own in images/."
                )
    for assignment in course.assignments:
        folder = course.folder / "source" / assignment.name
        if not any(folder.glob("*.ipynb")):
            wrong.append(f"{folder}: there is no notebook (*.ipynb) for the assignment '{assignment.name}'")
    if wrong:
        raise ContentError("\n".join(wrong))


def digest(course: Course) -> str:
    """SHA-256 over all files that decide what the checks say: see `PROVEN_BY`."""
    whole = hashlib.sha256()
    for path in files(course.folder, PROVEN_BY):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(course.folder).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


def files(folder: Path, tops: Collection[str]) -> Iterator[Path]:
    """The plain files in the sub-folders `tops` of `folder`, in order; none hidden, compiled or linked."""
    for top in sorted(tops):
        for path in sorted((folder / top).rglob("*")):
            inside = path.relative_to(folder).parts
            if path.is_symlink() or not path.is_file():
                continue
            if not any(part.startswith(".") or part == "__pycache__" for part in inside):
                yield path


def _tasks(course: Course, assignment: Assignment, runner: CheckRunner) -> tuple[list[Task], list[str]]:
    folder = course.checks(assignment.name)
    if not folder.is_dir():
        return [], []
    if not assignment.lab:
        text = (
            f"{folder}: assignment '{assignment.name}' has checks but no machines: name a lab in course.yml."
        )
        return [], [text]
    try:
        found = runner.collect(folder)
    except ChecksError as error:
        return [], [str(error)]
    tasks = [Task(assignment.name, t["task"], t["title"], t["points"], tuple(t["changes"])) for t in found]
    return tasks, []


def _notebooks(course: Course, assignment: Assignment, tasks: list[Task]) -> Iterator[str]:
    """What is wrong with an assignment's notebooks, and where they and the checks disagree."""
    worth = {task.name: task.points for task in tasks}
    asked: Counter[str] = Counter()
    for path in sorted((course.folder / "source" / assignment.name).glob("*.ipynb")):
        try:
            cells = _cells(path)
        except ContentError as error:
            yield str(error)
            continue
        ids = Counter(meta.grade_id for _, meta in cells if meta and meta.grade_id)
        for name, times in ids.items():
            if times > 1:
                yield f"{path}: {times} cells have the grade_id '{name}'; each needs its own."
        for number, (source, meta) in enumerate(cells, 1):
            called = _called(source) if meta and meta.grade and not meta.markdown else []
            asked.update(called)
            for name in called:
                if name not in worth:
                    near = ", ".join(worth) or "none"
                    yield f"{path}: cell {number}: there are no checks for task '{name}'; there are: {near}."
            known = [name for name in called if name in worth]
            if known and meta and meta.points != sum(worth[name] for name in known):
                yield (
                    f"{path}: cell {number}: {' and '.join(known)} is worth {meta.points:g} points here "
                    f"and {sum(worth[name] for name in known):g} in the checks."
                )
            if called and meta and not meta.locked:
                yield f"{path}: cell {number}: lock this cell, or students can change what it asks."
    for name in worth:
        if asked[name] != 1:
            seen = "no graded cell" if not asked[name] else f"{asked[name]} graded cells"
            yield f'{course.folder / "source" / assignment.name}: {seen} with check("{name}"); write one.'


def _cells(path: Path) -> list[tuple[str, GradeCell | None]]:
    """Source and nbgrader's metadata of each cell. Raises ContentError."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        version = notebook["nbformat"], notebook["nbformat_minor"]
        cells = notebook["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContentError(f"{path}: not a notebook of format 4: {type(error).__name__}: {error}") from None
    if version[0] != 4:
        raise ContentError(f"{path}: notebook format {version[0]}; save it with a newer Jupyter.")
    if version >= (4, 5):
        ids = [cell.get("id", "") for cell in cells]
        for cell_id, times in Counter(ids).items():
            if times > 1 or not _CELL_ID.match(cell_id):
                raise ContentError(f"{path}: the cell id '{cell_id}' is missing, malformed or used twice.")
    return [
        (
            "".join(cell["source"]),
            _grade_cell(f"{path}: cell {number}", cell) if "nbgrader" in cell["metadata"] else None,
        )
        for number, cell in enumerate(cells, 1)
    ]


def _grade_cell(where: str, cell: dict[str, Any]) -> GradeCell:
    try:
        return GradeCell(**cell["metadata"]["nbgrader"], markdown=cell["cell_type"] == "markdown")
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        text = first["msg"].removeprefix("Value error, ")
        raise ContentError(f"{where}: nbgrader's metadata{f', {key}' if key else ''}: {text}") from None


def _called(source: str) -> list[str]:
    """The tasks that a cell asks for by `check("…")`."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "check"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
