"""A registrar's list of people, as it comes: encoding, separator and columns are found out.

Nothing is guessed silently: `Sheet.notes` tells what was taken for what, `Sheet.problems` which lines
could not be used.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import yaml

from ..accounts import Role

MAX_BYTES = 10 << 20
FIELDS = {
    "name": "user name",
    "mail": "mail address",
    "full": "whole name",
    "first": "first name",
    "last": "last name",
    "role": "role",
}
"""What a column may hold, by the word that names it in `--columns`, and in words."""

_KNOWN = yaml.safe_load((Path(__file__).parent / "headings.yml").read_text())
_FIELD_OF = {heading: field for field, headings in _KNOWN["columns"].items() for heading in headings}
_RANK = {heading: rank for rank, heading in enumerate(_FIELD_OF)}
_ROLES = {word: Role(role) for role, words in _KNOWN["roles"].items() for word in words}
_SEPARATORS = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "bars"}
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\u00ad\u200e\u200f"))
_MAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")
_IN_EXPONENTS = re.compile(r"\d+(?:[.,]\d+)?E\+?\d+")


class RosterError(Exception):
    """A list that cannot be used at all: why, and what to do instead."""


@dataclass(frozen=True)
class Entry:
    """One person of the list. `name` is the user name, "" where the list has none."""

    line: int
    name: str
    display_name: str
    mail: str
    role: Role | None
    """None where the list does not say."""


@dataclass(frozen=True)
class Sheet:
    """A list that was read. `problems` are lines that cannot be used: their number and a sentence."""

    entries: list[Entry]
    problems: list[tuple[int, str]]
    notes: list[str]


def read(data: bytes, columns: Mapping[str, str] | None = None) -> Sheet:
    """Read a list of people.

    Args:
        data: the file, with whatever byte order mark, encoding, line ends and separator.
        columns: headings by the words of `FIELDS`, where they are not guessed right.

    Raises:
        RosterError: it is no such list, or nothing in it tells people apart.
    """
    text, encoding = _decode(data)
    rows, separator = _rows(text)
    at, found = _header(rows, columns or {})
    notes = [f"Read as {encoding}, separated by {_SEPARATORS[separator]}."]
    if at is None:
        notes.append("There are no headings; columns were told by what is in them.")
        body = rows
    else:
        if at:
            notes.append(f"{at} line(s) above the headings were passed over.")
        body = rows[at + 1 :]
    headings = rows[at][1] if at is not None else []
    shown = [
        f"{FIELDS[field]}: " + (f"'{headings[column]}'" if headings else f"column {column + 1}")
        for field, column in found.items()
    ]
    notes.append("Columns: " + ", ".join(shown) + ".")
    entries, problems = [], []
    for line, row in body:
        cells = {field: row[column] if column < len(row) else "" for field, column in found.items()}
        if _is_furniture(row, cells):
            notes.append(f"Line {line} is not a person: {' '.join(filter(None, row))[:60]}")
            continue
        try:
            entries.append(_entry(line, cells))
        except ValueError as error:
            problems.append((line, str(error)))
    if not entries and not problems:
        raise RosterError("the list has headings and nobody in it")
    return Sheet(entries, problems, notes)


def plain(text: str) -> str:
    """Lower case, without accents and punctuation: `Prénom` and `PRENOM:` are the same.

    >>> plain("  N° Étudiant ")
    'n etudiant'
    """
    ascii_text = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", ascii_text.lower()))


def _decode(data: bytes) -> tuple[str, str]:
    if len(data) > MAX_BYTES:
        raise RosterError(f"the list is longer than {MAX_BYTES >> 20} MB; a class's is a few kilobytes")
    if data[:4] == b"PK\x03\x04" or data[:4] == b"\xd0\xcf\x11\xe0":
        raise RosterError("this is a spreadsheet: open it and save it as CSV (UTF-8), then import that")
    for mark, encoding, words in (
        (b"\xff\xfe", "utf-16", "UTF-16"),
        (b"\xfe\xff", "utf-16", "UTF-16"),
        (b"", "utf-8-sig", "UTF-8"),
        (b"", "cp1252", "Windows-1252"),
    ):
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                continue
            if "\0" not in text:
                return text, words
    raise RosterError("this is not a text file: export the list as CSV, encoded as UTF-8")


def _rows(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """The rows that hold something, with the number of the line on which each begins."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = text.partition("\n")
    skipped = 1
    if re.fullmatch(r"sep=.", first.strip()):  # what Excel writes for itself
        text, skipped = rest, 2
    separator = _separator(text)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, skipinitialspace=True)
    rows, line = [], skipped
    try:
        for row in reader:
            cells = [_clean(cell) for cell in row]
            if any(cells):
                rows.append((line, cells))
            line = skipped + reader.line_num
    except csv.Error as error:
        raise RosterError(f"line {line} is not CSV: {error}") from None
    if not rows:
        raise RosterError("the list is empty")
    return rows, separator


