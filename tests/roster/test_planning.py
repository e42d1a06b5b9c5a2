"""What a list means for a course, and that it is done whole or not at all."""

import json
from pathlib import Path

import pytest
from machineroom_hub import accounts, links, migrations
from machineroom_hub.accounts import AccountError, Role
from machineroom_hub.cli.app import app
from machineroom_hub.room import Room
from machineroom_hub.roster import Kind, Plan, carry_out, plan, read
from typer.testing import CliRunner

COURSE = "linux-intro"


@pytest.fixture
def place(tmp_path: Path) -> Room:
    """An installation with people and a course, and no engine."""
    room = Room(tmp_path)
    room.save_settings(demo=False)
    migrations.upgrade(room)
    with accounts.change(room) as people:
        people.add("ada", display_name="Ada Lovelace", mail="ada@u.example", password="long enough 1")
        people.add("ben", display_name="Ben B")
        people.add("ines", display_name="Ines I")
        people.add("other", mail="other@u.example")
        people.enrol("ada", COURSE, Role.STUDENT)
        people.enrol("ben", COURSE, Role.STUDENT)
        people.enrol("ines", COURSE, Role.INSTRUCTOR)
    (room.courses / COURSE).mkdir(parents=True)
    (room.courses / COURSE / "course.yml").write_text(
        "title: Linux\nassignments: [{name: a, title: A, lab: l}]\n"
    )
    lab = room.courses / COURSE / "labs" / "l"
    lab.mkdir(parents=True)
    (lab / "lab.yml").write_text("machines: {box: {image: lab-slim}}\n")
    return room


def planned(room: Room, text: str, **options: object) -> Plan:
    return plan(read(text.encode()), accounts.listing(room), COURSE, **options)  # type: ignore[arg-type]


def told(plan: Plan) -> dict[str, Kind]:
    return {change.name: change.kind for change in plan.changes}


def test_joining_staying_leaving(place: Room) -> None:
    made = planned(
        place,
        "username,name,email\nada,Ada Lovelace,ada@u.example\nother,Otto Other,\n"
        "new,Nina New,nina@u.example\n",
    )
    assert told(made) == {"new": Kind.NEW, "other": Kind.JOINS, "ben": Kind.LEAVES, "ada": Kind.STAYS}
    carry_out(place, made)
    roles = {a.name: a.roles.get(COURSE) for a in accounts.listing(place)}
    assert roles == {
        "ada": Role.STUDENT, "ben": None, "ines": Role.INSTRUCTOR, "new": Role.STUDENT, "other": Role.STUDENT
    }  # fmt: skip
    ben = accounts.get(place, "ben")
    assert ben is not None
    assert ben.active, "who leaves a course keeps the account and the work"
    assert told(planned(place, "username\nada\nother\nnew\n")) == dict.fromkeys(
        ("ada", "new", "other"), Kind.STAYS
    )


def test_leavers_can_stay_and_no_list_takes_out_or_demotes_those_who_teach(place: Room) -> None:
    assert Kind.LEAVES not in told(planned(place, "username\nada\n", leavers=False)).values()
    made = planned(place, "username\nines\nada\nben\n")
    assert told(made) == dict.fromkeys(("ines", "ada", "ben"), Kind.STAYS)
    carry_out(place, made)
    ines = accounts.get(place, "ines")
    assert ines is not None
    assert ines.roles == {COURSE: Role.INSTRUCTOR}
    assert told(planned(place, "username,role\nines,ta\nada,student\nben,\n"))["ines"] is Kind.ROLE


def test_without_user_names_people_are_found_again(place: Room) -> None:
    text = "Last name,First name,Email\nLovelace,Ada,ADA@u.example\n"
    text += "Müller,Jörg,joerg.mueller+x@u.example\nB,Ben,\n"
    made = planned(place, text)
    assert told(made) == {"joerg.mueller": Kind.NEW, "ada": Kind.STAYS, "ben.b": Kind.NEW, "ben": Kind.LEAVES}
    carry_out(place, made)
    assert set(told(planned(place, text)).values()) == {Kind.STAYS}, "the second import changes nothing"


