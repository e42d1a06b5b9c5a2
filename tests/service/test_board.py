"""The class board, hands, messages, and machines of many at once: what graders see and do, and who may."""

import json
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from classroom import Classroom

BOARD = "courses/demo/board?assignment=first"
HAND = "courses/demo/hand"


@pytest.fixture(autouse=True)
def _hands_down(school: Classroom) -> Iterator[None]:
    yield
    for name in ("ada", "ben", "cyd"):
        school[name].delete(HAND)


def seen(school: Classroom, since: str = "") -> dict[str, Any]:
    reply = school["tom"].get(f"{BOARD}&since={since}")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def row(school: Classroom, name: str) -> dict[str, Any]:
    [found] = [row for row in seen(school)["students"] if row["student"] == name]
    return dict(found)


def messages(school: Classroom, name: str) -> list[str]:
    return [each["text"] for each in school[name].get("courses/demo/help").json()["messages"]]


def audit(school: Classroom, action: str) -> dict[str, Any]:
    """The newest entry of that kind."""
    entries = school["ina"].get("courses/demo/audit?limit=50").json()
    return dict(next(entry for entry in entries if entry["action"] == action))


def test_every_student_and_nobody_else(school: Classroom) -> None:
    board = seen(school)
    assert [row["student"] for row in board["students"]] == ["ada", "ben", "cyd", "d.knuth@example.org"]
    assert board["whole"] is True
    assert board["problem"] == ""
    assert [task["task"] for task in board["tasks"]] == ["notes", "neighbour"]
    plain = school["tom"].get("courses/demo/board").json()
    assert plain["tasks"] == []


def test_a_hand_goes_up_somebody_comes_and_it_goes_down(school: Classroom) -> None:
    before = seen(school)["cursor"]
    school["ada"].put(HAND, json={"sentence": "  I deleted /etc\u202e  "})
    news = seen(school, before)
    assert news["whole"] is False
    [ada] = news["students"]
    assert ada["hand"]["sentence"] == "I deleted /etc"
    assert ada["hand"]["coming"] is None
    said = school["tom"].put("courses/demo/hands/ada", json={})
    assert said.json()["coming"] == "tom"
    mine = school["ada"].get("courses/demo/help").json()["hand"]
    assert (mine["coming"], mine["since"]) == ("tom", ada["hand"]["since"])
    school["ada"].put(HAND, json={"sentence": "and /usr"})
    assert row(school, "ada")["hand"] == {**mine, "sentence": "and /usr"}, "it keeps its place"
    school["tom"].put("courses/demo/hands/ada", json={"coming": False})
    assert row(school, "ada")["hand"]["coming"] is None
    assert school["tom"].delete("courses/demo/hands/ada").status_code == 204
    assert row(school, "ada")["hand"] is None
    assert school["ada"].get("courses/demo/help").json()["hand"] is None
    assert school["tom"].put("courses/demo/hands/ada", json={}).status_code == 404
    assert audit(school, "hand.helped")["subject"] == "ada"
    assert audit(school, "hand.helped")["actor"] == "tom"


def test_who_has_seen_it_is_sent_next_to_nothing(school: Classroom) -> None:
    cursor = seen(school)["cursor"]
    again = school["ina"].get(f"{BOARD}&since={cursor}")
    assert again.json() == {"cursor": cursor, "whole": False, "students": []}
    for wrong in ("nonsense", "a.b", f"{cursor}9", "." * 40, cursor.replace(".", ".-")):
        assert len(seen(school, wrong)["students"]) == 4 or wrong == f"{cursor}9"
    assert seen(school, "0.0")["whole"] is True


def test_a_restart_of_the_service_loses_nothing(school: Classroom) -> None:
    school["ben"].put(HAND, json={"sentence": "still up"})
    school["tom"].post("courses/demo/messages", json={"text": "back in five minutes", "to": ["ben"]})
    cursor = seen(school)["cursor"]
    school.stop("service")
    school.start_service()
    assert row(school, "ben")["hand"]["sentence"] == "still up"
    assert messages(school, "ben")[-1] == "back in five minutes"
    assert seen(school, cursor)["whole"] is True, "another service has other numbers"


