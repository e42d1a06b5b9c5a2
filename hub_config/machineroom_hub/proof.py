"""What came of proving a course: kept in its folder, and shown as a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from machineroom_spawners.course import Course
from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import folders
from .survey import Task, digest


@dataclass(frozen=True)
class Play:
    """One task, played in one way: `name` is "untouched", "solution" or "wrong-…".

    It took `seconds`, of which `checking` was spent in the task's checks. `problem` says why it proves
    nothing; it is "" when the play went as it should.
    """

    assignment: str
    task: str
    name: str
    points: float
    earned: float
    seconds: float
    checking: float
    problem: str = ""


@dataclass(frozen=True)
class Proof:
    """What came of proving a course, or only some of its tasks (`whole` is False)."""

    course: str
    digest: str
    time: datetime
    seconds: float
    whole: bool
    tasks: tuple[Task, ...]
    plays: tuple[Play, ...]
    problems: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether nothing at all speaks against the course."""
        return not self.problems and not any(play.problem for play in self.plays)

    def as_json(self) -> dict[str, Any]:
        """Everything, for scripts."""
        return {**asdict(self), "time": self.time.isoformat(), "proven": self.proven}


def save(course: Course, proof: Proof) -> None:
    """Keep a whole and good proof in the course's folder, as `proof.json`: it goes where the course goes."""
    if not (proof.whole and proof.proven):
        return
    said = {
        "digest": proof.digest,
        "time": proof.time.isoformat(timespec="seconds"),
        "tasks": len(proof.tasks),
        "plays": len(proof.plays),
        "seconds": proof.seconds,
    }
    folders.write(course.folder, "proof.json", (json.dumps(said, indent=2) + "\n").encode())


def is_proven(course: Course) -> bool:
    """Whether the course's `proof.json` speaks of checks, labs and solutions as they are now."""
    try:
        said = json.loads(folders.read(course.folder, "proof.json") or b"{}")
        return said["digest"] == digest(course)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def render(proof: Proof) -> Group:
    """The proof as a table for a terminal, with all that has to be mended below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("assignment", "task"):
        table.add_column(title)
    for title in ("points", "untouched", "solution", "checks"):
        table.add_column(title, justify="right")
    table.add_column("wrong solutions")
    for task in proof.tasks:
        plays = {play.name: play for play in proof.plays if play.task == task.name}
        wrong = Text()
        for name, play in plays.items():
            if name.startswith("wrong-"):
                wrong.append_text(_score(play)).append(f" {name.removeprefix('wrong-')}  ", "dim")
        ends = [_score(plays[name]) if name in plays else Text("–") for name in ("untouched", "solution")]
        took = f"{plays['solution'].checking:.1f} s" if "solution" in plays else "–"
        table.add_row(task.assignment, task.name, f"{task.points:g}", *ends, took, wrong)
    mend = [f"{p.assignment}/{p.task}: {p.name}: {p.problem}" for p in proof.plays if p.problem]
    verdict = f"{proof.course}: {extent(proof.plays, proof.tasks)} in {proof.seconds:.0f} s"
    if proof.proven:
        return Group(table, Text(""), Text(f"{verdict}: proven", "green"))
    return Group(
        table,
        Text(""),
        *(Text(f"• {sentence}") for sentence in (*proof.problems, *mend)),
        Text(f"{verdict}: not proven; mend the points above and prove it again", "red"),
    )


def extent(plays: Sequence[object], tasks: Sequence[object]) -> str:
    """How much is played, in words."""
    return f"{len(plays)} plays of {len(tasks)} task" + "s" * (len(tasks) != 1)


def _score(play: Play) -> Text:
    return Text(f"{'✗' if play.problem else '✓'} {play.earned:g}", "red" if play.problem else "green")


def in_order(tasks: Sequence[Task], play: Play) -> tuple[int, int, str]:
    """The key that sorts plays: by task, untouched and solution first."""
    kinds = ["untouched", "solution"]
    names = [task.name for task in tasks]
    return names.index(play.task), kinds.index(play.name) if play.name in kinds else 2, play.name
