"""The demo course: nothing to mend, its notebooks are nbgrader's, and every task is proven."""

import json

import nbformat
import pytest
from machineroom_hub import proof as proofs
from machineroom_hub.proof import is_proven
from machineroom_hub.prove import prove
from machineroom_hub.survey import require, survey
from nbgrader.nbgraderformat import MetadataValidator
from rich.console import Console


def notebooks(course):
    return sorted(course.folder.glob("source/*/*.ipynb"))


def test_nothing_has_to_be_mended(linux_intro, runner):
    require(linux_intro, {"lab", "lab-slim"})
    found = survey(linux_intro, runner)
    assert found.problems == ()
    assert len(linux_intro.assignments) >= 4
    assert len(found.tasks) >= 12
    assert all(task.title for task in found.tasks)


def test_each_check_has_a_title_and_a_hint(linux_intro, runner):
    for assignment in linux_intro.assignments:
        for task in runner.collect(linux_intro.checks(assignment.name)):
            assert len(task["hints"]) == len(task["checks"]), task["task"]


def test_the_committed_proof_is_of_these_checks(linux_intro):
    assert is_proven(linux_intro), "run: ./machineroom course prove course_material/linux-intro"


def test_notebooks_are_clean_and_valid(linux_intro):
    for path in notebooks(linux_intro):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        MetadataValidator().validate_nb(notebook)
        ids = [cell.id for cell in notebook.cells]
        assert len(set(ids)) == len(ids)
        for cell in notebook.cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_every_kind_of_cell_is_there(linux_intro):
    kinds = set()
    for path in notebooks(linux_intro):
        for cell in json.loads(path.read_text())["cells"]:
            if meta := cell["metadata"].get("nbgrader"):
                kinds.add((cell["cell_type"], meta["grade"], meta["solution"]))
    assert {("code", True, False), ("code", False, True), ("markdown", True, True)} <= kinds


def test_solutions_of_ordinary_cells_pass_their_tests(linux_intro):
    tested = 0
    for path in notebooks(linux_intro):
        names: dict = {}
        for cell in nbformat.read(path, as_version=4).cells:
            meta = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and meta.get("solution"):
                exec(cell.source, names)
            elif cell.cell_type == "code" and meta.get("grade") and "check(" not in cell.source:
                exec(cell.source, names)
                tested += 1
    assert tested >= 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_task_is_proven(linux_intro, driver, runner):
    proof = prove(linux_intro, driver, runner, secret=b"s" * 32)
    Console(width=160).print(proofs.render(proof))
    assert proof.proven
    assert driver.machines() == []
