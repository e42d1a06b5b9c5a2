"""The demo: three students, a TA and an instructor of `linux-intro`, and its first assignment released."""

import json
import os
import secrets

from machineroom_spawners.course import read_course

from . import accounts, courses
from .room import Room

COURSE = "linux-intro"
PEOPLE = (
    ("ada", "student"),
    ("brook", "student"),
    ("chen", "student"),
    ("tariq", "ta"),
    ("ines", "instructor"),
)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters that look like others: people type these by hand."""


def accounts_file(room: Room) -> list[dict[str, str]]:
    """The demo accounts, `[{"name", "role", "password"}]`; empty before they are made."""
    path = room.state / "accounts.json"
    return json.loads(path.read_text()) if path.is_file() else []


def make_accounts(room: Room) -> None:
    """Make the demo accounts that are not there yet, with random passwords kept in a file of mode 0600."""
    known = {account["name"]: account for account in accounts_file(room)}
    for name, role in PEOPLE:
        known.setdefault(name, {"name": name, "role": role, "password": random_password()})
    if len(known) > len(accounts_file(room)):
        part = room.state / "accounts.json.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(list(known.values()), file, indent=2)
        part.replace(room.state / "accounts.json")  # before the accounts: a crash here loses no password
    for name, role in PEOPLE:
        if accounts.get(room, name) is None:
            accounts.add(room, name, password=known[name]["password"])
            accounts.enrol(room, name, COURSE, role)


def random_password() -> str:
    """A password of 58 bits that a person can type, such as `k3fm-8xwa-p2rt`."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


def first_assignment(room: Room) -> str:
    """The name of the demo course's first assignment."""
    return read_course(room.courses / COURSE).assignments[0].name


def released(room: Room) -> bool:
    """Whether the first assignment can be fetched."""
    return courses.is_released(room, COURSE, first_assignment(room))


def release_first(room: Room) -> None:
    """Generate and release the first assignment, as an instructor would in formgrader."""
    courses.release(room, COURSE, first_assignment(room), unproven=True)
