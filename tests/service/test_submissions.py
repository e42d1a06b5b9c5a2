"""Submissions with their machines: what is taken, signed and kept, and who may do what with it."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest
from archives import GOOD
from classroom import Classroom
from local import until
from machineroom_hub.cli.app import app
from machineroom_hub.service.pruning import Kept, prunable
from machineroom_spawners.drivers.base import Snapshot
from machineroom_spawners.drivers.docker import DockerDriver
from typer.testing import CliRunner

SECOND = "courses/demo/assignments/second"


@pytest.fixture(scope="module")
def driver(school: Classroom) -> DockerDriver:
    return DockerDriver(room_id=school.room.id)


@pytest.fixture(scope="module", autouse=True)
def _machines(school: Classroom) -> Iterator[None]:
    """The second assignment is released, and ben has both machines of its lab."""
    school.release("second")
    for machine in ("box", "db"):
        reply = school["ben"].post(f"machines/ben/demo/pair/{machine}/ensure")
        assert "done" in json.loads(reply.text.splitlines()[-1]), reply.text
    yield
    school["tom"].delete(f"{SECOND}/release")
    school.remove_machines("ben")


@pytest.fixture
def box(school: Classroom, engine: docker.DockerClient) -> Any:
    """Ben's machine `box`."""
    return school.container(engine, "ben")


def submit(school: Classroom, name: str = "ben") -> dict[str, Any]:
    reply = school[name].post(f"{SECOND}/submissions", content=GOOD)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def snapshots(driver: DockerDriver, id: str) -> list[Snapshot]:
    return [s for s in driver.snapshots() if s.ref.owner == f"submission:{id}"]


def valid(school: Classroom, receipt: dict[str, Any], name: str = "ben") -> bool:
    reply = school[name].post("receipts/verify", json=receipt)
    assert reply.status_code == 200, reply.text
    return bool(reply.json()["valid"])


def test_a_submission_takes_its_machines_along(school: Classroom, box: Any, driver: DockerDriver) -> None:
    box.exec_run("sh -c 'echo mine >/srv/more'")
    receipt = submit(school)
    assert [report["earned"] for report in receipt["checks"]] == [1]
    assert [(m["machine"], m["image"]) for m in receipt["machines"]] == [
        ("box", "lab-slim"),
        ("db", "lab-slim"),
    ]
    assert receipt["machines"][0]["id"] == box.id
    assert receipt["missing"] == []
    kept = snapshots(driver, receipt["id"])
    assert {s.id for s in kept} == {m["snapshot"] for m in receipt["machines"]}
    assert driver.snapshots(kept[0].ref) == kept[:1]
    own = [s for s in driver.snapshots() if s.ref.owner == "ben"]
    assert own == [], "they are not among the student's own"


def test_a_receipt_is_genuine_and_nothing_in_it_can_be_changed(school: Classroom, box: Any) -> None:
    receipt = submit(school)
    assert valid(school, receipt)
    assert valid(school, receipt, "cyd"), "whoever is shown a receipt can ask about it"
    graders = school["tom"].get(f"{SECOND}/submissions?student=ben&latest=1").json()[0]
    assert valid(school, graders, "tom")
    better = json.loads(json.dumps(receipt["checks"]))
    better[0]["earned"] = 1000
    forged: list[dict[str, Any]] = [
        {"student": "cyd"},
        {"timestamp": "2020-01-01T00:00:00.000000Z"},
        {"sha256": "0" * 64},
        {"id": "0" * 16},
        {"assignment": "first"},
        {"room": "000000"},
        {"machines": receipt["machines"][:1]},
        {"verdicts": []},
        {"signature": "0" * 64},
        {"signature": None},
        {"checks": better},
    ]
    for change in forged:
        assert not valid(school, {**receipt, **change}), change
    assert not valid(school, {})
    with school.client() as stranger:
        assert stranger.post("receipts/verify", json=receipt).status_code == 401


def test_what_cannot_be_taken_whole_is_refused_whole(
    school: Classroom, box: Any, driver: DockerDriver
) -> None:
    before = school["tom"].get(f"{SECOND}/submissions").json()
    kept, files = driver.snapshots(), sorted((school.room.state / "submissions").rglob("*"))
    box.exec_run("truncate -s 100G /srv/hole")
    reply = school["ben"].post(f"{SECOND}/submissions", content=GOOD)
    box.exec_run("rm /srv/hole")
    assert reply.status_code == 409
    for words in (
        "was not taken",
        "ben/demo/pair/box holds 10",
        "Delete what is not needed",
        "Nothing was stored",
    ):
        assert words in reply.json()["detail"]
    assert school["tom"].get(f"{SECOND}/submissions").json() == before
    assert {s.id for s in driver.snapshots()} <= {s.id for s in kept}, "nor is a part of it kept"
    assert sorted((school.room.state / "submissions").rglob("*")) == files


