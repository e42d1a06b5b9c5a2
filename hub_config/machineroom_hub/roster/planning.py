"""What importing a list would change: shown before anything is, and then done whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ..accounts import Account, AccountError, Role, change, check_name
from ..room import Room
from .reading import Entry, Sheet, candidates


class Kind(StrEnum):
    """What happens to a person."""

    NEW = "new"
    JOINS = "joins"
    ROLE = "role"
    NAME = "name"
    LEAVES = "leaves"
    STAYS = "stays"


@dataclass(frozen=True)
class Change:
    """One person: who it is, their role in the course afterwards (None: not in it), and why, in words."""

    kind: Kind
    name: str
    display_name: str
    mail: str
    role: Role | None
    words: str


@dataclass(frozen=True)
class Plan:
    """All that an import would do to a course. `problems` are lines that it would pass over."""

    course: str
    changes: list[Change]
    problems: list[tuple[int, str]]
    notes: list[str]

    def of(self, *kinds: Kind) -> list[Change]:
        """The changes of these kinds."""
        return [change for change in self.changes if change.kind in kinds]


def plan(
    sheet: Sheet, known: Sequence[Account], course: str, *, role: Role = Role.STUDENT, leavers: bool = True
) -> Plan:
    """What a list means for a course.

    Args:
        sheet: the list.
        known: every account of the installation.
        course: the course's id.
        role: what people are where the list does not say.
        leavers: whether the course's students who are not on the list leave it. Their accounts, work and
            grades are kept in any case, and nobody but students is ever taken out by a list.
    """
    problems, notes = list(sheet.problems), list(sheet.notes)
    by_name = {account.name: account for account in known}
    by_mail = {account.mail: account for account in known if account.mail}
    taken: dict[str, Entry] = {}
    for entry in sheet.entries:
        try:
            name = _name(entry, by_name, by_mail, taken)
        except AccountError as error:
            problems.append((entry.line, str(error)))
            continue
        if (before := taken.get(name)) is None:
            taken[name] = entry
        elif _alike(before, entry):
            notes.append(f"Line {entry.line} is line {before.line} again: {name}.")
        else:
            problems.append((
                entry.line,
                f"'{name}' is {before.display_name or before.mail or 'somebody'} on line {before.line} and "
                f"{entry.display_name or entry.mail or 'somebody else'} here; mend one of them",
            ))  # fmt: skip
    changes = [
        _change(name, entry, by_name.get(name), course, entry.role or role) for name, entry in taken.items()
    ]
    if leavers:
        changes += [
            Change(Kind.LEAVES, a.name, a.display_name, a.mail, None, "is not on the list; all work is kept")
            for a in known
            if a.roles.get(course) is Role.STUDENT and a.name not in taken
        ]
    return Plan(
        course, sorted(changes, key=lambda c: (list(Kind).index(c.kind), c.name)), sorted(problems), notes
    )


def carry_out(room: Room, plan: Plan) -> None:
    """Do what the plan says, in one transaction. Raises AccountError, and then nothing was done."""
    with change(room) as accounts:
        for each in plan.changes:
            if each.kind is not Kind.LEAVES:
                accounts.add(each.name, display_name=each.display_name, mail=each.mail)
            if each.kind in (Kind.NEW, Kind.JOINS, Kind.ROLE, Kind.LEAVES):
                accounts.enrol(each.name, plan.course, each.role)


def _name(
    entry: Entry, by_name: dict[str, Account], by_mail: dict[str, Account], taken: dict[str, Entry]
) -> str:
    """The person's user name: the list's, else that of the account with this address, else a new one."""
    if entry.name:
        check_name(entry.name)
        return entry.name
    if entry.mail and entry.mail in by_mail:
        return by_mail[entry.mail].name
    for name in candidates(entry):
        account, other = by_name.get(name), taken.get(name)
        if other is not None:
            if entry.mail and other.mail == entry.mail:
                return name
            continue
        if account is None or (not account.mail and account.display_name == entry.display_name):
            check_name(name)
            return name
    raise AssertionError  # candidates never end


def _alike(one: Entry, other: Entry) -> bool:
    return replace(one, line=0, name="", role=None) == replace(other, line=0, name="", role=None)


def _change(name: str, entry: Entry, account: Account | None, course: str, role: Role) -> Change:
    display_name = entry.display_name or (account.display_name if account else "")
    mail = entry.mail or (account.mail if account else "")
    made = Change(Kind.STAYS, name, display_name, mail, role, "")
    if account is None:
        return replace(made, kind=Kind.NEW, words=f"gets an account, and is {role} of the course")
    held = account.roles.get(course)
    if held is None:
        return replace(made, kind=Kind.JOINS, words=f"has an account, and becomes {role} of the course")
    if held is not role and entry.role is None:
        # A list without roles is one of students: it makes no instructor a student.
        return replace(made, role=held, words=f"stays {held}")
    if held is not role:
        return replace(made, kind=Kind.ROLE, words=f"was {held}, becomes {role}")
    if (account.display_name, account.mail) != (display_name, mail):
        was = (
            account.display_name or "no name"
            if account.display_name != display_name
            else account.mail or "no address"
        )
        return replace(made, kind=Kind.NAME, words=f"was recorded with {was}")
    return made
