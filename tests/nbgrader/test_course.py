"""A course's way through nbgrader's commands: release, fetch, submit, collect, autograde, feedback."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output
from nbgrader_people import COURSE, Person, marks
from nbgrader_service import State


def report(earned: float, points: float = 8) -> dict:
    """What the service says about a task."""
    check = {"name": "test_page", "title": "The page is served", "points": points, "earned": earned}
    seen = {"outcome": "passed" if earned == points else "failed", "observed": "port 80 <is> closed"}
    return {
        "course": COURSE,
        "assignment": "ps1",
        "task": "own-page",
        "points": points,
        "earned": earned,
        "time": "2026-11-21T09:00:00Z",
        "machine": "web",
        "checks": [{**check, **seen, "hint": "Is nginx running?", "seconds": 0.1, "evidence": []}],
    }


def notebook_of(person: Person) -> Path:
    return person.home / COURSE / "ps1" / "lab.ipynb"


def edit(person: Person, **changes: str) -> None:
    """Change the sources of cells, by their grade ids."""
    nb = nbformat.read(notebook_of(person), 4)
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").replace("-", "_")
        cell.source = changes.get(name, cell.source)
    nbformat.write(nb, notebook_of(person))


@pytest.fixture(scope="module")
def submitted(released: State, people: dict[str, Person]) -> State:
    """Everybody has fetched, worked and submitted; ada twice."""
    for name in ("ada", "bob", "eve", "zoe"):
        people[name].nbgrader("fetch_assignment", "ps1")
    edit(people["ada"], answer="answer = 41")
    people["ada"].nbgrader("submit", "ps1")
    edit(people["ada"], answer="answer = 42", why="Because.")
    people["ada"].nbgrader("submit", "ps1")
    _bob_loses_cells(people["bob"])
    _eve_forges(people["eve"], people["ines"])
    for name in ("bob", "eve", "zoe"):
        people[name].nbgrader("submit", "ps1")
    return released


def _bob_loses_cells(bob: Person) -> None:
    """Without malice: the check is deleted, a cell is there twice, another comes from another course."""
    nb = nbformat.read(notebook_of(bob), 4)
    nb.cells = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != "own-page"]
    nb.cells.append(nb.cells[1].copy())
    nb.cells[-1].id = "again"
    nb.cells[1].source = "import sys\nprint('a warning', file=sys.stderr)\nanswer = 42"
    nb.cells[-1].source = nb.cells[1].source
    nb.cells.append(new_code_cell("assert True", metadata=marks("alien", grade=True, locked=True, points=50)))
    nbformat.write(nb, notebook_of(bob))


FORGERY = """
import os, subprocess
answer = 0

def showtraceback(*args, **kwargs):
    from IPython import get_ipython
    get_ipython().displayhook(2.0)
get_ipython().showtraceback = showtraceback

def attempt(path, mode="r"):
    try:
        with open(path, mode) as file:
            return "opened" if mode == "a" else file.read()
    except OSError as error:
        return f"refused: {error.strerror}"

