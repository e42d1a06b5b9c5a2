"""course: make, prove, add, list and release courses."""

from pathlib import Path
from typing import Annotated

import typer
from machineroom_checks.runner import CheckRunner
from machineroom_spawners.course import read_course

from .. import courses, prove
from ..host import engine
from ..proof import render, save
from ..room import Room
from . import progress
from .common import (
    Json,
    State,
    console,
    count,
    driver,
    installed,
    print_fitted,
    print_json,
    print_table,
    restart_hub_for_courses,
    say,
)

app = typer.Typer(help="Make, prove, add, list and release courses.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The course's folder.", exists=True, file_okay=False)]


@app.command("list")
def show(state: State = None, json: Json = False) -> None:
    """List the courses of this installation."""
    found = courses.listing(installed(state))
    if json:
        print_json(found)
        return
    rows = [
        [c["id"], c["title"], str(len(c["assignments"])), str(c["machines"]), _proven(c), c["problem"] or ""]
        for c in found
    ]
    columns = ["course", "title", "assignments", "machines", "proven", "to mend"]
    print_table("", columns, rows, "There are no courses yet: ./machineroom course add PATH")


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="The folder to make; its name is the course's id.")],
) -> None:
    """Make a small course that is complete, to be changed into your own."""
    course = courses.new(folder.absolute())
    console.print(
        f"{course.folder} is a course of one assignment: notebook, lab, checks, solutions.\n"
        f"Change what you like, then: ./machineroom course prove {folder}"
    )


@app.command()
def add(
    folder: Folder,
    update: Annotated[
        bool, typer.Option("--update", help="Take over what its author has changed since it was added.")
    ] = False,
    state: State = None,
) -> None:
    """Add a course from its folder, or bring it up to date; what instructors changed here is kept."""
    room = installed(state)
    added = courses.add(room, folder, update=update)
    if added.new:
        verb = "added"
    elif not update:
        verb = "was there already (take over its author's changes with --update)"
    elif added.taken:
        verb = f"updated, {count(len(added.taken), 'file')} taken over"
    else:
        verb = "nothing to take over"
    console.print(f"{added.course.id}: {verb}")
    for name in added.kept:
        console.print(f"  {name} was changed by an instructor and kept; the author's version is {name}.new")
    restart_hub_for_courses(room)


@app.command()
def release(
    course: Annotated[str, typer.Argument(help="The course's id.")],
    assignment: Annotated[str, typer.Argument(help="The assignment's name.")],
    unproven: Annotated[
        bool, typer.Option("--unproven", help="Also if the course is not proven as it is now.")
    ] = False,
    state: State = None,
) -> None:
    """Generate the students' version of an assignment and let students fetch it."""
    with progress.one(assignment) as told:
        courses.release(installed(state), course, assignment, unproven=unproven, progress=told)
    console.print(f"{assignment} of {course} can be fetched")


@app.command("prove")
def prove_course(
    folder: Folder,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    machines: Annotated[int, typer.Option(help="How many sets of machines play at once.", min=1)] = 3,
    state: State = None,
    json: Json = False,
) -> None:
    """Play every solution: untouched scores 0, the solution everything, each wrong solution less."""
    room = Room(state)
    engine.ensure(say, room.id)
    course = read_course(folder)
    runner = CheckRunner()
    try:
        with progress.one(course.id) as told:
            proof = prove.prove(
                course, driver(room), runner, secret=room.secret, tasks=task, progress=told, machines=machines
            )
    finally:
        runner.close()
    save(course, proof)
    if json:
        print_json(proof.as_json())
    else:
        print_fitted(render(proof))
    raise typer.Exit(0 if proof.proven else 1)


def _proven(course: dict) -> str:
    return "yes" if course["proven"] else "no: ./machineroom course prove"