def test_nobody_reaches_what_another_submitted(school: Classroom, driver: DockerDriver) -> None:
    receipt = submit(school)
    id = receipt["id"]
    for name in ("cyd", "eve", "tim"):
        assert school[name].get(f"submissions/{id}").status_code == 404
        assert school[name].get(f"submissions/{id}/feedback").status_code == 404
        assert school[name].get(f"{SECOND}/submissions?student=ben").status_code == 403
    reply = school["cyd"].post(f"{SECOND}/submissions?student=ben", content=GOOD)
    assert reply.json()["student"] == "cyd", "one submits as oneself, whatever one says"
    machine = receipt["machines"][0]["machine"]
    for owner, name in ((f"submission:{id}", "submitted"), ("ben", "submitted")):
        for who in ("ben", "cyd", "tom"):
            school[who].delete(f"machines/{owner}/demo/pair/{machine}/snapshots/{name}")
            school[who].post(f"machines/{owner}/demo/pair/{machine}/snapshots/{name}")
            shown = school[who].get(f"machines/{owner}/demo/pair/{machine}/snapshots")
            assert shown.status_code >= 400 or "submitted" not in shown.text
    assert len(snapshots(driver, id)) == 2, "no student takes back what was submitted"
    for name in ("ben", "cyd", "tom"):
        assert school[name].post("courses/demo/snapshots/prune", json={"dry_run": False}).status_code == 403


def test_verdicts_can_be_hidden(school: Classroom) -> None:
    exam = "courses/demo/assignments/exam"
    school.release("exam")
    try:
        reply = school["cyd"].post("courses/demo/checks", json={"assignment": "exam"})
        assert (reply.status_code, "not shown before it is graded" in reply.text) == (403, True)
        receipt = school["cyd"].post(f"{exam}/submissions", content=GOOD).json()
        assert receipt["checks"] is None
        assert school["cyd"].get(f"{exam}/submissions").json()[-1]["checks"] is None
        assert school["tom"].get(f"{exam}/submissions").json()[-1]["checks"] == []
        assert valid(school, receipt, "cyd")
    finally:
        school["tom"].delete(f"{exam}/release")


def test_deadlines_extensions_and_what_being_late_costs(school: Classroom) -> None:
    report = "courses/demo/assignments/report"
    school.release("report")
    shown = {a["name"]: a for a in school["cyd"].get("courses/demo/assignments").json()}["report"]
    assert shown["late"] == (
        "10 % of the points are lost for each day late; nothing is taken later than 2 days after the deadline"
    )
    assert (shown["extension"], shown["closes"]) == (None, "2020-01-03T12:00:00.000000Z")
    refused = school["cyd"].post(f"{report}/submissions", content=GOOD)
    assert (refused.status_code, "ask your instructor for an extension" in refused.text) == (409, True)

    yesterday, tomorrow = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    path = f"{report}/extensions/cyd"
    for name in ("cyd", "ben", "eve", "tim"):
        reply = school[name].put(path, json={"until": tomorrow.isoformat()})
        assert reply.status_code == 403, "nobody gives themselves time"
    assert school["tom"].put(path, json={"until": "2030-01-01T00:00"}).status_code == 422, "no time zone"
    assert (
        school["tom"].put(f"{report}/extensions/nobody", json={"until": tomorrow.isoformat()}).status_code
        == 404
    )
    assert school["tom"].put(path, json={"until": tomorrow.isoformat()}).status_code == 200
    shown = {a["name"]: a for a in school["cyd"].get("courses/demo/assignments").json()}["report"]
    assert datetime.fromisoformat(shown["extension"]) == tomorrow
    in_time = school["cyd"].post(f"{report}/submissions", content=GOOD).json()
    assert (in_time["late"], in_time["penalty"]) == (0, 0)
    assert school["ben"].post(f"{report}/submissions", content=GOOD).status_code == 409, "it is cyd's alone"

    assert school["tom"].put(path, json={"until": yesterday.isoformat()}).status_code == 200
    late = school["cyd"].get(f"{report}/submissions").json()[-1]
    assert (round(late["late"] / 86400), late["penalty"]) == (1, 20), "a day and some seconds"
    assert valid(school, late, "cyd"), "the deadline is no part of what is signed"
    assert [e["student"] for e in school["tom"].get(f"{report}/extensions").json()] == ["cyd"]
    assert school["cyd"].get(f"{report}/extensions").status_code == 403
    assert school["tom"].delete(path).status_code == 204
    assert school["tom"].delete(path).status_code == 404
    school["tom"].delete(f"{report}/release")


