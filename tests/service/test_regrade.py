"""Regrade: corrected checks on the machines as they were submitted; shown, then written, or nothing is."""

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from archives import GOOD
from classroom import Classroom
from local import until
from machineroom_spawners.drivers.docker import DockerDriver

SECOND = "courses/demo/assignments/second"
STUDENTS = ("ada", "ben")


@pytest.fixture(scope="module", autouse=True)
def receipts(school: Classroom, engine: docker.DockerClient) -> Iterator[dict[str, dict[str, Any]]]:
    """Ada and ben have submitted the second assignment: ada without, ben with the file that it asks for."""
    school.release("second")
    found = {}
    for name in STUDENTS:
        for machine in ("box", "db"):
            assert "done" in school[name].post(f"machines/{name}/demo/pair/{machine}/ensure").text
        box = school.container(engine, name)
        box.exec_run(["sh", "-c", "rm -f /srv/more" if name == "ada" else "echo mine >/srv/more"])
        found[name] = submit(school, name)
        box.exec_run(["sh", "-c", "rm -f /srv/more"])
    yield found
    school["tom"].delete(f"{SECOND}/release")
    for name in STUDENTS:
        school.remove_machines(name)


@pytest.fixture
def check_file(school: Classroom) -> Iterator[Path]:
    """The live check file of the second assignment; afterwards it is as it was."""
    path = school.room.courses / "demo" / "checks" / "second" / "test_more.py"
    text = path.read_text()
    yield path
    path.write_text(text)


def submit(school: Classroom, name: str) -> dict[str, Any]:
    reply = school[name].post(f"{SECOND}/submissions", content=GOOD)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def plan(school: Classroom, **whom: str) -> dict[str, Any]:
    reply = school["tom"].post(f"{SECOND}/regrade", json=whom)
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert "done" in lines[-1], reply.text
    return dict(lines[-1]["done"])


def write(school: Classroom, made: dict[str, Any], **how: bool) -> httpx.Response:
    return school["tom"].post(f"regrades/{made['id']}/write", json=how)


def score(school: Classroom, student: str, **which: str) -> float:
    ask = {"assignment": "second", "task": "more", "student": student, **which}
    reply = school["tom"].post("courses/demo/score", json=ask)
    assert reply.status_code == 200, reply.text
    return float(reply.json()["earned"])


def copies(school: Classroom, engine: docker.DockerClient) -> list[str]:
    """The owners of what is left of regrades: containers and networks."""
    ours = {"label": f"machineroom.room={school.room.id}"}
    labels = [c.labels for c in engine.containers.list(all=True, filters=ours, ignore_removed=True)]
    labels += [n.attrs["Labels"] for n in engine.networks.list(filters=ours)]
    owners = [said.get("machineroom.owner", "") for said in labels]
    return [owner for owner in owners if owner.startswith("submission:")]


ANOTHER = """

@pytest.mark.task("more")
@pytest.mark.points(2)
def test_says(machine):
    "It says whose it is."
    assert machine.file("/srv/more").content_string == "mine\\n", "it says nothing"
"""


def test_a_regrade_shows_what_changes_and_why_before_it_writes(
    school: Classroom, engine: docker.DockerClient, check_file: Path, receipts: dict[str, dict[str, Any]]
) -> None:
    assert [score(school, name) for name in STUDENTS] == [0, 1]
    check_file.write_text(check_file.read_text() + ANOTHER)
    made = plan(school)
    rows = {row["student"]: row for row in made["rows"]}
    assert rows["ben"]["before"] == {"earned": 1, "points": 1}
    assert rows["ben"]["after"] == {"earned": 3, "points": 3}
    assert rows["ben"]["why"] == ["new: It says whose it is: passed (file /srv/more: content read)"] or (
        rows["ben"]["why"][0].startswith("new: It says whose it is: passed")
    )
    assert rows["ada"]["after"] == {"earned": 0, "points": 3}
    assert (made["problems"], made["same"]) == ([], 0)
    assert copies(school, engine) == []

    stored = school["tom"].get(f"{SECOND}/verdicts").json()
    assert {v["student"]: v["reports"][0]["points"] for v in stored} == {"ada": 1, "ben": 1}, "not written"
    assert write(school, made).json()["written"] == 2
    assert write(school, made).status_code == 404, "once is enough"
    assert [score(school, name) for name in STUDENTS] == [0, 3]
    stored = school["tom"].get(f"{SECOND}/verdicts").json()
    assert {v["student"]: v["reports"][0]["points"] for v in stored} == {"ada": 3, "ben": 3}
    again = plan(school)
    assert (again["rows"], again["same"]) == ([], 2)
    newest = school["ina"].get("courses/demo/audit?limit=20").json()
    assert [a["subject"] for a in newest if a["action"] == "regrade"] == ["ben second", "ada second"]
    own = school["ben"].get(f"{SECOND}/submissions?latest=1").json()[0]
    assert own["checks"] == receipts["ben"]["checks"], "a receipt is of what was seen then"


