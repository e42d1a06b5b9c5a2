"""The server's side: what JupyterLab's panels ask, by role, and what stays responsive meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import httpx
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader_people import COURSE, SECOND_COURSE, Person, marks


class TestStudent:
    def test_courses(self, student: httpx.Client) -> None:
        assert student.get("/courses").json() == {"success": True, "value": [COURSE]}

    def test_the_list_has_what_is_fetched_and_submitted(self, student: httpx.Client) -> None:
        answer = student.get("/assignments", params={"course_id": COURSE}).json()
        assert answer["success"], answer
        fetched, submitted = answer["value"]
        assert fetched["status"] == "fetched"
        assert fetched["path"] == f"{COURSE}/ps1"
        assert fetched["notebooks"] == [{"notebook_id": "lab", "path": f"{COURSE}/ps1/lab.ipynb"}]
        assert submitted["status"] == "submitted"
        assert len(submitted["submissions"]) >= 2

    @pytest.mark.parametrize(("action", "said"), [("fetch", "already have"), ("submit", "later to submit")])
    def test_failures_are_sentences(self, student: httpx.Client, action: str, said: str) -> None:
        assignment = "ps1" if action == "fetch" else "later"
        body = {"course_id": COURSE, "assignment_id": assignment}
        answer = student.post(f"/assignments/{action}", json=body).json()
        assert answer["success"] is False
        assert said in answer["value"]
        assert "Traceback" not in answer["value"]

    def test_a_panel_of_another_version_is_told_to_reload(self, student: httpx.Client) -> None:
        def said(theirs: str) -> dict[str, object]:
            return dict(student.get("/nbgrader_version", params={"version": theirs}).json())

        assert said(version("nbgrader")) == {"success": True}
        assert "Reload" in str(said("0.1")["message"])
        assert said("0.1")["success"] is False

    def test_no_formgrader(self, student: httpx.Client) -> None:
        assert student.get("/formgrader/api/status").status_code == 404
        assert student.get("/formgraders").status_code == 404
        page = student.get("/lab", follow_redirects=True).text
        assert "@jupyter/nbgrader:formgrader" in page
        assert "@jupyter/nbgrader:assignment-list" not in page

    def test_the_server_answers_while_a_notebook_is_validated(
        self, student: httpx.Client, ada: Person
    ) -> None:
        work = ada.home / "slow"
        work.mkdir()
        wait = (
            "import pathlib, time\npathlib.Path('started').touch()\n"
            "while not pathlib.Path('go').exists(): time.sleep(0.05)"
        )
        tests = marks("slow", grade=True, locked=True, points=1)
        nbformat.write(
            new_notebook(cells=[new_code_cell(wait), new_code_cell("assert False", metadata=tests)]),
            work / "slow.ipynb",
        )
        with ThreadPoolExecutor(1) as threads:
            validation = threads.submit(
                student.post, "/assignments/validate", params={"path": "slow/slow.ipynb"}
            )
            deadline = time.monotonic() + 60
            while not (work / "started").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert student.get("/api", timeout=10).is_success
            assert not validation.done()
            (work / "go").touch()
            answer = validation.result().json()
        assert answer["success"], answer
        assert [failed["source"] for failed in answer["value"]["failed"]] == ["assert False"]

    def test_a_notebook_that_kills_what_validates_it_is_told(
        self, student: httpx.Client, ada: Person
    ) -> None:
        cells = [new_code_cell("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")]
        nbformat.write(new_notebook(cells=cells), ada.home / "killer.ipynb")
        answer = student.post("/assignments/validate", params={"path": "killer.ipynb"}).json()
        assert answer["success"] is False
        assert "ended with status -9" in answer["value"]

    def test_nothing_outside_is_validated(self, student: httpx.Client) -> None:
        answer = student.post("/assignments/validate", params={"path": "../outside.ipynb"})
        assert answer.status_code == 403

    def test_strangers_are_sent_away(self, student: httpx.Client) -> None:
        headers = {"Authorization": ""}
        student.cookies.clear()
        assert student.get("/courses", headers=headers).status_code in (302, 403)
        assert student.post("/assignments/submit", headers=headers, json={}).status_code == 403


class TestGrader:
    def test_formgrader_knows_course_and_release(self, grader: httpx.Client) -> None:
        page = grader.get("/formgrader/", follow_redirects=True)
        assert page.status_code == 200, page.text
        (assignment,) = grader.get("/formgrader/api/assignments").json()
        assert (assignment["name"], assignment["status"]) == ("ps1", "released")

    def test_the_course_list_opens_the_formgrader_of_each_course(self, grader: httpx.Client) -> None:
        rows = {row["course_id"]: row for row in grader.get("/formgraders").json()["value"]}
        assert list(rows) == [COURSE, SECOND_COURSE]
        assert all(row["kind"] == "local" for row in rows.values())
        for course in (SECOND_COURSE, COURSE):
            page = grader.get(rows[course]["url"], follow_redirects=True).text
            assert f"courses/{course}" in page
            found = [assignment["name"] for assignment in grader.get("/formgrader/api/assignments").json()]
            assert found == (["ps1"] if course == COURSE else [])

    def test_buttons_do_what_commands_do(self, grader: httpx.Client, ines: Person) -> None:
        for button in ("collect", "generate_feedback"):
            answer = grader.post(f"/formgrader/api/assignment/ps1/{button}").json()
            assert answer["success"], answer
        answer = grader.post("/formgrader/api/submission/ps1/ada/autograde").json()
        assert answer["success"], answer
        assert ines.scores("ada")["own-page"] == 2

    def test_a_failure_is_shown(self, grader: httpx.Client) -> None:
        answer = grader.post("/formgrader/api/submission/ps1/zoe/autograde").json()
        assert answer["success"] is False
        assert "There is no 'zoe'" in answer["log"]

    def test_a_students_file_is_shown_without_any_rights(self, grader: httpx.Client, ines: Person) -> None:
        page = ines.course / "autograded" / "ada" / "ps1" / "page.html"
        page.write_text("<script>steal()</script>")
        answer = grader.get(f"/formgrader/submissions/{notebook_of(grader, 'ada')}/page.html")
        assert answer.text == page.read_text()
        assert answer.headers["content-security-policy"] == "sandbox"

    def test_a_submission_can_be_graded_by_hand(self, grader: httpx.Client) -> None:
        page = grader.get(f"/formgrader/submissions/{notebook_of(grader, 'ada')}/").text
        assert "The page greets" in page
        assert "<script>steal" not in page


def notebook_of(grader: httpx.Client, student: str) -> str:
    """The id of a student's notebook, as formgrader's pages name it."""
    rows = grader.get("/formgrader/api/submitted_notebooks/ps1/lab").json()
    return next(str(row["id"]) for row in rows if row["student"] == student)
