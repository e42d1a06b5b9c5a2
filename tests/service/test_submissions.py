"""Submissions with their machines: what is taken, signed and kept, and who may do what with it."""

import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from archives import GOOD
from classroom import Classroom
from machineroom_spawners.drivers.base import Snapshot
from machineroom_spawners.drivers.docker import DockerDriver

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