def test_nobody_needs_to_lose_points(school: Classroom, check_file: Path) -> None:
    assert score(school, "ben") == 1
    check_file.write_text(check_file.read_text().replace("/srv/more", "/srv/other"))
    made = plan(school, student="ben")
    assert [row["after"]["earned"] for row in made["rows"]] == [0]
    assert made["rows"][0]["why"] == ["More: passed → failed (there is no file /srv/other)"]
    check_file.write_text(check_file.read_text() + "\n# changed once more\n")
    reply = write(school, made)
    assert (reply.status_code, "changed since" in reply.text) == (409, True)
    made = plan(school, student="ben")
    assert write(school, made, never_lower=True).status_code == 200
    assert score(school, "ben") == 1


def test_a_check_marked_reboot_counts_after_a_restart(
    school: Classroom, engine: docker.DockerClient, check_file: Path
) -> None:
    box = school.container(engine, "ada")
    check_file.write_text(
        check_file.read_text().replace("def test_more", "@pytest.mark.reboot\ndef test_more")
        + "\n\n@pytest.mark.task('more')\n@pytest.mark.reboot\ndef test_runs(machine):\n"
        "    '''The program runs.'''\n"
        "    assert machine.run('pgrep -f [s]leep.4321').rc == 0, 'it does not run'\n"
    )
    box.exec_run(["sh", "-c", "touch /srv/more"])
    box.exec_run(["sleep", "4321"], detach=True)
    until(lambda: box.exec_run(["pgrep", "-f", "[s]leep.4321"]).exit_code == 0, 20, "it does not start")
    tried = school["ada"].post("courses/demo/checks", json={"assignment": "second"}).json()[0]
    assert tried["earned"] == 2, "on the live machine it is as it is"
    receipt = submit(school, "ada")
    checks = {check["name"]: check for check in receipt["checks"][0]["checks"]}
    assert checks["test_more"]["outcome"] == "passed"
    assert checks["test_more"]["observed"].startswith("after a restart: ")
    assert (checks["test_runs"]["outcome"], checks["test_runs"]["earned"]) == ("failed", 0)
    assert checks["test_runs"]["observed"] == "after a restart: it does not run"
    assert receipt["checks"][0]["earned"] == 1
    assert box.exec_run(["pgrep", "-f", "[s]leep.4321"]).exit_code == 0, "the student's own was not restarted"
    assert copies(school, engine) == []
    box.exec_run(["sh", "-c", "pkill -f '[s]leep 4321'; rm /srv/more"])


def test_what_only_lived_in_memory_costs_nobody_a_point(
    school: Classroom, engine: docker.DockerClient, check_file: Path
) -> None:
    box = school.container(engine, "ada")
    check_file.write_text(
        "import pytest\n\n@pytest.mark.task('more')\ndef test_runs(machine):\n"
        "    assert machine.run('pgrep -f [s]leep.4322').rc == 0, 'it does not run'\n"
    )
    box.exec_run(["sleep", "4322"], detach=True)
    until(lambda: box.exec_run(["pgrep", "-f", "[s]leep.4322"]).exit_code == 0, 20, "it does not start")
    assert submit(school, "ada")["checks"][0]["earned"] == 1
    box.exec_run(["pkill", "-f", "[s]leep 4322"])
    check_file.write_text(check_file.read_text().replace("'it does", "'no, it does"))
    row = plan(school, student="ada")["rows"][-1]
    assert row["before"] == row["after"]
    assert "stays at 1/1" in row["why"][0]
    assert score(school, "ada") == 1


