"""What the Tasks panel shows: the last verdicts at once, then a look in the background that costs little."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from classroom import Classroom
from machineroom_spawners.drivers.docker import DockerDriver
from machineroom_spawners.spec import MachineRef

KNUTH = "d.knuth@example.org"
LIGHTS = "courses/demo/verdicts?assignment=first"


@pytest.fixture(scope="module", autouse=True)
def _machines(school: Classroom) -> Iterator[None]:
    """Somebody who has checked nothing yet, with both machines of the lab."""
    school.release()
    for machine in ("box", "db"):
        reply = school[KNUTH].post(f"machines/{KNUTH}/demo/pair/{machine}/ensure")
        assert "done" in json.loads(reply.text.splitlines()[-1]), reply.text
    yield
    driver = DockerDriver(room_id=school.room.id)
    for machine in ("box", "db"):
        driver.delete(MachineRef(KNUTH, "demo", "pair", machine))


def earned(reports: list[dict[str, Any]]) -> dict[str, float]:
    return {report["task"]: report["earned"] for report in reports}


def restart(school: Classroom) -> None:
    """A new service has looked at nobody's machines yet."""
    school.stop("service")
    school.start_service()


def test_lights_come_on_by_themselves_and_not_too_often(
    school: Classroom, engine: docker.DockerClient
) -> None:
    assert school[KNUTH].get(LIGHTS).json() == []
    reply = school[KNUTH].post(LIGHTS)
    assert earned(reply.json()) == {"notes": 0, "neighbour": 1}
    assert "evidence" not in reply.text
    assert school[KNUTH].get(LIGHTS).json() == reply.json()
    school.container(engine, KNUTH).exec_run(["touch", "/srv/lesson/notes"])
    assert earned(school[KNUTH].post(LIGHTS).json())["notes"] == 0, "a minute has not passed"
    restart(school)
    assert earned(school[KNUTH].post(LIGHTS).json())["notes"] == 2
    school[KNUTH].post("courses/demo/checks", json={"task": "notes"})
    assert earned(school[KNUTH].get(LIGHTS).json()) == {"notes": 2, "neighbour": 1}


def test_no_machine_is_woken_for_a_light(school: Classroom, engine: docker.DockerClient) -> None:
    restart(school)
    school[KNUTH].post(f"machines/{KNUTH}/demo/pair/db/suspend")
    assert earned(school[KNUTH].post(LIGHTS).json()) == {"notes": 2, "neighbour": 1}
    assert school.container(engine, KNUTH, machine="db").status == "paused"
    school[KNUTH].post(f"machines/{KNUTH}/demo/pair/db/resume")


@pytest.fixture
def course_file(school: Classroom) -> Iterator[Path]:
    """The live course.yml; afterwards it is as it was."""
    path = school.room.courses / "demo" / "course.yml"
    text = path.read_text()
    yield path
    path.write_text(text)


@pytest.mark.parametrize(
    ("where", "what"), [("course", "live"), ("assignment", "live"), ("assignment", "show")]
)
def test_the_course_decides(school: Classroom, course_file: Path, where: str, what: str) -> None:
    key = "live_checks: false" if what == "live" else "show_verdicts: false"
    text = course_file.read_text()
    course_file.write_text(
        f"{key}\n{text}" if where == "course" else text.replace("name: first,", f"name: first, {key},")
    )
    [first] = [a for a in school[KNUTH].get("courses/demo/assignments").json() if a["name"] == "first"]
    assert first["checks"] == ("asked" if what == "live" else "hidden")
    refused = school[KNUTH].post(LIGHTS)
    assert refused.status_code == 403
    assert len(refused.json()["detail"]) > 20
    assert school[KNUTH].get(LIGHTS).status_code == (200 if what == "live" else 403)


def test_one_sees_ones_own_and_released_ones(school: Classroom) -> None:
    assert school["ben"].get(f"{LIGHTS}&student={KNUTH}").json() != school[KNUTH].get(LIGHTS).json()
    for assignment in ("second", "nix", "../first"):
        assert school[KNUTH].post(f"courses/demo/verdicts?assignment={assignment}").status_code == 404
    assert school[KNUTH].get("courses/demo/verdicts").status_code == 422
