"""Before autograde: everything about a cell but a student's own answer is what was released."""

from nbconvert.exporters.exporter import ResourcesDict
from nbformat.notebooknode import NotebookNode
from nbgrader import preprocessors
from nbgrader.api import Gradebook


class RestoreCells(preprocessors.OverwriteCells):
    """Overwrites what a student changed about released cells, and puts deleted ones back.

    nbgrader's own fails on a locked cell whose flags were changed, and on a cell of another assignment.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Restore the notebook from the gradebook."""
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            released = gradebook.find_notebook(where["notebook"], where["assignment"])
            solutions = {cell.name for cell in released.solution_cells}
            tasks = {cell.name for cell in released.task_cells}
            worth = (*released.grade_cells, *released.task_cells)
            points = {cell.name: float(cell.max_score) for cell in worth}
            self._released = {
                cell.name: {
                    "grade": cell.name in points and cell.name not in tasks,
                    "solution": cell.name in solutions,
                    "task": cell.name in tasks,
                    "locked": cell.locked,
                    **({"points": points[cell.name]} if cell.name in points else {}),
                }
                for cell in released.source_cells
            }
        self.add_missing_cells = True
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: NotebookNode, resources: ResourcesDict, index: int
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Restore one cell; one that was not released is the student's own, and earns nothing."""
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("grade_id") in self._released:
            marks.update(self._released[marks["grade_id"]])
            return super().preprocess_cell(cell, resources, index)
        cell.metadata.pop("nbgrader", None)
        return cell, resources
