"""What is wrong with a course is said with file, line and key, before anything runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from machineroom_checks.runner import CheckRunner
from machineroom_hub.survey import digest, require, survey
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import read_course

Edit = Callable[[dict], None]


def swap(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit_cells(course: Path, edit: Edit) -> None:
    """Change the graded cell of the small course's notebook."""
    path = course / "source/hello/hello.ipynb"
    notebook = json.loads(path.read_text())
    edit(next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade")))
    path.write_text(json.dumps(notebook))


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("course.yml", "title: The", "title: [The", r"course\.yml:\d+: not valid YAML"),
        ("course.yml", "lab: box", "labb: box", r"course\.yml:3: .*unknown key; did you mean 'lab'\?"),
        ("course.yml", "name: hello", "name: Hello World", r"course\.yml:3: assignments\.0\.name"),
        ("course.yml", "lab: box", "lab: two", r"labs/two/lab\.yml: there is no such file"),
        ("course.yml", "title: The smallest course", "description: none", r"title: this key is required"),
        ("labs/box/lab.yml", "box:", "my-box:", "machine 'my-box': names are lower-case"),
        ("labs/box/lab.yml", "setup: box.sh", "memory: lots", "'lots' is not a size"),
        ("labs/box/lab.yml", "box.sh", "gone.sh", r"machines\.box\.setup: .*gone\.sh: there is no such file"),
    ],
)
def test_mistakes_in_yaml_are_told_with_their_place(mini, file, old, new, says):
    swap(mini / file, old, new)
    with pytest.raises(ContentError, match=says):
        read_course(mini)


def test_a_folder_with_a_bad_name_is_no_course(mini):
    mini = mini.rename(mini.with_name("My Course"))
    with pytest.raises(ContentError, match="the folder's name 'My Course' is the course's id"):
        read_course(mini)


def test_an_unknown_image_is_refused_with_those_there_are(mini):
    swap(mini / "labs/box/lab.yml", "image: lab-slim", "image: windows")
    with pytest.raises(
        ContentError, match=r"box\.image: there is no image 'windows'; there are: lab, lab-slim"
    ):
        require(read_course(mini), {"lab", "lab-slim"})


def test_an_assignment_without_a_notebook_is_refused(mini):
    (mini / "source/hello/hello.ipynb").unlink()
    with pytest.raises(ContentError, match=r"source/hello: there is no notebook"):
        require(read_course(mini), {"lab-slim"})


def test_the_small_course_has_nothing_to_mend(mini, runner):
    found = survey(read_course(mini), runner)
    assert found.problems == ()
    assert [(t.assignment, t.name, t.points) for t in found.tasks] == [("hello", "greeting", 3)]


def points(value: float) -> Edit:
    return lambda cell: cell["metadata"]["nbgrader"].update(points=value)


def unlocked(cell: dict) -> None:
    cell["metadata"]["nbgrader"]["locked"] = False


def nameless(cell: dict) -> None:
    del cell["metadata"]["nbgrader"]["grade_id"]


def pointless(cell: dict) -> None:
    del cell["metadata"]["nbgrader"]["points"]


def old_schema(cell: dict) -> None:
    cell["metadata"]["nbgrader"]["schema_version"] = 1


def other_task(cell: dict) -> None:
    cell["source"] = ['check("greetings")']


def same_id(cell: dict) -> None:
    cell["id"] = "import"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (points(5), "greeting is worth 5 points here and 3 in the checks"),
        (unlocked, "lock this cell"),
        (nameless, "it has no grade_id"),
        (pointless, "it is graded, but has no points"),
        (old_schema, "schema_version"),
        (other_task, "there are no checks for task 'greetings'; there are: greeting"),
        (other_task, 'no graded cell with check("greeting")'),
        (same_id, "the cell id 'import' is missing, malformed or used twice"),
    ],
)
def test_notebook_and_checks_must_agree(mini, runner: CheckRunner, edit, says):
    edit_cells(mini, edit)
    problems = survey(read_course(mini), runner).problems
    assert any(says in problem for problem in problems), problems


def test_two_tasks_of_one_name_are_told(mini, runner):
    swap(mini / "course.yml", "lab: box}", "lab: box}\n  - {name: again, lab: box}")
    for kind in ("checks", "source"):
        (mini / kind / "hello").rename(mini / kind / "again")
        (mini / kind / "hello").mkdir()
        for file in (mini / kind / "again").iterdir():
            (mini / kind / "hello" / file.name).write_bytes(file.read_bytes())
    problems = survey(read_course(mini), runner).problems
    assert problems == (
        "Two tasks are called 'greeting', in hello and again: rename one, in checks and notebook.",
    )


def test_a_check_file_that_cannot_be_read_is_told(mini, runner):
    swap(mini / "checks/hello/test_greeting.py", "import pytest", "import pytset")
    (problem, *_) = survey(read_course(mini), runner).problems
    assert "test_greeting.py" in problem
    assert "pytset" in problem


def test_the_digest_follows_what_decides_a_verdict(mini):
    before = digest(read_course(mini))
    (mini / "source/hello/hello.ipynb").write_text("{}")
    (mini / "checks/hello/.hidden").write_text("x")
    assert digest(read_course(mini)) == before
    swap(mini / "checks/hello/test_greeting.py", "0o077", "0o007")
    assert digest(read_course(mini)) != before
