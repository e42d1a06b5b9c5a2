"""Lists as registrars and learning platforms really export them."""

import codecs
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machineroom_hub.accounts import Role
from machineroom_hub.roster.reading import Entry, RosterError, plain, read

PLAIN = (
    "Username,First name,Last name,Email\nada,Ada,Lovelace,ada@uni.example\nzoe,Zoë,Größe,zoe@uni.example\n"
)
TWO = [
    Entry(2, "ada", "Ada Lovelace", "ada@uni.example", None),
    Entry(3, "zoe", "Zoë Größe", "zoe@uni.example", None),
]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        codecs.BOM_UTF8 + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        PLAIN.encode("cp1252"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode("cp1252"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace(",", "|").encode(),
        PLAIN.replace(",", " , ").encode(),
        ('"' + PLAIN.strip().replace(",", '","').replace("\n", '"\n"') + '"').encode(),
        PLAIN.replace("Zoë", "Zoe\u0308").encode(),  # accents as macOS writes them
        PLAIN.replace("ada@", "\u200bada@").replace("Ada ", "Ada\xa0").encode(),
        (PLAIN + "\n,,,\n   \n").encode(),
    ],
)
def test_one_list_in_every_dress(data: bytes) -> None:
    assert read(data).entries == TWO


def test_what_excel_adds_for_itself() -> None:
    text = 'sep=;\nMatrikel-Nr.;Nachname;Vorname\n="0042";Müller;Jörg\n\'0043;Groß;Anna\n44.0;Ayşe;Öz\n'
    found = read(text.encode())
    assert [(e.line, e.name, e.display_name) for e in found.entries] == [
        (3, "0042", "Jörg Müller"),
        (4, "0043", "Anna Groß"),
        (5, "44", "Öz Ayşe"),
    ]


@pytest.mark.parametrize(
    ("headings", "fields"),
    [
        ("N° étudiant;Nom de famille;Prénom;Adresse de courriel", "name last first mail"),
        ("Identifiant;NOM;PRENOM;Courriel", "name last first mail"),
        ("Matrikelnummer;Nachname;Vorname;E-Mail-Adresse", "name last first mail"),
        ("Apellidos;Nombre;Correo electrónico;Usuario", "last first mail name"),
        ("Full name,Login ID,E-Mail Address", "full name mail"),
        ("Student Name\tStudent ID\tE-mail", "full name mail"),
    ],
)
def test_headings_in_several_languages(headings: str, fields: str) -> None:
    separator = next(s for s in ";,\t" if s in headings)
    values = {"name": "x17", "last": "Ōe", "first": "Ken", "full": "Ken Ōe", "mail": "ken@uni.example"}
    line = separator.join(values[field] for field in fields.split())
    [entry] = read(f"{headings}\n{line}\n".encode()).entries
    assert (entry.name, entry.display_name, entry.mail) == ("x17", "Ken Ōe", "ken@uni.example")


def test_of_two_columns_that_could_be_the_user_name_the_login_is() -> None:
    canvas = (
        "Student,ID,SIS User ID,SIS Login ID,Section\n"
        "    Points Possible,,,,\n"
        '"Lovelace, Ada",4711,s123,ada,Monday\n'
        '"Student, Test",1,,t,\n'
    )
    found = read(canvas.encode())
    assert [(e.name, e.display_name) for e in found.entries] == [("ada", "Ada Lovelace")]
    assert any("Line 2 is not a person" in note for note in found.notes)


def test_titles_above_and_totals_below() -> None:
    text = "Université de X;;\nExporté le 21/11/2026;;\n\n"
    text += "Nom;Prénom;Courriel\nDupré;Anaïs;a.dupre@u.example\nTotal : 1;;\n"
    found = read(text.encode("cp1252"))
    assert found.entries == [Entry(5, "", "Anaïs Dupré", "a.dupre@u.example", None)]
    assert found.problems == []


def test_without_headings() -> None:
    assert read(b"ada@uni.example\nben@uni.example\n").entries[1] == Entry(2, "", "", "ben@uni.example", None)
    [entry, _] = read(b"s01;Ada Lovelace;ada@uni.example\ns02;Ben B;b@u.example\n").entries
    assert entry == Entry(1, "s01", "Ada Lovelace", "ada@uni.example", None)


def test_columns_can_be_said() -> None:
    text = b"Konto,Wer\nada,Ada Lovelace\n"
    [entry] = read(text, {"name": "konto", "full": "WER"}).entries
    assert (entry.name, entry.display_name) == ("ada", "Ada Lovelace")
    with pytest.raises(RosterError, match="no line has the headings 'Login'; the first line is: Konto"):
        read(text, {"name": "Login"})


def test_roles() -> None:
    found = read("login,rôle\na1,étudiant\nb2,Tutor\nc3,Dozent\nd4,\ne5,Papst\n".encode())
    assert [e.role for e in found.entries] == [Role.STUDENT, Role.TA, Role.INSTRUCTOR, Role.STUDENT]
    assert found.problems == [(6, "'Papst' is not a role that we know: student, ta or instructor")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1.23457E+11,A,a@u.example", "a spreadsheet has rounded"),
        ("ada,A,ada(at)uni.example", "'ada(at)uni.example' is not a mail address"),
    ],
)
def test_lines_that_cannot_be_used_are_told_with_their_number(line: str, words: str) -> None:
    found = read(f"username,name,email\nben,B,b@u.example\n{line}\n".encode())
    assert [e.name for e in found.entries] == ["ben"]
    [(number, sentence)] = found.problems
    assert number == 3
    assert words in sentence


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the list is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "the list is empty"),
        (b"PK\x03\x04rest of a spreadsheet", "save it as CSV"),
        (b"\x00\x01\x02\x03", "not a text file"),
        (b"username,name\n", "nobody in it"),
        (b"colour,size\nred,big one\n", "no column is told"),
        (b"x" * (11 << 20), "longer than 10 MB"),
        (b'username,name\nada,"Ada' + b"x" * 200_000, "is not CSV"),
    ],
)
def test_what_is_no_list_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(RosterError, match=words):
        read(data)


def test_a_cell_may_hold_separators_and_line_ends() -> None:
    found = read(b'username,name,email\nada,"Ada;\nLovelace",a@u.example\nben,"B, C",b@u.example\n')
    assert [(e.line, e.name) for e in found.entries] == [(2, "ada"), (4, "ben")]


@given(st.binary(max_size=300))
def test_nothing_takes_it_down(data: bytes) -> None:
    with suppress(RosterError):
        assert read(data).notes


def test_plain() -> None:
    assert plain("  Prénom(s) : ") == "prenom s"
