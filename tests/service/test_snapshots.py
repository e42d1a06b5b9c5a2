"""A student saves a machine, breaks it and gets it back; and nobody else's."""

import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from classroom import Classroom
from machineroom_hub.service.snapshots import MOST
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef

BOX = "machines/ben/demo/pair/box"


def lines(school: Classroom, who: str, method: str, path: str) -> list[dict[str, Any]]:
    with school[who].stream(method, path) as reply:
        assert reply.status_code == 200, reply.read()
        return [json.loads(line) for line in reply.iter_lines()]


@pytest.fixture(scope="module", autouse=True)
def box(school: Classroom) -> Iterator[None]:
    """Ben's box; it and its snapshots are gone at the end."""
    assert "done" in lines(school, "ben", "POST", f"{BOX}/ensure")[-1]
    yield
    for snapshot in school["ben"].get(f"{BOX}/snapshots").json():
        assert school["ben"].delete(f"{BOX}/snapshots/{snapshot['name']}").status_code == 204
    assert school["ben"].get(f"{BOX}/snapshots").json() == []
    DockerDriver(room_id=school.room.id).delete(MachineRef("ben", "demo", "pair", "box"))


def shell(engine: docker.DockerClient, school: Classroom, command: str) -> str:
    return str(school.container(engine, "ben").exec_run(["sh", "-c", command]).output.decode())


def test_a_machine_comes_back_as_it_was_saved(school: Classroom, engine: docker.DockerClient) -> None:
    shell(engine, school, "echo good > /srv/work")
    done = lines(school, "ben", "PUT", f"{BOX}/snapshots/après le cours")[-1]["done"]
    assert done["name"] == "après le cours"
    shell(engine, school, "rm -rf /srv /etc/passwd")
    [listed] = school["ben"].get(f"{BOX}/snapshots").json()
    assert listed == done
    told = lines(school, "ben", "POST", f"{BOX}/snapshots/après le cours")
    assert told[-1]["done"]["state"] == "running"
    assert len(told) > 1, "no progress was told"
    assert shell(engine, school, "cat /srv/work") == "good\n"
    newest = school["ina"].get("courses/demo/audit?limit=2").json()
    assert [(row["actor"], row["action"]) for row in newest] == [
        ("ben", "machine.restore"),
        ("ben", "machine.snapshot"),
    ]


def test_there_are_not_more_than_so_many(school: Classroom) -> None:
    have = [snapshot["name"] for snapshot in school["ben"].get(f"{BOX}/snapshots").json()]
    for number in range(MOST - len(have)):
        assert "done" in lines(school, "ben", "PUT", f"{BOX}/snapshots/{number}")[-1]
    said = lines(school, "ben", "PUT", f"{BOX}/snapshots/more")[-1]["error"]
    assert f"has {MOST} snapshots, which is all it may have" in said
    assert "'0'" in said
    assert "done" in lines(school, "ben", "PUT", f"{BOX}/snapshots/0")[-1], "an old one can be replaced"
    assert school["ben"].delete(f"{BOX}/snapshots/0").status_code == 204
    assert "done" in lines(school, "ben", "PUT", f"{BOX}/snapshots/more")[-1]


def test_what_does_not_exist_is_said_to(school: Classroom) -> None:
    assert "no snapshot 'nix'" in lines(school, "ben", "POST", f"{BOX}/snapshots/nix")[-1]["error"]
    assert school["ben"].delete(f"{BOX}/snapshots/nix").status_code == 204
    DockerDriver(room_id=school.room.id).delete(MachineRef("ada", "demo", "pair", "box"))
    nowhere = "machines/ada/demo/pair/box/snapshots/nix"
    assert "does not exist" in lines(school, "ada", "PUT", nowhere)[-1]["error"]


@pytest.mark.parametrize("name", ["submission:1", "-rf", "..", "a/b", "a%00b", "_x", " x", "x" * 41])
def test_not_every_name_will_do(school: Classroom, name: str) -> None:
    for method in ("PUT", "POST", "DELETE"):
        reply = school["ben"].request(method, f"{BOX}/snapshots/{name}")
        assert reply.status_code in (404, 405, 422), reply.text


def test_what_the_service_saved_is_not_the_students_to_see_or_delete(school: Classroom) -> None:
    driver, ref = DockerDriver(room_id=school.room.id), MachineRef("ben", "demo", "pair", "box")
    driver.snapshot(ref, "submission:0123")
    try:
        assert "submission" not in school["ben"].get(f"{BOX}/snapshots").text
        assert school["ben"].delete(f"{BOX}/snapshots/submission:0123").status_code == 422
        assert "submission:0123" in [snapshot.name for snapshot in driver.snapshots(ref)]
    finally:
        driver.delete_snapshot(ref, "submission:0123")