def test_a_copy_is_out_of_its_students_reach(
    school: Classroom, engine: docker.DockerClient, check_file: Path
) -> None:
    check_file.write_text(
        "import time, pytest\n\n@pytest.mark.task('more')\ndef test_slow(machine):\n"
        "    '''Slow.'''\n    machine.run('touch /srv/begun')\n    time.sleep(8)\n"
    )
    answers: list[dict[str, Any]] = []
    regrade = threading.Thread(target=lambda: answers.append(plan(school, student="ben")))
    regrade.start()
    until(lambda: len(set(copies(school, engine))) == 1, 60, "no copy is made")
    (owner,) = set(copies(school, engine))
    driver = DockerDriver(room_id=school.room.id)
    running = until(lambda: [m for m in driver.machines(owner=owner) if m.address], 60, "no copy runs")
    address = running[0].address
    ours = school.container(engine, "ben")
    assert ours.exec_run(["sh", "-c", f"ping -c1 -W1 {address}"]).exit_code != 0
    for name in ("ben", "tom"):
        for action in ("ensure", "reset", "stop"):
            assert school[name].post(f"machines/{owner}/demo/pair/box/{action}").status_code in (403, 404)
    assert owner not in {m["owner"] for m in school["ben"].get("machines").json()}
    regrade.join()
    assert answers
    assert copies(school, engine) == []


@pytest.mark.parametrize("end", ["the caller hangs up", "the service is killed"])
def test_ended_in_the_middle_nothing_is_written_and_nothing_left(
    school: Classroom, engine: docker.DockerClient, check_file: Path, end: str
) -> None:
    before = school["tom"].get(f"{SECOND}/verdicts").json()
    check_file.write_text(
        "import time, pytest\n\n@pytest.mark.task('more')\ndef test_slow(machine):\n"
        "    '''Slow.'''\n    machine.run('touch /srv/begun')\n    time.sleep(5)\n"
    )
    with (
        school.client(school.token("tom")) as client,
        client.stream("POST", f"{SECOND}/regrade", json={}) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        until(lambda: copies(school, engine), 60, "no copy is made")
        if end == "the service is killed":
            school.stop("service", signal.SIGKILL)
            school.start_service()
    until(lambda: copies(school, engine) == [], 60, "copies are left")
    assert school["tom"].get(f"{SECOND}/verdicts").json() == before


def test_who_may_regrade(school: Classroom) -> None:
    for path, body in ((f"{SECOND}/regrade", {}), (f"regrades/{'0' * 16}/write", {})):
        for name in ("ada", "eve", "tim"):
            assert school[name].post(path, json=body).status_code in (403, 404), (name, path)
        with school.client() as stranger:
            assert stranger.post(path, json=body).status_code == 401
    for name in ("ada", "eve", "tim"):
        assert school[name].get(f"{SECOND}/verdicts").status_code == 403


def test_a_verdict_that_was_made_up_counts_for_nothing(
    school: Classroom, receipts: dict[str, dict[str, Any]]
) -> None:
    import sqlite3

    ask = {"submission": receipts["ada"]["id"]}
    with sqlite3.connect(school.room.state / "service" / "machineroom.sqlite", timeout=30) as database:
        (report,) = database.execute(
            "SELECT report FROM verdicts WHERE submission = ? ORDER BY id DESC LIMIT 1", [ask["submission"]]
        ).fetchone()
        better = json.loads(report) | {"earned": 1}
        database.execute(
            "INSERT INTO verdicts (submission, course, assignment, task, student, time, points, earned,"
            " checks, report, by, signature) SELECT submission, course, assignment, task, student, time,"
            " points, 1, checks, ?, by, signature FROM verdicts WHERE submission = ?"
            " ORDER BY id DESC LIMIT 1",
            [json.dumps(better), ask["submission"]],
        )
    assert score(school, "ada", **ask) == 0