def test_messages_go_to_whom_they_are_for(school: Classroom) -> None:
    sent = school["tom"].post("courses/demo/messages", json={"text": "<b>hello</b>\neverybody", "to": "all"})
    assert sent.json()["to"] == ["ada", "ben", "cyd", "d.knuth@example.org"]
    assert messages(school, "ada")[-1] == messages(school, "cyd")[-1] == "<b>hello</b>\neverybody"
    school["tom"].post("courses/demo/messages", json={"text": "for two", "to": ["ada", "ben"]})
    assert messages(school, "ada")[-1] == messages(school, "ben")[-1] == "for two"
    assert "for two" not in messages(school, "cyd")
    entry = audit(school, "message")
    assert (entry["actor"], entry["detail"]["text"], entry["detail"]["to"]) == (
        "tom",
        "for two",
        ["ada", "ben"],
    )
    for to in (["ada", "eve"], ["tom"], [], "some", {"assignment": "first"}):
        refused = school["tom"].post("courses/demo/messages", json={"text": "no", "to": to})
        assert refused.status_code in (404, 422), to
        assert len(refused.json()["detail"]) > 20
    for text in ("", " \n ", "\u200b\u202e", "x" * 2001):
        reply = school["tom"].post("courses/demo/messages", json={"text": text, "to": "all"})
        assert reply.status_code == 422, text
    assert messages(school, "ada")[-1] == "for two"


@pytest.fixture(scope="module")
def machines(school: Classroom) -> Iterator[None]:
    """Ben and cyd have the machines of the lab, made at one stroke."""
    school.release()
    reply = bulk(school, "ensure", students=["ben", "cyd"], lab="pair")
    assert reply[-1]["done"] == {"done": 4, "failed": []}, reply
    assert len(reply) == 5
    assert "of cyd: running" in str(reply)
    yield
    for name in ("ben", "cyd"):
        school.remove_machines(name)


def bulk(school: Classroom, action: str, who: str = "tom", **whose: Any) -> list[dict[str, Any]]:
    reply = school[who].post(f"courses/demo/machines/{action}", json=whose)
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


@pytest.mark.usefixtures("machines")
def test_tasks_and_checks_of_the_class(school: Classroom, engine: docker.DockerClient) -> None:
    school["ben"].post("courses/demo/checks", json={"assignment": "first"})
    school["cyd"].post("courses/demo/checks", json={"task": "notes"})
    time.sleep(1.1)  # solving it takes some time
    school.container(engine, "ben").exec_run(["touch", "/srv/lesson/notes"])
    school.container(engine, "ben").exec_run(["chmod", "600", "/srv/lesson/notes"])
    school["ben"].post("courses/demo/checks", json={"task": "notes"})
    school["tom"].put(HAND, json={"sentence": "stir it"})  # what was found is old now
    school["tom"].delete(HAND)
    board = seen(school)
    ben, cyd = (row for row in board["students"] if row["student"] in ("ben", "cyd"))
    assert (ben["tasks"]["notes"]["earned"], ben["tasks"]["notes"]["points"]) == (3, 3)
    assert ben["tasks"]["notes"]["took"] > 0
    assert ben["tasks"]["neighbour"]["took"] is None, "it passed when it was first looked at"
    assert cyd["tasks"]["notes"]["earned"] == 0
    assert "neighbour" not in cyd["tasks"]
    assert {m["machine"]: m["state"] for m in cyd["machines"]} == {"box": "running", "db": "running"}
    assert cyd["active"]
    fails = {(one["task"], one["title"]): (one["failed"], one["of"]) for one in board["checks"]}
    assert fails["notes", "There are notes"] == (1, 2)
    assert fails["neighbour", "The box reaches the database machine"] == (0, 1)
    assert "SECRET-IN-CHECK" not in str(board)
    [check] = [one["check"] for one in board["checks"] if one["title"] == "There are notes"]
    for failing in ({"task": "notes"}, {"task": "notes", "check": check}):
        to = {"assignment": "first", **failing}
        sent = school["tom"].post("courses/demo/messages", json={"text": "try touch", "to": to})
        assert sent.json()["to"] == ["cyd"]
    nobody = school["tom"].post(
        "courses/demo/messages",
        json={"text": "?", "to": {"assignment": "first", "task": "neighbour"}},
    )
    assert nobody.status_code == 404
    school.stop("service")
    school.start_service()
    assert row(school, "ben")["tasks"] == ben["tasks"], "it is read again from what was stored"


