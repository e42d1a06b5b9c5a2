"""A course's way through nbgrader's commands, with real machines: from release to feedback and grades."""

import csv
import html
import json
import re
from pathlib import Path

import nbformat
from classroom import Classroom
from nbgrader_people import COURSE, Person

CHECKS = Path(__file__).parent / "courses" / COURSE / "checks" / "ps1" / "test_page.py"


class TestExchange:
    def test_students_fetch_once(self, submitted: None, ada: Person) -> None:
        assert (ada.notebook.parent / "data.txt").read_text() == "some data\n"
        assert "already have" in ada.nbgrader("fetch_assignment", "ps1", ok=False)
        (ada.notebook.parent / "data.txt").unlink()
        ada.nbgrader("fetch_assignment", "ps1", "--replace")
        assert (ada.notebook.parent / "data.txt").is_file()

    def test_unreleased_is_said(self, submitted: None, ada: Person) -> None:
        assert "'later' of linux-intro is not released" in ada.nbgrader("fetch_assignment", "later", ok=False)

    def test_release_needs_force_the_second_time(self, submitted: None, ines: Person) -> None:
        assert "released already" in ines.nbgrader("release_assignment", "ps1", ok=False)

    def test_students_cannot_release(self, submitted: None, ada: Person, ines: Person) -> None:
        said = ada.nbgrader("release_assignment", "ps1", f"--course-dir={ines.course}", "--force", ok=False)
        assert "ada may not" in said

    def test_both_submissions_are_listed_and_copied(self, submitted: None, ada: Person) -> None:
        said = ada.nbgrader("list", "--cached")
        times = re.findall(r"linux-intro ada ps1 (.* UTC) \(no feedback available\)", said)
        assert len(times) == 2
        assert times == sorted(times)
        copy = next(ada.home.rglob(f"nbgrader_cache/linux-intro/ada+ps1+{times[0]}"))
        assert "answer = 41" in (copy / "lab.ipynb").read_text()
        assert (copy / "timestamp.txt").read_text() == times[0]

    def test_nothing_answers(self, submitted: None, ada: Person) -> None:
        etc = ada.home / ".nowhere"
        etc.mkdir()
        said = json.loads((ada.home / ".etc" / "workspace.json").read_text())
        (etc / "workspace.json").write_text(json.dumps({**said, "service_url": "http://127.0.0.1:9"}))
        nowhere = Person("ada", "student", ada.home, {**ada.env, "MACHINEROOM_ETC": str(etc)})
        assert "does not answer" in nowhere.nbgrader("submit", "ps1", ok=False)

    def test_graders_get_the_newest_with_the_services_time(self, graded: str, ines: Person) -> None:
        collected = ines.course / "submitted" / "ada" / "ps1"
        assert "answer = 42" in (collected / "lab.ipynb").read_text()
        assert (collected / "timestamp.txt").read_text().endswith(" UTC")

    def test_nobody_submits_in_the_past(self, graded: str, ines: Person) -> None:
        collected = ines.course / "submitted" / "eve" / "ps1"
        assert (collected / "nbgrader.py").is_file(), "her other forgeries are here"
        assert not (collected / "timestamp.txt").read_text().startswith("2000")


class TestScores:
    def test_partial_credit_is_scaled_to_the_cell(self, graded: str, ines: Person) -> None:
        assert ines.scores("ada") == {"test-answer": 2, "own-page": 2, "why": None}

    def test_lost_and_foreign_cells_do_no_harm(self, graded: str, ines: Person) -> None:
        assert ines.scores("bob")["test-answer"] == 2

    def test_what_was_collected_counts_not_what_came_later(self, graded: str, ines: Person) -> None:
        assert ines.scores("bob")["own-page"] == 4

    def test_forgeries_earn_nothing(self, graded: str, ines: Person) -> None:
        assert ines.scores("eve") == {"test-answer": 0, "own-page": 0, "why": 0}

    def test_no_score_is_a_failure_in_words(self, graded: str, ines: Person) -> None:
        assert "There is no 'zoe' in course linux-intro" in graded
        assert "for student 'zoe'" in graded
        assert not (ines.course / "autograded" / "zoe" / "ps1").exists()

    def test_what_the_service_never_received_is_not_scored(self, graded: str, ines: Person) -> None:
        assert "eli's ps1 was not graded" in graded
        assert "They submitted nothing at 20" in graded

    def test_checks_that_could_not_be_run_are_told(self, graded: str) -> None:
        assert "eve: the check 'The page is there' of 'own-page' earned nothing" in graded
        assert "ada: the check" not in graded

    def test_a_students_code_reaches_nothing_of_the_grader(self, graded: str, ines: Person) -> None:
        nb = nbformat.read(ines.course / "autograded" / "eve" / "ps1" / "lab.ipynb", 4)
        printed = "".join(out.get("text", "") for out in nb.cells[1].outputs)
        assert "TOKENS [] eve" in printed
        assert "TOKEN=" not in printed
        assert "GRADEBOOK refused" in printed
        assert "ADA refused" in printed
        assert "HOME refused" in printed
        assert "DATA some data" in printed


class TestFeedback:
    def test_it_shows_what_each_check_saw(self, feedback: str) -> None:
        assert "4 of 8 points" in feedback
        assert "the page says: &lt;script&gt;steal()&lt;/script&gt;" in feedback
        assert "The page says Hello somewhere." in feedback
        assert "&lt;section" not in feedback

    def test_it_shows_what_was_given_by_hand(self, feedback: str) -> None:
        assert "Because." in feedback
        assert "Score: 2.5 / 3.0" in feedback
        assert "Good, but why not?" in feedback

    def test_nothing_in_it_runs(self, feedback: str) -> None:
        assert "<script>steal" not in feedback

    def test_it_shows_no_line_of_the_checks(self, feedback: str) -> None:
        read = html.unescape(re.sub(r"<[^>]*>", "", feedback))
        lines = [line.strip() for line in CHECKS.read_text().splitlines() if line.strip()]
        assert [line for line in lines if line in read or line in feedback] == []

    def test_it_is_for_the_graded_submission_of_the_student_alone(
        self, feedback: str, school: Classroom, people: dict[str, Person]
    ) -> None:
        receipts = school["ines"].get(f"courses/{COURSE}/assignments/ps1/submissions").json()
        given = [receipt["student"] for receipt in receipts if receipt["feedback"]]
        assert given == ["ada", "bob", "eve"]
        assert len(receipts) == 5
        (of_ada,) = (people["ada"].notebook.parent / "feedback").iterdir()
        assert f"{of_ada.name} (feedback already" in people["ada"].nbgrader("list", "--cached")

    def test_the_list_knows_it_is_here(self, feedback: str, ada: Person) -> None:
        assert "feedback already fetched" in ada.nbgrader("list", "--cached")


def test_grades_are_exported(feedback: str, ines: Person) -> None:
    ines.nbgrader("export")
    with (ines.home / "grades.csv").open() as file:
        scores = {
            row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)
        }
    assert [scores[name] for name in ("ada", "bob", "eve")] == [(6.5, 9), (6, 9), (0, 9)]