print("TOKENS", [k for k in os.environ if "TOKEN" in k], os.environ["JUPYTERHUB_USER"])
print("PARENT", attempt(f"/proc/{os.getppid()}/environ"))
print("GRADEBOOK", attempt(GRADEBOOK, "a"))
print("ADA", attempt(ADA))
print("HOME", attempt(HOME))
print("DATA", attempt("data.txt").strip())
"""


def _eve_forges(eve: Person, ines: Person) -> None:
    nb = nbformat.read(notebook_of(eve), 4)
    targets = {
        "GRADEBOOK": ines.course / "gradebook.db",
        "ADA": ines.course / "submitted" / "ada" / "ps1" / "lab.ipynb",
        "HOME": ines.home / ".etc" / "workspace.json",
    }
    nb.cells[1].source = "\n".join(f"{k} = {str(v)!r}" for k, v in targets.items()) + FORGERY
    check = nb.cells[3]
    check.source = "4.0"
    check.outputs = [new_output("execute_result", {"text/plain": "4.0"}, execution_count=1)]
    check.metadata["nbgrader"].update(points=400, grade=False, solution=True, locked=False)
    nb.cells[2].metadata["nbgrader"]["points"] = 200
    nbformat.write(nb, notebook_of(eve))


@pytest.fixture(scope="module")
def graded(submitted: State, ines: Person) -> str:
    """All submissions are collected and autograded in one go; what autograde said."""
    for name, earned in {"ada": 6, "bob": 8, "eve": 0}.items():
        submitted.reports[name, "own-page"] = report(earned)
    submitted.reports["zoe", "own-page"] = (503, "Zoe's machine does not answer. Start it again.")
    ines.nbgrader("collect", "ps1")
    return ines.nbgrader("autograde", "ps1", ok=False)


class TestExchange:
    def test_students_fetch_once(self, submitted: State, ada: Person) -> None:
        assert (notebook_of(ada).parent / "data.txt").read_text() == "some data\n"
        assert "already have" in ada.nbgrader("fetch_assignment", "ps1", ok=False)
        (notebook_of(ada).parent / "data.txt").unlink()
        ada.nbgrader("fetch_assignment", "ps1", "--replace")
        assert (notebook_of(ada).parent / "data.txt").is_file()

    def test_unreleased_is_said(self, submitted: State, ada: Person) -> None:
        assert "later is not released" in ada.nbgrader("fetch_assignment", "later", ok=False)

    def test_release_needs_force_the_second_time(self, submitted: State, ines: Person) -> None:
        assert "released already" in ines.nbgrader("release_assignment", "ps1", ok=False)

    def test_students_cannot_release(self, submitted: State, ada: Person, ines: Person) -> None:
        said = ada.nbgrader("release_assignment", "ps1", f"--course-dir={ines.course}", "--force", ok=False)
        assert "Only graders release" in said

    def test_both_submissions_are_listed_and_copied(self, submitted: State, ada: Person) -> None:
        said = ada.nbgrader("list", "--cached")
        times = re.findall(r"linux-intro ada ps1 (.* UTC) \(no feedback available\)", said)
        assert len(times) == 2
        assert times == sorted(times)
        copy = next(ada.home.rglob(f"nbgrader_cache/linux-intro/ada+ps1+{times[0]}"))
        assert "answer = 41" in (copy / "lab.ipynb").read_text()
        assert (copy / "timestamp.txt").read_text() == times[0]

    def test_nothing_answers(self, submitted: State, ada: Person) -> None:
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


class TestScores:
    def test_partial_credit_is_scaled_to_the_cell(self, graded: str, ines: Person) -> None:
        assert ines.scores("ada") == {"test-answer": 2, "own-page": 3, "why": None}

    def test_lost_and_foreign_cells_do_no_harm(self, graded: str, ines: Person) -> None:
        assert ines.scores("bob") == {"test-answer": 2, "own-page": 4, "why": 0}

    def test_forgeries_earn_nothing(self, graded: str, ines: Person) -> None:
        assert ines.scores("eve") == {"test-answer": 0, "own-page": 0, "why": 0}

    def test_no_score_is_a_failure_in_words(self, graded: str, ines: Person) -> None:
        assert "Zoe's machine does not answer" in graded
        assert "for student 'zoe'" in graded
        assert not (ines.course / "autograded" / "zoe" / "ps1").exists()

    def test_the_service_is_asked_about_the_student(self, graded: str, submitted: State) -> None:
        assert {"assignment": "ps1", "task": "own-page", "student": "ada"} in submitted.asked

    def test_a_students_code_reaches_nothing_of_the_grader(self, graded: str, ines: Person) -> None:
        nb = nbformat.read(ines.course / "autograded" / "eve" / "ps1" / "lab.ipynb", 4)
        printed = "".join(out.get("text", "") for out in nb.cells[1].outputs)
        assert "TOKENS [] eve" in printed
        assert "PARENT refused" in printed
        assert "GRADEBOOK refused" in printed
        assert "ADA refused" in printed
        assert "HOME refused" in printed
        assert "DATA some data" in printed


@pytest.fixture(scope="module")
def feedback(graded: str, ines: Person, ada: Person) -> str:
    """Feedback is generated and released, and ada has fetched hers; her page."""
    ines.nbgrader("generate_feedback", "ps1")
    ines.nbgrader("release_feedback", "ps1")
    ada.nbgrader("fetch_feedback", "ps1")
    (page,) = (notebook_of(ada).parent / "feedback").glob("*/lab.html")
    return page.read_text()


class TestFeedback:
    def test_it_shows_what_the_check_saw(self, feedback: str) -> None:
        assert "The page is served" in feedback
        assert "port 80 &lt;is&gt; closed" in feedback
        assert "&lt;section" not in feedback

    def test_it_is_for_the_graded_submission_of_the_student_alone(
        self, feedback: str, submitted: State, people: dict[str, Person]
    ) -> None:
        assert len(submitted.feedback) == 3
        assert "no feedback" in people["zoe"].nbgrader("fetch_feedback", "ps1").lower()

    def test_the_list_knows_it_is_here(self, feedback: str, ada: Person) -> None:
        assert "feedback already fetched" in ada.nbgrader("list", "--cached")
