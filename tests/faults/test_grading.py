"""Collecting and grading, with a submission that is no notebook, while service and workspace are killed."""

import gzip
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from archives import archive
from faults.conftest import ASSIGNMENT, COURSE, World
from faults.people import until
from nbgrader.api import Gradebook

NBGRADER = "/opt/machineroom/bin/nbgrader"


def nbgrader(world: World, *words: str) -> tuple[int, str]:
    """An nbgrader command, as gil gives it in a terminal of the workspace."""
    folder = f"/home/jovyan/courses/{COURSE}"
    done = world.workspace("gil").exec_run([NBGRADER, *words], user="jovyan", workdir=folder)
    return int(done.exit_code or 0), done.output.decode(errors="replace")


@pytest.fixture(scope="module")
def handed_in(world: World) -> None:
    """Ana has done her work; what bo has handed in is no notebook."""
    for name in ("ana", "bo", "gil"):
        world.at_work(name)
    world.run(world.machine("ana"), "echo hello > /srv/greetings/hello; chmod 600 /srv/greetings/hello")
    release = world["ana"].call("GET", f"{world['ana'].place}/release").content
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(release))) as tar:
        notebook = tar.extractfile(f"./{ASSIGNMENT}.ipynb")
        assert notebook
        work = archive({f"{ASSIGNMENT}.ipynb": notebook.read()})
    assert world["ana"].submit(work, "graded").status_code == 201
    garbage = archive({f"{ASSIGNMENT}.ipynb": "this is no notebook"})
    assert world["bo"].submit(garbage, "graded").status_code == 201


def test_a_service_that_is_killed_leaves_no_half_collected_folder(world: World, handed_in: None) -> None:
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(nbgrader, world, "collect", ASSIGNMENT)
        until(
            lambda: "nbgrader collect" in str(world.workspace("gil").top()["Processes"]), "collecting begins"
        )
        world.kill("service")
        code, said = going.result(120)
    assert code == 0 or "does not answer" in said, said
    until(world.whole, "the service")
    code, said = nbgrader(world, "collect", ASSIGNMENT, "--update")
    assert code == 0, said
    submitted = world.installation.room.courses / COURSE / "submitted"
    for name in ("ana", "bo"):
        folder = submitted / name / ASSIGNMENT
        assert {path.name for path in folder.iterdir()} >= {f"{ASSIGNMENT}.ipynb", "timestamp.txt"}


def test_a_workspace_that_is_killed_counts_nobody_twice(world: World, handed_in: None) -> None:
    nbgrader(world, "collect", ASSIGNMENT, "--update")
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(nbgrader, world, "autograde", ASSIGNMENT)
        until(
            lambda: "nbgrader autograde" in str(world.workspace("gil").top()["Processes"]), "grading begins"
        )
        world.kill("workspace", "gil")
        going.result(120)
    until(world["gil"].has_server, "gil's server")
    code, said = nbgrader(world, "autograde", ASSIGNMENT)
    assert code != 0, "that bo's cannot be graded is told"
    assert "bo" in said, said
    gradebook = world.installation.room.courses / COURSE / "gradebook.db"
    with Gradebook(f"sqlite:///{gradebook}", COURSE) as found:
        assert found.find_submission(ASSIGNMENT, "ana").score == 3
        students = [submission.student.id for submission in found.assignment_submissions(ASSIGNMENT)]
        assert sorted(students).count("ana") == 1
