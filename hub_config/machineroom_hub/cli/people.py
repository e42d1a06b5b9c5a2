"""token, accounts: who may log in, and tokens for scripts."""

from typing import Annotated

import typer
from machineroom_spawners.course import read_courses

from .. import accounts as store
from .. import demo
from ..host import HostError
from ..hub_api import HubApi
from .common import Json, State, console, installed, print_json, print_table, unknown_course

people = typer.Typer(help="Show the demo accounts with their passwords; list everybody, and add people.")


def register(app: typer.Typer) -> None:
    """Add this module's commands to the tree."""
    app.command()(token)
    app.add_typer(people, name="accounts")


def token(user: str, state: State = None) -> None:
    """Print a fresh JupyterHub API token for USER (operator only)."""
    typer.echo(HubApi(installed(state)).token(user))


@people.callback(invoke_without_command=True)
def accounts(context: typer.Context, state: State = None, json: Json = False) -> None:
    """Show the demo accounts with their passwords, random per installation."""
    if context.invoked_subcommand:
        return
    room = installed(state)
    found = demo.accounts_file(room)
    if json:
        print_json(found)
    elif not found:
        raise HostError(
            f"{room.state} has no demo accounts. ./machineroom accounts list shows the others; "
            "their passwords were shown once, and `accounts add NAME --new-password` makes another"
        )
    else:
        print_table(
            "", ["role", "user", "password"], [[a["role"], a["name"], a["password"]] for a in found], ""
        )


@people.command("list")
def listing(
    state: State = None,
    course: Annotated[str | None, typer.Option(help="Only people of this course.")] = None,
    json: Json = False,
) -> None:
    """List everybody who may log in, with their courses."""
    room = installed(state)
    found = store.listing(room, course)
    if course and not found and course not in read_courses(room.courses):
        raise unknown_course(room, course)
    if json:
        print_json(
            [
                {
                    "name": a.name,
                    "display_name": a.display_name,
                    "active": a.active,
                    "operator": a.operator,
                    "courses": a.roles,
                }
                for a in found
            ]
        )
        return
    rows = [
        [a.name, a.display_name, ", ".join(f"{c} ({role})" for c, role in a.roles.items()) or "–", _may(a)]
        for a in found
    ]
    print_table("", ["user", "name", "courses", "may log in"], rows, "There are no accounts.")


@people.command()
def add(
    name: Annotated[str, typer.Argument(help="User name: lower-case letters, digits and . _ @ -")],
    course: Annotated[str | None, typer.Option(help="Enrol the person in this course …")] = None,
    role: Annotated[store.Role, typer.Option(help="… as student, ta or instructor.")] = store.Role.STUDENT,
    display_name: Annotated[str, typer.Option(help="The person's name, as people write it.")] = "",
    operator: Annotated[
        bool, typer.Option("--operator", help="Lets the person see and mend everything, and everybody.")
    ] = False,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Another password for an account that exists.")
    ] = False,
    state: State = None,
) -> None:
    """Add a person, or enrol one who is there; a new account's random password is printed once."""
    room = installed(state)
    if course and course not in read_courses(room.courses):
        raise unknown_course(room, course)
    fresh = store.get(room, name) is None
    password = demo.random_password() if fresh or new_password else ""
    store.add(room, name, password=password, display_name=display_name, operator=operator or None)
    if course:
        store.enrol(room, name, course, role)
    console.print(f"{name}: " + (f"password {password}" if password else "the account was there already"))
    if course:
        console.print(f"{name} is {role} of {course}")
    if operator:
        console.print(f"{name} is an operator, from the next login on")


def _may(account: store.Account) -> str:
    return "yes" if account.active and account.password_hash else "no"
