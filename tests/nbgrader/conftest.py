"""A course, its people with a workspace each, and a service between them."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader_people import COURSE, SECOND_COURSE, Person, marks
from nbgrader_service import State, serving

EXTENSIONS = Path(__file__).parents[2] / "extensions"


@pytest.fixture(scope="session")
def service() -> Iterator[State]:
    with serving() as state:
        yield state


@pytest.fixture(scope="session")
def people(service: State, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    """Students ada, bob, eve and zoe, and the instructor ines."""
    roles = dict.fromkeys(("ada", "bob", "eve", "zoe"), "student") | {"ines": "instructor"}
    found = {}
    for name, role in roles.items():
        home = tmp_path_factory.mktemp(name)
        etc = home / ".etc"
        etc.mkdir()
        courses = [COURSE] if role == "student" else [COURSE, SECOND_COURSE]
        said = {
            "user": name,
            "service_url": service.url,
            "courses": [{"id": course, "title": course, "role": role, "labs": []} for course in courses],
        }
        (etc / "workspace.json").write_text(json.dumps(said))
        token = f"secret-token-of-{name}"
        service.people[token] = (name, role)
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "JUPYTERHUB_API_TOKEN": token,
            "JUPYTERHUB_USER": name,
            "MACHINEROOM_ETC": str(etc),
            "JUPYTER_CONFIG_PATH": str(EXTENSIONS / "jupyter-config"),
            "PYTHONPATH": str(EXTENSIONS),
        }
        found[name] = Person(name, role, home, env)
    for course in (COURSE, SECOND_COURSE):
        (found["ines"].home / "courses" / course).mkdir(parents=True)
    return found


@pytest.fixture(scope="session")
def ines(people: dict[str, Person]) -> Person:
    return people["ines"]


@pytest.fixture(scope="session")
def ada(people: dict[str, Person]) -> Person:
    return people["ada"]


@pytest.fixture(scope="session")
def released(service: State, ines: Person) -> State:
    """The assignment ps1, generated and released by the instructor from the command line."""
    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        cells=[
            new_markdown_cell("# A page of your own"),
            new_code_cell(
                "### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION", metadata=marks("answer", solution=True)
            ),
            new_code_cell(
                "assert answer == 42", metadata=marks("test-answer", grade=True, locked=True, points=2)
            ),
            new_code_cell(
                'from machineroom_checks import check\n\ncheck("own-page")',
                metadata=marks("own-page", grade=True, locked=True, points=4),
            ),
            new_markdown_cell("Why?", metadata=marks("why", grade=True, solution=True, points=3)),
        ],
    )
    source = ines.course / "source" / "ps1"
    source.mkdir(parents=True)
    nbformat.write(notebook, source / "lab.ipynb")
    (source / "data.txt").write_text("some data\n")
    ines.nbgrader("generate_assignment", "ps1")
    ines.nbgrader("release_assignment", "ps1")
    return service


def report(earned: float, points: float = 8) -> dict:
    """What the service says about a task."""
    check = {"name": "test_page", "title": "The page is served", "points": points, "earned": earned}
    seen = {
        "outcome": "passed" if earned == points else "failed" if earned else "error",
        "observed": "port 80 <is> closed",
    }
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


def edit(person: Person, **changes: str) -> None:
    """Change the sources of cells, by their grade ids."""
    nb = nbformat.read(person.notebook, 4)
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").replace("-", "_")
        cell.source = changes.get(name, cell.source)
    nbformat.write(nb, person.notebook)


@pytest.fixture(scope="session")
def submitted(released: State, people: dict[str, Person]) -> State:
    """Everybody has fetched, worked and submitted; ada twice."""
    for name in ("ada", "bob", "eve", "zoe"):
        people[name].nbgrader("fetch_assignment", "ps1")
    edit(people["ada"], answer="answer = 41")
    people["ada"].nbgrader("submit", "ps1")
    edit(people["ada"], answer="answer = 42", why="Because. <script>steal()</script>")
    people["ada"].nbgrader("submit", "ps1")
    _bob_loses_cells(people["bob"])
    _eve_forges(people["eve"], people["ines"])
    for name in ("bob", "eve", "zoe"):
        people[name].nbgrader("submit", "ps1")
    return released


def _bob_loses_cells(bob: Person) -> None:
    """Without malice: the check is deleted, a cell is there twice, another comes from another course."""
    nb = nbformat.read(bob.notebook, 4)
    nb.cells = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != "own-page"]
    nb.cells.append(nb.cells[1].copy())
    nb.cells[-1].id = "again"
    nb.cells[1].source = "import sys\nprint('a warning', file=sys.stderr)\nanswer = 42"
    nb.cells[-1].source = nb.cells[1].source
    nb.cells.append(new_code_cell("assert True", metadata=marks("alien", grade=True, locked=True, points=50)))
    nbformat.write(nb, bob.notebook)


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
    nb = nbformat.read(eve.notebook, 4)
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
    nbformat.write(nb, eve.notebook)


@pytest.fixture(scope="session")
def graded(submitted: State, ines: Person) -> str:
    """All submissions are collected and autograded in one go; what autograde said."""
    for name, earned in {"ada": 6, "bob": 8, "eve": 0}.items():
        submitted.reports[name, "own-page"] = report(earned)
    submitted.reports["zoe", "own-page"] = (503, "Zoe's machine does not answer. Start it again.")
    ines.nbgrader("collect", "ps1")
    return ines.nbgrader("autograde", "ps1", ok=False)


@pytest.fixture(scope="session")
def feedback(graded: str, ines: Person, ada: Person) -> str:
    """Feedback is generated and released, and ada has fetched hers; her page."""
    ines.nbgrader("generate_feedback", "ps1")
    ines.nbgrader("release_feedback", "ps1")
    ada.nbgrader("fetch_feedback", "ps1")
    (page,) = (ada.notebook.parent / "feedback").glob("*/lab.html")
    return page.read_text()