def test_a_student_cannot_fill_the_disk_with_submissions(school: Classroom) -> None:
    school.release("essay")
    essay = "courses/demo/assignments/essay"
    first = school["cyd"].post(f"{essay}/submissions", content=GOOD).json()["id"]
    with sqlite3.connect(school.room.state / "service" / "machineroom.sqlite", timeout=30) as database:
        database.executemany(
            "INSERT INTO submissions (id, course, assignment, student, timestamp, sha256, size)"
            " SELECT ?, course, assignment, student, timestamp, sha256, size FROM submissions WHERE id = ?",
            [(f"{number:016x}", first) for number in range(100)],
        )
    reply = school["cyd"].post(f"{essay}/submissions", content=GOOD)
    assert (reply.status_code, "100 times in 24 hours" in reply.text) == (429, True)
    assert school["ben"].post(f"{essay}/submissions", content=GOOD).status_code == 201
    with sqlite3.connect(school.room.state / "service" / "machineroom.sqlite", timeout=30) as database:
        database.execute("DELETE FROM submissions WHERE id LIKE '0000000000%'")


def test_old_submissions_let_go_of_their_machines_by_themselves(
    school: Classroom, driver: DockerDriver
) -> None:
    ids = [submit(school)["id"] for _ in range(4)]
    until(lambda: not snapshots(driver, ids[0]), 30, "the first of four keeps its snapshots")
    assert all(len(snapshots(driver, id)) == 2 for id in ids[1:])
    reply = school["tom"].post(
        "courses/demo/score", json={"assignment": "second", "task": "more", "student": "ben"}
    )
    assert reply.status_code == 200
    asked = {"keep": 1}
    shown = school["ina"].post("courses/demo/snapshots/prune", json=asked).json()
    assert {ids[1], ids[2]} <= {p["submission"] for p in shown["pruned"]}
    assert ids[3] not in {p["submission"] for p in shown["pruned"]}, "it counts"
    assert shown["size"] >= sum(p["size"] for p in shown["pruned"]) > 0
    assert len(snapshots(driver, ids[1])) == 2, "it was only told"
    school["ina"].post("courses/demo/snapshots/prune", json={**asked, "dry_run": False})
    assert [len(snapshots(driver, id)) for id in ids] == [0, 0, 0, 2]
    assert school["ben"].get(f"submissions/{ids[0]}").content == GOOD, "what was submitted stays"


def test_what_counts_keeps_its_machines() -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)

    def made(number: int, student: str = "ada", *, late: bool = False, **said: Any) -> Kept:
        rest: dict[str, Any] = {"graded": False, "released": None, **said}
        return Kept(f"{student}{number}", student, "a", day + timedelta(hours=number), not late, **rest)

    found = [made(1, graded=True), made(2), made(3), made(4, late=True), made(5, late=True), made(1, "ben")]
    assert prunable(found, 1, None) == {"ada2", "ada4"}
    assert prunable(found, 3, None) == {"ada2"}
    out = [made(1, released=day), made(2, released=day + timedelta(days=9)), made(3)]
    assert prunable(out, 3, day + timedelta(days=5)) == {"ada1"}


def test_the_command_line(school: Classroom, tmp_path: Path) -> None:
    school.room.save_settings(port=school.service_port)
    receipt = submit(school)
    paper = tmp_path / "receipt.json"

    def grade(*words: str, ends: int = 0) -> str:
        said = CliRunner().invoke(
            app, ["grade", *words, "--state", str(school.room.state)], env={"COLUMNS": "200"}
        )
        assert said.exit_code == ends, said.output + repr(said.exception)
        return said.output

    paper.write_text(json.dumps(receipt))
    assert "genuine: student ben" in grade("verify", str(paper))
    paper.write_text(json.dumps({**receipt, "student": "cyd"}))
    assert "not genuine" in grade("verify", str(paper), ends=1)
    assert receipt["id"] in grade("submissions", "demo", "second")
    listed = json.loads(grade("submissions", "demo", "second", "--student", "ben", "--json"))
    assert listed[-1]["id"] == receipt["id"]
    assert "ben may submit second until" in grade(
        "extend", "demo", "second", "ben", "--until", "2030-01-01T00:00Z"
    )
    assert "2030-01-01" in grade("extensions", "demo", "second")
    assert "no extension" in grade("extend", "demo", "second", "ben", "--withdraw")
    assert "snapshots" in grade("prune", "demo", "--dry-run")
    shown = grade("regrade", "demo", "second", "--student", "ben", "--yes")
    assert "were up to date" in shown