def test_namesakes_get_a_number_and_the_same_line_twice_is_one_person(place: Room) -> None:
    made = planned(
        place,
        "first name,last name,email\nAnna,Ng,anna@u.example\n"
        "Anna,Ng,anna@v.example\nAnna,Ng,anna@u.example\n",
        leavers=False,
    )
    assert told(made) == {"anna": Kind.NEW, "anna2": Kind.NEW}
    assert any("Line 4 is line 2 again" in note for note in made.notes)


def test_one_user_name_for_two_people_is_told(place: Room) -> None:
    made = planned(place, "username,name\nkim,Kim A\nkim,Kim B\n", leavers=False)
    assert told(made) == {"kim": Kind.NEW}
    assert made.problems == [(3, "'kim' is Kim A on line 2 and Kim B here; mend one of them")]


@pytest.mark.parametrize("name", ["../etc", "a b", "x" * 65, "-rf", "ÅSA"])
def test_user_names_that_cannot_be(place: Room, name: str) -> None:
    made = planned(place, f"username,name\n{name},Somebody\n", leavers=False)
    assert made.changes == []
    [(line, words)] = made.problems
    assert line == 2
    assert "cannot be a user name" in words


def test_all_or_nothing(place: Room) -> None:
    made = planned(place, "username\nfirst\nsecond\n")
    made.changes[1].__dict__["name"] = "Not A Name"
    with pytest.raises(AccountError):
        carry_out(place, made)
    assert accounts.get(place, "first") is None


def run(room: Room, *words: str, answer: str = "") -> str:
    done = CliRunner().invoke(app, [*words, "--state", str(room.state)], input=answer, catch_exceptions=False)
    return f"{done.exit_code}\n{done.output}"


def test_the_command(place: Room, tmp_path: Path) -> None:
    file, cards = tmp_path / "class.csv", tmp_path / "cards.html"
    file.write_bytes("Login;Prénom;Nom\nada;Ada;Lovelace\nzoe;Zoë;Dupré <b>\nx y;No;Body\n".encode("cp1252"))
    words = ["roster", "import", str(file), "--course", COURSE, "--links", str(cards)]
    shown = run(place, *words, "--dry-run")
    assert "zoe" in shown
    assert "Line 4 is passed over" in shown
    assert accounts.get(place, "zoe") is None
    assert not cards.exists()
    refused = run(place, *words, answer="n\n")
    assert "1 people join linux-intro, 1 leave it (their work is kept), 1 lines passed over." in refused
    assert accounts.get(place, "zoe") is None
    assert run(place, *words, "--yes").startswith("0\n")
    page = cards.read_text()
    assert cards.stat().st_mode & 0o777 == 0o600
    assert "Zoë Dupré &lt;b&gt;" in page
    assert "<svg" in page
    assert "Ada Lovelace" not in page, "who has a password already needs no link"
    parsed = json.loads(run(place, *words[:5], "--json", "--dry-run").partition("\n")[2])
    assert parsed["problems"] == [[4, parsed["problems"][0][1]]]


def test_links_are_used_once(place: Room) -> None:
    old = links.make(place, ["ben"])["ben"].partition("token=")[2]
    token = links.make(place, ["ben"])["ben"].partition("token=")[2]
    assert links.owner(place, old) is None, "a new link ends the old"
    assert links.owner(place, token + "x") is None
    with pytest.raises(AccountError, match="10 to 1000 characters"):
        links.use(place, token, "short")
    used = links.use(place, token, "a long password")
    assert used is not None
    assert used.name == "ben"
    assert links.use(place, token, "another password") is None
    assert accounts.verify(place, "ben", "a long password")
    late = links.make(place, ["ben"], lasts=-links.LASTS)["ben"].partition("token=")[2]
    assert links.owner(place, late) is None
    out = links.make(place, ["ben"])["ben"].partition("token=")[2]
    accounts.set_active(place, "ben", False)
    assert links.owner(place, out) is None
    with pytest.raises(AccountError, match="may not log in"):
        links.make(place, ["ben"])
