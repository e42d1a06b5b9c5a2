"""Autograde: the scores of machine tasks, which no student's kernel has a say in."""

import ast
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from machineroom_checks.report import plain_text, score, static_html
from nbconvert.exporters.exporter import ResourcesDict
from nbformat.notebooknode import NotebookNode
from nbformat.v4 import new_output
from nbgrader import preprocessors, utils
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory

from .baton import others
from .service import ServiceError

Processed = tuple[NotebookNode, ResourcesDict]


class GradingError(Exception):
    """A submission cannot be graded. The message says why and what to do next."""


def tasks_of(source: str) -> list[str]:
    """The tasks that a cell checks: the constant names in its calls of `check`.

    >>> tasks_of('from machineroom_checks import check\\ncheck("own-page")')
    ['own-page']
    """
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return []
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", None)) == "check"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def _is_tests(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


class ScoreChecks(preprocessors.NbGraderPreprocessor):
    """Gives tests cells that call `check` the score that the service vouches for.

    Which tasks and how many points is read from the gradebook, which students cannot write.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> Processed:
        """Replace the outputs of such cells by the reports and their score. Raises GradingError."""
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            for cell in filter(_is_tests, nb.cells):
                key = (cell.metadata.nbgrader["grade_id"], where["notebook"], where["assignment"])
                tasks = tasks_of(gradebook.find_source_cell(*key).source)
                if tasks:
                    points = gradebook.find_graded_cell(*key).max_score
                    reports = self._reports(tasks, where)
                    self._warn(reports, where["student"])
                    cell.outputs = _outputs(reports, points)
        return nb, resources

    def _warn(self, reports: list[dict[str, Any]], student: str) -> None:
        """Say which checks earned nothing only because they could not be run."""
        for report in reports:
            for check in report["checks"]:
                if check["outcome"] in ("error", "timeout"):
                    self.log.warning(
                        "%s: the check '%s' of '%s' earned nothing, because it could not be run: %s "
                        "Mend the machine or the check and autograde again, or give the points by hand.",
                        *(student, check["title"], report["task"], check["observed"]),
                    )

    def _reports(self, tasks: list[str], where: dict[str, str]) -> list[dict[str, Any]]:
        """What the service says about the submission that was collected."""
        exchange = self.parent.parent.exchange
        question = {"assignment": where["assignment"], "student": where["student"]}
        stamp = stamp_of(exchange.coursedir, where)
        try:
            with others():
                if stamp:
                    ids = exchange.ids(where["assignment"], student=where["student"])
                    if (where["student"], stamp) not in ids:
                        raise ServiceError(
                            f"They submitted nothing at {stamp}. Collect it again; if it came in another "
                            "way, remove its timestamp.txt, and the latest submission counts."
                        )
                    question["submission"] = ids[where["student"], stamp]
                path = ("courses", exchange.course, "score")
                return [
                    exchange.service.json("POST", *path, json={**question, "task": task}) for task in tasks
                ]
        except ServiceError as error:
            raise GradingError(
                f"{where['student']}'s {where['assignment']} was not graded, because there is no score "
                f"for {' and '.join(tasks)}: {error} Then autograde this submission again."
            ) from error


def stamp_of(coursedir: CourseDirectory, where: dict[str, str]) -> str:
    """When the collected submission was made; "" for a folder that somebody put there by hand."""
    place = (coursedir.submitted_directory, where["student"], where["assignment"])
    stamp = Path(coursedir.format_path(*place), "timestamp.txt")
    return stamp.read_text().strip() if stamp.is_file() else ""


def _outputs(reports: list[dict[str, Any]], points: float) -> list[NotebookNode]:
    """What each check saw, and the score where nbgrader looks for it."""
    shown = [
        new_output("display_data", {"text/html": static_html(report), "text/plain": plain_text(report)})
        for report in reports
    ]
    whole = {key: sum(report[key] for report in reports) for key in ("points", "earned")}
    return [*shown, new_output("execute_result", {"text/plain": str(score(whole, points))})]
