"""roster: a class from its registrar's list, and the login links that people get."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from machineroom_spawners.course import read_courses

from .. import accounts, links, roster
from ..host import HostError
from ..room import Room
from ..roster import Kind, Plan
from ..roster.sheet import handout
from .common import Json, State, console, installed, print_json, print_table

app = typer.Typer(help="Import a class from its registrar's list; make login links.", no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option(help="Address at which people reach this installation [default: this host's own]."),
]
Days = Annotated[int, typer.Option(min=1, max=365, help="How long a link can be used, in days.")]
Links = Annotated[
    Path | None,
    typer.Option("--links", help="File for a page to print, with everybody's login link."),
]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The list, as CSV of any kind.", exists=True, dir_okay=False)],
    course: Annotated[str, typer.Option(help="The course whose class this is.")],
    role: Annotated[
        accounts.Role, typer.Option(help="What people are where the list does not say.")
    ] = accounts.Role.STUDENT,
    columns: Annotated[
        str, typer.Option(help="Headings that are not guessed right: 'name=Konto,mail=Post'.")
    ] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave students in the course who are not on the list.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before changing anything.")] = False,
    to: Links = None,
    url: Url = None,
    days: Days = 14,
    json: Json = False,
    state: State = None,
) -> None:
    """Make accounts and enrolments of a registrar's list; shows what would change, and asks, first.

    Students who are not on the list leave the course; their accounts, work and grades are kept.
    """
    room = installed(state)
    known = read_courses(room.courses)
    if course not in known:
        raise HostError(
            f"there is no course '{course}'; there are: {', '.join(known) or 'none yet'}. "
            "./machineroom course add brings one"
        )
    sheet = roster.read(file.read_bytes(), _columns(columns))
    plan = roster.plan(sheet, accounts.listing(room), course, role=role, leavers=not keep)
    if json:
        print_json(
            {"course": course, "changes": plan.changes, "problems": plan.problems, "notes": plan.notes}
        )
    else:
        _show(plan)
    changes = plan.of(Kind.NEW, Kind.JOINS, Kind.ROLE, Kind.NAME, Kind.LEAVES)
    if dry_run or not (changes or to):
        return
    if changes:
        if not yes:
            typer.confirm(_question(plan), abort=True, err=json)
        roster.carry_out(room, plan)
    if to:
        _write_links(room, to, url, days, [c.name for c in plan.changes if c.role], known[course].title)
    if not json:
        console.print(f"{course} has {len(accounts.listing(room, course))} people now")
        if plan.of(Kind.NEW) and not to:
            console.print("New people need a login link each: ./machineroom roster links --course " + course)


@app.command("links")
def make_links(
    to: Annotated[Path, typer.Argument(help="File to write the page to.")] = Path("login-links.html"),
    names: Annotated[
        list[str] | None, typer.Option("--user", help="For this person; may be repeated.")
    ] = None,
    course: Annotated[
        str | None, typer.Option(help="For everybody of this course who has no password yet.")
    ] = None,
    url: Url = None,
    days: Days = 14,
    state: State = None,
) -> None:
    """Write a page to print with one-time login links: whoever has one chooses a password and is in."""
    room = installed(state)
    wanted = list(names or ())
    if course:
        wanted += [a.name for a in accounts.listing(room, course) if a.active and not a.password_hash]
    if not wanted:
        raise HostError(
            f"everybody of {course} has a password already; name those who need a link with --user"
            if course
            else "say for whom: --user ada, or --course linux-intro for all there who have no password yet"
        )
    _write_links(room, to, url, days, wanted, course or "Machineroom")


def _columns(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    unknown = [
        field.strip() for field, _, heading in pairs if field.strip() not in roster.FIELDS or not heading
    ]
    if unknown:
        fields = ", ".join(f"{field} ({words})" for field, words in roster.FIELDS.items())
        raise HostError(f"--columns wants pairs like name=Konto; '{unknown[0]}' is none of: {fields}")
    return {field.strip(): heading for field, _, heading in pairs}


def _show(plan: Plan) -> None:
    for note in plan.notes:
        console.print(f"[dim]{note}[/]")
    marks = {Kind.NEW: "+", Kind.JOINS: "+", Kind.LEAVES: "–", Kind.STAYS: " "}
    rows = [
        [marks.get(c.kind, "~"), c.name, c.display_name, c.mail, c.words]
        for c in plan.changes
        if c.kind is not Kind.STAYS
    ]
    print_table("", ["", "user", "name", "mail", "what changes"], rows, "Nothing changes.")
    staying = len(plan.of(Kind.STAYS))
    if staying:
        console.print(f"[dim]{staying} people stay as they are.[/]")
    for line, sentence in plan.problems:
        console.print(f"[yellow]Line {line} is passed over:[/] {sentence}", markup=True)


def _question(plan: Plan) -> str:
    joining, leaving = len(plan.of(Kind.NEW, Kind.JOINS)), len(plan.of(Kind.LEAVES))
    passed = f", {len(plan.problems)} lines passed over" if plan.problems else ""
    return f"{joining} people join {plan.course}, {leaving} leave it (their work is kept){passed}. Go on?"


def _write_links(room: Room, to: Path, url: str | None, days: int, names: list[str], title: str) -> None:
    """Links for those of `names` who have no password yet, or for all of them when all have one."""
    people = {a.name: a for a in accounts.listing(room)}
    fresh = [n for n in names if n not in people or not people[n].password_hash] or names
    made = links.make(room, fresh, timedelta(days=days))
    base = (url or room.url).rstrip("/")
    seats = [(people[name], base + made[name]) for name in fresh]
    part = to.with_name(f".{to.name}.part")
    part.touch(mode=0o600)
    part.write_text(handout(title, base, seats, days))
    part.replace(to)
    console.print(f"{len(seats)} login links are in {to}: print it, hand them out, then delete it")
