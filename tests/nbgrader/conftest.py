"""A course, its people with a workspace each, and a service between them."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader_people import COURSE, Person, marks
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
        (etc / "workspace.json").write_text(
            json.dumps(
                {
                    "user": name,
                    "service_url": service.url,
                    "courses": [{"id": COURSE, "title": "Linux", "role": role, "labs": []}],
                }
            )
        )
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
    found["ines"].course.mkdir(parents=True)
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
