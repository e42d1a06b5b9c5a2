"""A corrected check comes into the gradebook, and into feedback, without a notebook being run again."""

from collections.abc import Iterator
from pathlib import Path

import httpx
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


def test_formgraders_page_writes_what_it_showed(
    graded: str, school: Classroom, ines: Person, grader: httpx.Client, check_file: Path
) -> None:
    assert "/formgrader/regrade/ps1" in grader.get("/formgrader/manage_submissions/ps1").text
    assert "See what would change" in grader.get("/formgrader/regrade/ps1").text
    odd = grader.get("/formgrader/regrade/%3Cimg%20src=x%3E").text
    assert "<img" not in odd

    text = check_file.read_text()
    before = ines.scores("ada")
    check_file.write_text(text.replace('"Hello" in text', '"script" in text'))
    write = "/formgrader/api/assignment/ps1/regrade"
    try:
        school.room.save_settings(port=school.service_port)
        made = grading.plan(school.room, COURSE, "ps1", None)
        answer = grader.post(write, json={"plan": made["id"], "how": ""}).json()
        assert answer["success"], answer
        assert "ada" in answer["done"]
        assert ines.scores("ada")["own-page"] == 3.5
        answer = grader.post(write, json={"plan": made["id"], "how": ""}).json()
        assert not answer["success"]
        assert "Regrade again" in answer["value"], "a plan is written once"
    finally:
        check_file.write_text(text)
        regrade(school)
    assert ines.scores("ada") == before
