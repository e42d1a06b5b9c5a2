"""A corrected check comes into the gradebook, and into feedback, without a notebook being run again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from classroom import Classroom
from machineroom_hub import grading
from nbgrader_people import COURSE, Person


@pytest.fixture
def check_file(school: Classroom) -> Iterator[Path]:
    path = school.room.courses / COURSE / "checks" / "ps1" / "test_page.py"
    text = path.read_text()
    yield path
    path.write_text(text)


def regrade(school: Classroom) -> tuple[grading.Plan, dict[str, list[str]]]:
    school.room.save_settings(port=school.service_port)
    made = grading.plan(school.room, COURSE, "ps1", None)
    return made, grading.write(school.room, made, never_lower=False)


def test_regraded_points_are_in_gradebook_and_feedback(
    graded: str, school: Classroom, ines: Person, check_file: Path
) -> None:
    before = {student: ines.scores(student) for student in ("ada", "bob", "eve")}
    text = check_file.read_text()
    assert before["ada"]["own-page"] == 2
    page = ines.course / "autograded" / "ada" / "ps1" / "lab.ipynb"
    assert "The page greets" in page.read_text()

    check_file.write_text(
        text.replace('"Hello" in text', '"script" in text').replace("The page greets", "It acts")
    )
    made, brought = regrade(school)
    assert "ada" in brought["done"]
    rows = {(row["student"], row["task"]): row for row in grading.changes(made)}
    assert rows["ada", "own-page"]["before"]["earned"] < rows["ada", "own-page"]["after"]["earned"]
    after = ines.scores("ada")
    assert after["own-page"] == 3.5
    assert {k: v for k, v in after.items() if k != "own-page"} == {
        k: v for k, v in before["ada"].items() if k != "own-page"
    }
    assert "It acts" in page.read_text()

    check_file.write_text(text)
    regrade(school)
    assert {student: ines.scores(student) for student in ("ada", "bob", "eve")} == before
