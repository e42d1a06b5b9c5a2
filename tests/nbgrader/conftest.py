"""A course and its people with a workspace each; hub, service and machines between them are real."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import httpx
import nbformat
import pytest
from classroom import PREFIX, Classroom, open_classroom
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader_people import COURSE, SECOND_COURSE, Person, marks, server_of

collect_ignore = ["courses"]  # their test_*.py are checks of machines

EXTENSIONS = Path(__file__).parents[2] / "extensions"
STUDENTS = ["ada", "bob", "eve"]
GROUPS = {
    f"nbgrader-{COURSE}": STUDENTS,
    **{f"{role}-{course}": ["ines"] for role in ("formgrade", "teach") for course in (COURSE, SECOND_COURSE)},
}

Shell = Callable[[str, str], None]


@pytest.fixture(scope="session")
def school(engine: docker.DockerClient) -> Iterator[Classroom]:
    with open_classroom(engine, Path(__file__).parent / "courses", GROUPS) as made:
        yield made


@pytest.fixture(scope="session")
def people(school: Classroom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    """Students ada, bob and eve, and the instructor ines."""
    found = {}
    for name in (*STUDENTS, "ines"):
        role = "student" if name in STUDENTS else "instructor"
        home = tmp_path_factory.mktemp(name)
        etc = home / ".etc"
        etc.mkdir()
        courses = [COURSE] if role == "student" else [COURSE, SECOND_COURSE]
        said = {
            "user": name,
            "service_url": school.service + PREFIX,
            "courses": [{"id": course, "title": course, "role": role, "labs": []} for course in courses],
        }
        (etc / "workspace.json").write_text(json.dumps(said))
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "JUPYTERHUB_API_TOKEN": school.token(name),
            "JUPYTERHUB_USER": name,
            "MACHINEROOM_ETC": str(etc),
            "JUPYTER_CONFIG_PATH": str(EXTENSIONS / "jupyter-config"),
            "PYTHONPATH": str(EXTENSIONS),
        }
        found[name] = Person(name, role, home, env)
    (found["ines"].home / "courses").symlink_to(school.room.courses)
    return found


@pytest.fixture(scope="session")
def ines(people: dict[str, Person]) -> Person:
    return people["ines"]


@pytest.fixture(scope="session")
def ada(people: dict[str, Person]) -> Person:
    return people["ada"]


@pytest.fixture(scope="session")
def shell(school: Classroom, engine: docker.DockerClient) -> Shell:
    """`shell("ada", "…")` is a command as root on ada's machine. Ada and bob have one, eve has none."""
    boxes = {}
    for name in ("ada", "bob"):
        reply = school[name].post(f"machines/{name}/{COURSE}/box/box/ensure")
        assert "done" in json.loads(reply.text.splitlines()[-1]), reply.text
        boxes[name] = school.container(engine, name, course=COURSE, lab="box")

    def run(name: str, command: str) -> None:
        done = boxes[name].exec_run(["sh", "-c", command])
        assert done.exit_code == 0, done.output

    return run


@pytest.fixture(scope="session")
def released(ines: Person) -> None:
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


def edit(person: Person, **changes: str) -> None:
    """Change the sources of cells, by their grade ids."""
    nb = nbformat.read(person.notebook, 4)
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").replace("-", "_")
        cell.source = changes.get(name, cell.source)
    nbformat.write(nb, person.notebook)


@pytest.fixture(scope="session")
def submitted(released: None, people: dict[str, Person], shell: Shell) -> None:
    """Everybody has fetched, worked and submitted; ada twice."""
    for name in STUDENTS:
        people[name].nbgrader("fetch_assignment", "ps1")
    edit(people["ada"], answer="answer = 41")
    people["ada"].nbgrader("submit", "ps1")
    edit(people["ada"], answer="answer = 42", why="Because. <script>steal()</script>")
    shell("ada", "echo '<script>steal()</script>' >/srv/page.html && chmod 600 /srv/page.html")
    people["ada"].nbgrader("submit", "ps1")
    _bob_loses_cells(people["bob"])
    shell("bob", "echo Hello >/srv/page.html")
    _eve_forges(people["eve"], people["ines"])
    for name in ("bob", "eve"):
        people[name].nbgrader("submit", "ps1")


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
import os, subprocess, sys, types
answer = 0
sys.modules["machineroom_checks"] = types.SimpleNamespace(check=lambda *_: 4.0, on=print)

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


FORGED = "def check(*_): return 4.0\ndef load_ipython_extension(_): raise SystemExit\n"
"""A module that whoever runs the submission in its folder might import in place of ours or of nbgrader's."""


def _eve_forges(eve: Person, ines: Person) -> None:
    for module in ("machineroom_checks", "machineroom_nbgrader", "nbgrader", "sitecustomize", "IPython"):
        (eve.notebook.parent / f"{module}.py").write_text(FORGED)
    (eve.notebook.parent / "timestamp.txt").write_text("2000-01-01 00:00:00 UTC")
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
def graded(submitted: None, ines: Person, people: dict[str, Person], shell: Shell) -> str:
    """All submissions are collected and autograded in one go; what autograde said.

    Meanwhile bob goes on working and hands in again. Zoe, who is not in the course, sent hers by mail,
    and a copy of ada's came to lie in eli's folder.
    """
    ines.nbgrader("collect", "ps1")
    shell("bob", "rm /srv/page.html")
    people["bob"].nbgrader("submit", "ps1")
    shutil.copytree(ines.course / "release" / "ps1", ines.course / "submitted" / "zoe" / "ps1")
    shutil.copytree(ines.course / "submitted" / "ada" / "ps1", ines.course / "submitted" / "eli" / "ps1")
    return ines.nbgrader("autograde", "ps1", ok=False)


@pytest.fixture(scope="session")
def feedback(graded: str, ines: Person, ada: Person) -> str:
    """Ines gives points by hand, then generates and releases feedback; the page that ada fetches."""
    ines.give("ada", "why", points=2.5, comment="Good, but why not?")
    ines.nbgrader("generate_feedback", "ps1")
    ines.nbgrader("release_feedback", "ps1")
    ada.nbgrader("fetch_feedback", "ps1")
    (page,) = (ada.notebook.parent / "feedback").glob("*/lab.html")
    return page.read_text()


@pytest.fixture(scope="session")
def student(submitted: None, ada: Person) -> Iterator[httpx.Client]:
    with server_of(ada, "--ServerApp.jpserver_extensions={'jupyterlab': True}") as client:
        yield client


@pytest.fixture(scope="session")
def grader(graded: str, ines: Person) -> Iterator[httpx.Client]:
    with server_of(ines, "--ServerApp.jpserver_extensions={'jupyterlab': False}") as client:
        yield client