def _separator(text: str) -> str:
    """The separator that cuts most lines into the same number of cells."""
    lines = [line for line in text.splitlines() if line.strip()][:50]

    def regularity(separator: str) -> tuple[int, int]:
        widths = [line.count(separator) for line in lines if separator in line]
        return max(map(widths.count, widths), default=0), max(widths, default=0)

    return max(_SEPARATORS, key=regularity)


def _clean(cell: str) -> str:
    cell = unicodedata.normalize("NFC", cell.translate(_INVISIBLE).replace("\xa0", " "))
    cell = " ".join(cell.split())
    if cell.startswith('="') and cell.endswith('"'):  # how one keeps Excel from eating leading zeros
        cell = cell[2:-1]
    return cell.lstrip("'").strip() if cell.startswith("'") else cell


def _header(
    rows: list[tuple[int, list[str]]], columns: Mapping[str, str]
) -> tuple[int | None, dict[str, int]]:
    """Which row has the headings, None if none has, and which column holds which field."""
    for at, (_, row) in enumerate(rows[:20]):
        found = _fields(row, columns)
        if len(found) >= 2 or (found and len(row) == 1) or (columns and len(found) >= len(columns)):
            if not {"name", "mail"} & found.keys() and not _names(found):
                continue
            return at, found
    if columns:
        wanted = ", ".join(f"'{heading}'" for heading in columns.values())
        raise RosterError(f"no line has the headings {wanted}; the first line is: {' | '.join(rows[0][1])}")
    found = _by_content([row for _, row in rows])
    if not found:
        raise RosterError(
            "no column is told by its heading to be a user name, mail address or name, nor by what is in it. "
            f"The first line is: {' | '.join(rows[0][1])}. Say which is which: "
            "--columns 'name=Heading one,first=Heading two'"
        )
    return None, found


def _names(found: Mapping[str, int]) -> bool:
    return "full" in found or {"first", "last"} <= found.keys()


def _fields(row: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    headings = [plain(cell) for cell in row]
    found: dict[str, int] = {}
    for column, heading in enumerate(headings):
        field = _FIELD_OF.get(heading)
        if field and (field not in found or _RANK[heading] < _RANK[headings[found[field]]]):
            found[field] = column
    for field, wanted in columns.items():
        if plain(wanted) not in headings:
            return {}
        found[field] = headings.index(plain(wanted))
    if "full" in found and {"first", "last"} <= found.keys():
        del found["full"]
    return found


def _by_content(rows: list[list[str]]) -> dict[str, int]:
    """Columns of a list without headings: addresses, and beside them what looks like names or user names."""
    width = max(map(len, rows))
    columns = [[row[i] for row in rows if i < len(row) and row[i]] for i in range(width)]
    found: dict[str, int] = {}
    for index, cells in enumerate(columns):
        if not cells:
            continue
        if all(map(_MAIL.fullmatch, cells)):
            found.setdefault("mail", index)
        elif all(re.fullmatch(r"[a-z0-9._-]*\d[a-z0-9._-]*", cell) for cell in cells):
            found.setdefault("name", index)
        elif all(" " in cell for cell in cells) and not any(re.search(r"\d", cell) for cell in cells):
            found.setdefault("full", index)
    return found if {"mail", "name"} & found.keys() else {}


def _is_furniture(row: list[str], cells: Mapping[str, str]) -> bool:
    """Totals, dates of export, and what a learning platform puts under its headings."""
    if len([cell for cell in row if cell]) == 1 and not cells.get("name") and not cells.get("mail"):
        return True
    words = plain(cells.get("full", "") or cells.get("last", ""))
    return words in ("points possible", "student test", "test student") or words.startswith("total")


def _entry(line: int, cells: Mapping[str, str]) -> Entry:
    """Raises ValueError in words."""
    name = cells.get("name", "")
    if _IN_EXPONENTS.fullmatch(name):
        raise ValueError(
            f"'{name}' is a number that a spreadsheet has rounded; export the column as text and import again"
        )
    name = re.sub(r"\.0+$", "", name).lower()
    mail = cells.get("mail", "").lower()
    match = _MAIL.search(mail)
    if mail and not match:
        raise ValueError(f"'{mail}' is not a mail address")
    display_name = cells.get("full", "")
    if display_name.count(",") == 1:
        last, first = display_name.split(",")
        display_name = f"{first.strip()} {last.strip()}"
    if not display_name:
        display_name = f"{cells.get('first', '')} {cells.get('last', '')}".strip()
    role = _ROLES.get(plain(cells.get("role", ""))) if "role" in cells else None
    if role is None and "role" in cells:
        raise ValueError(f"'{cells['role']}' is not a role that we know: student, ta or instructor")
    if not name and not match and not display_name:
        raise ValueError("there is neither a user name nor a mail address nor a name")
    return Entry(line, name, display_name[:200], match[0] if match else "", role)


def candidates(entry: Entry) -> Iterator[str]:
    """User names for a person whose list has none: from the mail address or the name, then with numbers."""
    stem = entry.mail.partition("@")[0] or plain(entry.display_name).replace(" ", ".")
    stem = re.sub(r"[^a-z0-9._-]+", "-", stem.partition("+")[0]).strip("._-")[:60] or "student"
    yield stem
    yield from (f"{stem}{number}" for number in count(2))