@pytest.mark.usefixtures("machines")
def test_what_is_done_to_many_says_who_failed_and_why(school: Classroom) -> None:
    *steps, last = bulk(school, "suspend", students=None)
    assert last == {"done": {"done": 4, "failed": []}}
    assert [step["percent"] for step in steps] == [25, 50, 75, 100]
    assert {m["state"] for m in row(school, "ben")["machines"]} == {"suspended"}
    assert audit(school, "machines.suspend")["detail"]["students"] == "all"
    last = bulk(school, "resume", students=["ben", "nobody", "eve"])[-1]
    assert last["done"]["done"] == 2
    assert [one["student"] for one in last["done"]["failed"]] == ["eve", "nobody"]
    assert {m["state"] for m in row(school, "ben")["machines"]} == {"running"}
    assert {m["state"] for m in row(school, "cyd")["machines"]} == {"suspended"}
    assert bulk(school, "suspend", students=["cyd"]) == [{"done": {"done": 0, "failed": []}}]
    for whose in ({"students": None}, {"students": ["ben"], "lab": "nope"}, {}):
        assert school["tom"].post("courses/demo/machines/reset", json=whose).status_code in (404, 422)


def test_more_time_for_many(school: Classroom) -> None:
    url = "courses/demo/assignments/first/extensions"
    until = "2031-01-01T12:00:00Z"
    reply = school["tom"].post(url, json={"students": ["ada", "eve"], "until": until})
    assert reply.json()["done"] == 1
    assert [one["student"] for one in reply.json()["failed"]] == ["eve"]
    assert row(school, "ada")["extension"] == "2031-01-01T12:00:00.000000Z"
    assert row(school, "ben")["extension"] is None
    assert school["tom"].post(url, json={"students": None, "until": until}).json()["done"] == 4
    assert audit(school, "extend")["detail"]["until"].startswith("2031")
    for name in ("ada", "ben", "cyd", "d.knuth@example.org"):
        assert school["tom"].delete(f"{url}/{name}").status_code == 204


@pytest.mark.parametrize("who", ["ada", "eve", "tim"])
def test_the_board_is_the_graders_own(school: Classroom, who: str) -> None:
    """A student of the course, one of another, and a grader of another."""
    cyd = {"students": ["cyd"], "lab": "pair"}
    tries: list[tuple[str, str, Any]] = [
        ("GET", BOARD, None),
        ("PUT", "courses/demo/hands/ben", {}),
        ("DELETE", "courses/demo/hands/ben", None),
        ("POST", "courses/demo/messages", {"text": "hi", "to": "all"}),
        *(("POST", f"courses/demo/machines/{action}", cyd) for action in ("ensure", "reset", "suspend")),
        (
            "POST",
            "courses/demo/assignments/first/extensions",
            {"students": ["ada"], "until": "2031-01-01T12:00Z"},
        ),
    ]
    school["ben"].put(HAND, json={"sentence": "me"})
    for method, path, body in tries:
        reply = school[who].request(method, path, json=body)
        assert reply.status_code == 403, f"{method} {path}: {reply.text}"
    assert row(school, "ben")["hand"]["coming"] is None
    assert "hi" not in messages(school, "cyd")


def test_a_hand_is_ones_own(school: Classroom) -> None:
    for who in ("eve", "tim"):
        assert school[who].put(HAND, json={"sentence": "let me in"}).status_code == 403
        assert school[who].get("courses/demo/help").status_code == 403
    for body in ({}, {"sentence": ""}, {"sentence": "x" * 301}, {"sentence": "x", "student": "ben"}):
        assert school["ada"].put(HAND, json=body).status_code == 422
    assert school["ada"].put("courses/nix/hand", json={"sentence": "x"}).status_code in (403, 404)
