"""grade: submissions and their receipts, extensions, regrades, and what snapshots cost."""

import json as json_module
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from .. import grading, service_api
from ..host import HostError
from . import progress
from .common import Json, State, console, installed, print_json, print_table, status_console, step

app = typer.Typer(
    help="Submissions, receipts, extensions and regrades of the courses here.", no_args_is_help=True
)

Course = Annotated[str, typer.Argument(help="The course's id.")]
Assignment = Annotated[str, typer.Argument(help="The assignment's name.")]
Student = Annotated[str | None, typer.Option(help="Only this student's.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def submissions(
    course: Course, assignment: Assignment, student: Student = None, state: State = None, json: Json = False
) -> None:
    """List what was submitted: when, how late, with which machines, and for how many points."""
    found = grading.receipts(installed(state), course, assignment, student)
    if json:
        print_json(found)
        return
    rows = [
        [
            receipt["student"],
            receipt["timestamp"][:19].replace("T", " "),
            _duration(receipt["late"]),
            "/".join(f"{sum(r[key] for r in receipt['checks']):g}" for key in ("earned", "points")),
            ", ".join(f"{m['machine']} {m['size'] / 1e6:.1f} MB" for m in receipt.get("machines", [])) or "–",
            receipt["id"],
        ]
        for receipt in found
    ]
    columns = ["student", "arrived (UTC)", "late", "checks", "machines", "id"]
    print_table("", columns, rows, f"Nobody has submitted {assignment} of {course}.")


@app.command()
def verify(
    receipt: Annotated[Path, typer.Argument(help="A receipt, as a student shows it.", exists=True)],
    state: State = None,
    json: Json = False,
) -> None:
    """Say whether a receipt is genuine: signed here, and not changed since."""
    try:
        shown = json_module.loads(receipt.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HostError(f"{receipt} is no receipt: {error}") from None
    found = service_api.call(installed(state), "POST", "receipts/verify", json=shown).json()
    if json:
        print_json(found)
    elif found["valid"]:
        keys = ("student", "course", "assignment", "timestamp", "sha256")
        console.print("[green]genuine[/]: " + ", ".join(f"{key} {found[key]}" for key in keys))
    else:
        console.print(f"[red]not genuine[/]: {found['why']}")
    raise typer.Exit(0 if found["valid"] else 1)


@app.command()
def extend(
    course: Course,
    assignment: Assignment,
    student: Annotated[str, typer.Argument(help="The student's user name.")],
    until: Annotated[
        str | None, typer.Option(help="Their own deadline, with a time zone: 2027-03-01T18:00+01:00")
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take their extension back.")] = False,
    state: State = None,
) -> None:
    """Give one student a deadline of their own; what they have submitted is judged by it as well."""
    path = f"courses/{course}/assignments/{assignment}/extensions/{student}"
    if withdraw:
        service_api.call(installed(state), "DELETE", path)
        console.print(f"{student} has no extension of {assignment} any more")
        return
    try:
        moment = datetime.fromisoformat(until or "")
    except ValueError:
        raise HostError("say until when, as in --until 2027-03-01T18:00+01:00") from None
    moment = moment if moment.tzinfo else moment.astimezone()
    kept = service_api.call(installed(state), "PUT", path, json={"until": moment.isoformat()}).json()
    console.print(f"{student} may submit {assignment} until {kept['until'][:19].replace('T', ' ')} UTC")


@app.command()
def extensions(course: Course, assignment: Assignment, state: State = None, json: Json = False) -> None:
    """List the students who have a deadline of their own."""
    path = f"courses/{course}/assignments/{assignment}/extensions"
    found = service_api.call(installed(state), "GET", path).json()
    if json:
        print_json(found)
        return
    rows = [[e["student"], e["until"][:19].replace("T", " "), e["by"]] for e in found]
    print_table("", ["student", "until (UTC)", "given by"], rows, f"Nobody has an extension of {assignment}.")


@app.command()
def regrade(
    course: Course,
    assignment: Assignment,
    student: Student = None,
    never_lower: Annotated[
        bool, typer.Option("--never-lower", help="Nobody loses points: where a task earns less, it stays.")
    ] = False,
    yes: Yes = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Run the checks as they are now on the machines as they were submitted; shown first, then written."""
    room = installed(state)
    with progress.one(assignment) as told:
        made = grading.plan(room, course, assignment, student, told)
    if not json:
        console.print(grading.render(made))
    elif not yes:
        print_json(made)
        return
    if grading.changes(made) and not yes:
        typer.confirm("Write these points?", abort=True)
    with step("The gradebook takes them over"):
        brought = grading.write(room, made, never_lower=never_lower)
    if json:
        print_json({**made, "gradebook": brought})
        return
    for problem in brought["problems"]:
        status_console.print(f"  {problem}")
    console.print(f"{len(brought['done'])} grades in the gradebook are as the checks say now")


@app.command()
def prune(
    course: Course,
    keep: Annotated[int, typer.Option(help="Of each student and assignment, the last so many.", min=1)] = 3,
    released_days: Annotated[
        int | None, typer.Option(help="None of those whose feedback was released so many days ago.", min=0)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Yes = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Count the snapshots of submissions, and remove those that no regrade needs.

    A submission that counts (the last in time, the last that was graded) keeps its machines. The
    submission itself, its verdicts and its receipt always stay.
    """
    room = installed(state)
    policy = {"keep": keep, "released_days": released_days}
    path = f"courses/{course}/snapshots/prune"
    found = service_api.call(room, "POST", path, json=policy).json()
    if json:
        print_json(found)
    else:
        rows = [
            [p["student"], p["assignment"], p["submission"], f"{p['size'] / 1e6:.1f} MB"]
            for p in found["pruned"]
        ]
        print_table("", ["student", "assignment", "submission", "size"], rows, "Nothing can go.")
        goes = sum(p["size"] for p in found["pruned"]) / 1e6
        console.print(f"{found['snapshots']} snapshots, {found['size'] / 1e6:.1f} MB; {goes:.1f} MB can go")
    if dry_run or not found["pruned"]:
        return
    if not yes:
        typer.confirm("Remove these snapshots? Their submissions cannot be regraded then.", abort=True)
    with step(f"{len(found['pruned'])} submissions let go of their machines"):
        service_api.call(room, "POST", path, json={**policy, "dry_run": False})


def _duration(seconds: float) -> str:
    if not seconds:
        return "–"
    minutes = int(seconds // 60)
    hours = minutes // 60
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h {minutes % 60} min"
