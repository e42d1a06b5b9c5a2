"""Feedback without hidden tests: nbgrader's own prints them, and the tracebacks that quote them (#1363)."""

from typing import Any

from nbgrader import utils
from nbgrader.preprocessors import ClearHiddenTests

SOME_HIDDEN = "A test of this cell did not pass. Some of its tests are hidden."


class HideTests(ClearHiddenTests):
    """Takes hidden tests out of graded test cells, and what an error in such a cell quotes of them.

    Only cells that the instructor wrote are looked at: a student's own cell may say what it likes.
    """

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:  # noqa: ARG002
        """The cell without its hidden region; an error in it keeps its name and message."""
        if not utils.is_grade(cell) or utils.is_solution(cell) or cell.cell_type != "code":
            return cell, resources
        if self._remove_hidden_test_region(cell):
            for output in cell.outputs:
                if output.output_type == "error":
                    said = f"{output.ename}: {output.evalue}" if output.evalue else output.ename
                    output.traceback = [said, SOME_HIDDEN]
        return cell, resources
