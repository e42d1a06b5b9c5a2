"""What feedback keeps of a test cell, and what not."""

from typing import Any

import nbformat
from machineroom_nbgrader.hide import SOME_HIDDEN, HideTests
from nbformat.v4 import new_code_cell, new_output

SOURCE = "assert f(1) == 1\n### BEGIN HIDDEN TESTS\nassert f(2) == 'secret'\n### END HIDDEN TESTS"
TRACEBACK = ["Traceback", "----> 3 assert f(2) == 'secret'", "AssertionError: f is wrong"]


def _cell(grade: bool, solution: bool, source: str = SOURCE) -> nbformat.NotebookNode:
    metadata = {"nbgrader": {"grade": grade, "solution": solution, "locked": not solution, "grade_id": "x"}}
    error = new_output("error", ename="AssertionError", evalue="f is wrong", traceback=TRACEBACK)
    return new_code_cell(source, metadata=metadata, outputs=[error])


def _processed(cell: nbformat.NotebookNode) -> Any:
    return HideTests().preprocess_cell(cell, {}, 0)[0]


def test_hidden_tests_and_what_quotes_them_are_gone_and_the_message_stays() -> None:
    cell = _processed(_cell(grade=True, solution=False))
    assert cell.source == "assert f(1) == 1"
    assert cell.outputs[0].traceback == ["AssertionError: f is wrong", SOME_HIDDEN]


def test_a_test_cell_without_hidden_tests_keeps_its_traceback() -> None:
    cell = _processed(_cell(grade=True, solution=False, source="assert f(1) == 1"))
    assert cell.outputs[0].traceback == TRACEBACK


def test_a_students_cell_with_half_a_marker_breaks_nothing() -> None:
    source = "### BEGIN HIDDEN TESTS\nmine = 1"
    assert _processed(_cell(grade=False, solution=True, source=source)).source == source
