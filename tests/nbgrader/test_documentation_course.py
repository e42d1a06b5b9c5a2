"""nbgrader's documentation course gets the same scores from us as from nbgrader alone."""

import shutil
from pathlib import Path

import nbgrader
from nbgrader.api import Gradebook
from nbgrader_people import COURSE, Person

GUIDE = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide"


def scores(course: Path) -> dict[tuple[str, str, str], float | None]:
    """Every automatic score of a course, by student, notebook and cell."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", COURSE) as gradebook:
        return {
            (submission.student.id, notebook.name, grade.name): grade.auto_score
            for submission in gradebook.assignment_submissions("ps1")
            for notebook in submission.notebooks
            for grade in notebook.grades
        }


def test_scores_are_those_of_nbgrader(people: dict[str, Person], tmp_path: Path) -> None:
    ours = Person("ines", "instructor", tmp_path / "ours", people["ines"].env | {"HOME": f"{tmp_path}/ours"})
    plain = {**people["ines"].env, "HOME": f"{tmp_path}/plain", "MACHINEROOM_ETC": "/nonexistent"}
    stock = Person("ines", "instructor", tmp_path / "plain", plain)
    for folder in ("source/ps1", "submitted"):
        shutil.copytree(GUIDE / folder, ours.course / folder)
    ours.nbgrader("generate_assignment", "ps1", "--IncludeHeaderFooter.header=")
    shutil.copytree(ours.course, stock.course)
    ours.nbgrader("autograde", "ps1")
    stock.nbgrader(
        "autograde", "ps1", f"--course-dir={stock.course}", f"--CourseDirectory.course_id={COURSE}"
    )
    found = scores(ours.course)
    assert len(found) > 10
    assert len(set(found.values())) > 2
    assert found == scores(stock.course)
