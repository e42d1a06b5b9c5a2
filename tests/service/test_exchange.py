"""Release, fetch, submit, collect, feedback; what is refused; and what is left after a crash."""

import hashlib
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from archives import BAD, GOOD, archive
from classroom import PREFIX, Classroom

ESSAY = "courses/demo/assignments/essay"


def files(school: Classroom, *folders: str) -> list[Path]:
    """All files that the service keeps of the exchange, the database aside."""
    kept = [school.room.state / "submissions", school.room.state / "service" / "releases"]
    return sorted(path for folder in kept for path in folder.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def _released(school: Classroom) -> None:
    school.release("essay")


def test_a_release_is_fetched_as_it_was_and_replaced_whole(school: Classroom) -> None:
    assert school["ada"].get(f"{ESSAY}/release").content == GOOD
    newer = archive({"essay/essay.ipynb": "newer"})
    before = len(files(school))
    assert school["ina"].put(f"{ESSAY}/release", content=newer).json()["sha256"]
    reply = school["ada"].get(f"{ESSAY}/release")
    assert (reply.content, reply.headers["content-type"]) == (newer, "application/gzip")
    assert len(files(school)) == before


def test_students_see_what_is_released_and_graders_all(school: Classroom) -> None:
    shown = {a["name"]: a for a in school["ben"].get("courses/demo/assignments").json()}
    assert "faulty" not in shown
    assert shown["essay"]["released"].endswith("Z")
    assert shown["essay"]["title"] == "An essay"
    everything = [a["name"] for a in school["tom"].get("courses/demo/assignments").json()]
    assert everything == ["first", "second", "essay", "report", "exam", "faulty"]


def test_what_is_not_released_cannot_be_fetched_or_submitted(school: Classroom) -> None:
    assert school["ada"].get("courses/demo/assignments/faulty/release").status_code == 404
    reply = school["ada"].post("courses/demo/assignments/faulty/submissions", content=GOOD)
    assert reply.status_code == 409
    assert "not released" in reply.json()["detail"]
    assert school["ada"].post("courses/demo/assignments/nix/submissions", content=GOOD).status_code == 404
    assert school["tom"].put("courses/demo/assignments/nix/release", content=GOOD).status_code == 404


def test_a_withdrawn_release_is_gone_and_submissions_stay(school: Classroom) -> None:
    receipt = school["ada"].post(f"{ESSAY}/submissions", content=GOOD).json()
    assert school["tom"].delete(f"{ESSAY}/release").status_code == 204
    assert school["tom"].delete(f"{ESSAY}/release").status_code == 404
    assert school["ada"].get(f"{ESSAY}/release").status_code == 404
    assert school["ada"].get(f"submissions/{receipt['id']}").content == GOOD
    assert "essay" in [a["name"] for a in school["ada"].get("courses/demo/assignments").json()]


def test_a_submission_from_hand_in_to_feedback(school: Classroom) -> None:
    work = archive({"essay/essay.ipynb": "my essay"})
    receipt = school["ben"].post(f"{ESSAY}/submissions", content=work).json()
    assert receipt["student"] == "ben"
    assert receipt["sha256"] == hashlib.sha256(work).hexdigest()
    assert (receipt["checks"], receipt["problem"], receipt["late"]) == ([], None, 0)

    collected = school["tom"].get(f"{ESSAY}/submissions?latest=1").json()
    assert [r["student"] for r in collected].count("ben") == 1
    assert school["tom"].get(f"submissions/{receipt['id']}").content == work

    assert school["ben"].get(f"submissions/{receipt['id']}/feedback").status_code == 404
    for words in ("good", "very good"):
        feedback = archive({"essay/essay.html": words})
        assert school["tom"].put(f"submissions/{receipt['id']}/feedback", content=feedback).status_code == 200
        assert school["ben"].get(f"submissions/{receipt['id']}/feedback").content == feedback
    assert len([path for path in files(school) if f"{receipt['id']}.feedback" in path.name]) == 1
    own = {a["name"]: a for a in school["ben"].get("courses/demo/assignments").json()}["essay"]
    assert own["submitted"] == receipt["timestamp"]
    assert own["feedback"] > own["submitted"]


def test_receipts_are_newest_last_and_each_students_own(school: Classroom) -> None:
    ids = [school["ada"].post(f"{ESSAY}/submissions", content=GOOD).json()["id"] for _ in range(3)]
    own = school["ada"].get(f"{ESSAY}/submissions").json()
    assert [r["id"] for r in own][-3:] == ids
    assert {r["student"] for r in own} == {"ada"}
    assert [r["id"] for r in school["tom"].get(f"{ESSAY}/submissions?student=ada&latest=1").json()] == ids[
        -1:
    ]
    assert [r["timestamp"] for r in own] == sorted(r["timestamp"] for r in own)


def test_names_that_are_no_file_names(school: Classroom) -> None:
    receipt = school["d.knuth@example.org"].post(f"{ESSAY}/submissions", content=GOOD).json()
    assert receipt["student"] == "d.knuth@example.org"
    assert school["d.knuth@example.org"].get(f"submissions/{receipt['id']}").content == GOOD


@pytest.mark.parametrize("trick", ["dots", "symbolic link", "device", "not a gzip", "bomb", "cut short"])
def test_a_bad_archive_is_refused_whole(school: Classroom, trick: str) -> None:
    before = files(school)
    for client, method, path in (
        (school["ada"], "POST", f"{ESSAY}/submissions"),
        (school["tom"], "PUT", f"{ESSAY}/release"),
    ):
        reply = client.request(method, path, content=BAD[trick])
        assert reply.status_code == 422
        assert "Nothing was stored" in reply.json()["detail"]
    assert files(school) == before


@pytest.mark.parametrize("id", ["0" * 16, "..%2f..%2fsecret", "x", "0" * 15 + "/"])
def test_submissions_that_do_not_exist(school: Classroom, id: str) -> None:
    assert school["tom"].get(f"submissions/{id}").status_code in (404, 422)
    assert school["tom"].put(f"submissions/{id}/feedback", content=GOOD).status_code in (404, 422)


def raw(school: Classroom, head: str) -> socket.socket:
    """A connection on which a request of ada's has begun."""
    connection = socket.create_connection(("127.0.0.1", school.service_port), timeout=60)
    token = school.token("ada")
    connection.sendall(
        f"POST {PREFIX}/api/{ESSAY}/submissions HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: token {token}\r\n{head}\r\n\r\n".encode()
    )
    return connection


def test_an_enormous_body_is_refused_before_it_is_sent(school: Classroom) -> None:
    before = files(school)
    with raw(school, "Content-Length: 99999999999") as connection:
        answer = connection.recv(4096)
    assert b" 413 " in answer
    assert files(school) == before


def test_an_enormous_body_that_does_not_say_so_is_cut_off(school: Classroom) -> None:
    before = files(school)

    def endless() -> "object":
        for _ in range(200):
            yield bytes(1 << 20)

    with school.client(school.token("ada")) as client:
        try:
            reply = client.post(f"{ESSAY}/submissions", content=endless())  # type: ignore[arg-type]
            assert reply.status_code == 413
        except httpx.TransportError:
            pass  # it hung up on us while we were still sending, which is as good
    wait_until(lambda: files(school) == before)


def test_a_body_that_breaks_off_leaves_nothing(school: Classroom) -> None:
    before = files(school)
    with raw(school, "Content-Length: 100000") as connection:
        connection.sendall(GOOD[:50])
        wait_until(lambda: len(files(school)) > len(before))
    wait_until(lambda: files(school) == before)


def test_json_bodies_are_small_and_fit(school: Classroom) -> None:
    reply = school["ada"].post("courses/demo/checks", content=b"[" * 70_000)
    assert reply.status_code == 413
    for body in ({}, {"task": ["x"]}, {"task": "x", "extra": 1}, {"assignment": "a" * 100}):
        reply = school["ada"].post("courses/demo/checks", json=body)
        assert reply.status_code == 422
        assert reply.json()["detail"].startswith("The request does not fit: ")
    assert school["ada"].post("courses/demo/checks", content=b"{nonsense").status_code == 422


def test_many_submit_at_once_and_all_get_their_own_receipt(school: Classroom) -> None:
    receipts: dict[str, dict[str, object]] = {}

    def submit(name: str) -> None:
        work = archive({"essay/essay.ipynb": name})
        with school.client(school.token(name)) as client:
            receipts[name] = client.post(f"{ESSAY}/submissions", content=work).json()

    threads = [
        threading.Thread(target=submit, args=(name,)) for name in ("ada", "ben", "cyd", "d.knuth@example.org")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, receipt in receipts.items():
        assert school["tom"].get(f"submissions/{receipt['id']}").content == archive(
            {"essay/essay.ipynb": name}
        )


def test_what_is_sent_again_with_its_key_is_one_submission(school: Classroom) -> None:
    def submit(name: str, key: str) -> dict[str, object]:
        reply = school[name].post(f"{ESSAY}/submissions", content=GOOD, headers={"Idempotency-Key": key})
        assert reply.status_code == 201, reply.text
        receipt: dict[str, object] = reply.json()
        return receipt

    receipt = submit("ada", "click")
    assert submit("ada", "click") == receipt
    assert submit("ada", "another click")["id"] != receipt["id"]
    assert submit("ben", "click")["student"] == "ben", "a key is of no use to anybody else"
    reply = school["ada"].post(f"{ESSAY}/submissions", content=GOOD, headers={"Idempotency-Key": "x" * 201})
    assert reply.status_code == 422


def test_the_later_submission_counts_even_if_the_clock_was_put_back(school: Classroom) -> None:
    first = school["cyd"].post(f"{ESSAY}/submissions", content=GOOD).json()
    ahead = datetime.fromisoformat(first["timestamp"]) + timedelta(hours=1)
    with closing(sqlite3.connect(school.room.state / "service" / "machineroom.sqlite")) as database, database:
        written = ahead.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        database.execute("UPDATE submissions SET timestamp = ? WHERE id = ?", (written, first["id"]))
    second = school["cyd"].post(f"{ESSAY}/submissions", content=GOOD).json()
    assert datetime.fromisoformat(second["timestamp"]) > ahead
    [latest] = school["tom"].get(f"{ESSAY}/submissions?student=cyd&latest=1").json()
    assert latest["id"] == second["id"]


def test_killed_in_the_middle_nothing_is_half(school: Classroom) -> None:
    before, count = files(school), len(school["tom"].get(f"{ESSAY}/submissions").json())
    with raw(school, "Content-Length: 100000") as connection:
        connection.sendall(GOOD[:50])
        wait_until(lambda: len(files(school)) > len(before))
        school.stop("service", signal.SIGKILL)
    school.start_service()
    assert files(school) == before
    assert len(school["tom"].get(f"{ESSAY}/submissions").json()) == count


def test_what_happened_is_in_the_trail(school: Classroom) -> None:
    school["ada"].post(f"{ESSAY}/submissions", content=GOOD)
    newest = school["ina"].get("courses/demo/audit?limit=1").json()[0]
    assert (newest["actor"], newest["action"], newest["subject"]) == ("ada", "submit", "essay")
    assert newest["address"] == "127.0.0.1"


def wait_until(condition: "object", seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
