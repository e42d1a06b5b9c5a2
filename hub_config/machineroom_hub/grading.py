"""Regrade an assignment: what the service found, shown to a person, and brought into the gradebook."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from machineroom_spawners.drivers.base import Progress, silent
from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import courses, nbgrader_box, service_api
from .room import Room

_BRING = 'cd "$HOME/courses/$1" && exec python -m machineroom_nbgrader.regrade "$1" "$2" /tmp/verdicts.json'

Plan = dict[str, Any]
"""What the service answers to a regrade."""


def plan(room: Room, course: str, assignment: str, student: str | None, progress: Progress = silent) -> Plan:
    """What submissions are worth by the checks as they are now. Raises ServiceError."""
    whom = {"student": student} if student else {}
    return service_api.follow(room, f"courses/{course}/assignments/{assignment}/regrade", progress, json=whom)


def changes(made: Plan) -> list[dict[str, Any]]:
    """The rows of a plan in which points, or what they are of, differ."""
    return [row for row in made["rows"] if row["before"] != row["after"]]


def write(room: Room, made: Plan, *, never_lower: bool) -> dict[str, list[str]]:
    """Write a plan, then bring the verdicts that count into the gradebook; whose grades were brought there.

    Raises ServiceError, NbgraderError or ContentError.
    """
    if made["rows"]:
        service_api.call(room, "POST", f"regrades/{made['id']}/write", json={"never_lower": never_lower})
    return bring(room, made["course"], made["assignment"])


def bring(room: Room, course_id: str, assignment: str) -> dict[str, list[str]]:
    """Bring the verdicts that count into the gradebook: `{"done": [student…], "problems": [sentence…]}`.

    It can be called again at any time, and leads to the same end.
    """
    course = courses.get(room, course_id)
    if not (course.folder / "gradebook.db").is_file():
        return {"done": [], "problems": []}
    found = service_api.call(room, "GET", f"courses/{course_id}/assignments/{assignment}/verdicts")
    command = ["sh", "-c", _BRING, "sh", course_id, assignment]
    files = {"verdicts.json": found.content}
    printed = nbgrader_box.run(room, course, f"the grades of {assignment}", command, files)
    return dict(json.loads(printed.splitlines()[-1]))


def render(made: Plan) -> Group:
    """The plan as a table: a line for each task whose points change, and why."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("student", "task"):
        table.add_column(title)
    for title in ("was", "would be"):
        table.add_column(title, justify="right")
    table.add_column("why")
    changed = changes(made)
    for row in changed:
        colour = _colour(row["before"], row["after"])
        was = _points(row["before"])
        now = Text(_points(row["after"]), colour)
        table.add_row(row["student"], row["task"], was, now, "\n".join(row["why"]) or "–")
    looked = {row["submission"] for row in made["rows"]}
    said = (
        f"{made['course']}/{made['assignment']}: {len(looked)} submissions looked at again, "
        f"{len({row['submission'] for row in changed})} change, {made['same']} were up to date"
    )
    problems = [Text(f"{p['student']}: {p['problem']}; their points stay", "red") for p in made["problems"]]
    shown: list[Table | Text] = [table, Text("")] if changed else []
    return Group(*shown, *problems, Text(said))


def _points(points: Mapping[str, float] | None) -> str:
    return f"{points['earned']:g}/{points['points']:g}" if points else "–"


def _colour(before: Mapping[str, float] | None, after: Mapping[str, float]) -> str:
    gained = _share(after) - (_share(before) if before else 0)
    return "green" if gained > 0 else "red" if gained < 0 else ""


def _share(points: Mapping[str, float]) -> float:
    return points["earned"] / points["points"] if points["points"] else 0.0


def receipts(room: Room, course: str, assignment: str, student: str | None) -> Sequence[dict[str, Any]]:
    """The receipts of an assignment, newest last."""
    path = f"courses/{course}/assignments/{assignment}/submissions"
    wanted = {"student": student} if student else {}
    return list(service_api.call(room, "GET", path, params=wanted).json())
