"""Bring regraded verdicts into the gradebook, without running anybody's notebook again.

    python -m machineroom_nbgrader.regrade COURSE ASSIGNMENT VERDICTS.json

in the course's folder. `VERDICTS.json` is what the service answers about the assignment's verdicts. For each
submission that was autograded, the outputs of its machine tasks are replaced by the new reports, in the
gradebook (by nbgrader's own preprocessor) and in the autograded notebook, from which feedback is
made. Points that were given by hand stay, and are marked to be looked at again.
"""

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGrader
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import SaveAutoGrades
from traitlets import Dict
from traitlets.config import Config

from .exchange import Exchange
from .grading import ScoreChecks
from .late import charge

Verdicts = dict[str, Any]
"""Of one submission: `{"student", "submission", "timestamp", "penalty", "reports": [report…]}`."""


class GivenScores(ScoreChecks):
    """Scores of machine tasks from reports that are given, by task."""

    reports = Dict()

    def _reports(self, tasks: list[str], _where: dict[str, str]) -> list[dict[str, Any]]:
        return [self.reports[task] for task in tasks]


def bring(coursedir: CourseDirectory, assignment: str, found: list[Verdicts]) -> dict[str, list[str]]:
    """Write `found` into gradebook and notebooks: whom it was done for, whom not and why."""
    exchange = Exchange(coursedir=coursedir, parent=coursedir)
    by_stamp = {(each["student"], exchange.stamp(each)): each for each in found}
    done, problems = [], []
    for student in dict.fromkeys(each["student"] for each in found):
        folder = Path(coursedir.format_path(coursedir.autograded_directory, student, assignment))
        if not folder.is_dir():
            continue  # not graded yet: autograde will ask for the new score
        stamp = folder / "timestamp.txt"
        said = stamp.read_text().strip() if stamp.is_file() else ""
        verdicts = by_stamp.get((student, said))
        if verdicts is None:
            problems.append(f"{student}: the graded submission (of {said or 'no time'}) was not regraded")
            continue
        try:
            _rewrite(coursedir, assignment, folder, verdicts)
            done.append(student)
        except (MissingEntry, KeyError) as error:
            problems.append(f"{student}: {error}. Autograde this submission again")
    return {"done": done, "problems": problems}


def _rewrite(coursedir: CourseDirectory, assignment: str, folder: Path, verdicts: Verdicts) -> None:
    reports = {report["task"]: report for report in verdicts["reports"]}
    steps = (GivenScores(reports=reports), SaveAutoGrades())
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        known = [n.name for n in gradebook.find_submission(assignment, verdicts["student"]).notebooks]
    for name in known:
        path = folder / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        where = {
            "notebook": name,
            "assignment": assignment,
            "student": verdicts["student"],
            "db_url": coursedir.db_url,
        }
        resources: Any = {"nbgrader": where}
        for step in steps:
            notebook, resources = step.preprocess(notebook, resources)
        if verdicts["penalty"]:
            charge(coursedir.db_url, assignment, verdicts["student"], name, verdicts["penalty"])
        part = path.with_suffix(".part")
        nbformat.write(notebook, part)
        part.chmod(path.stat().st_mode)
        part.replace(path)


def main() -> None:
    """The command line; prints what was done as JSON."""
    course, assignment, verdicts = sys.argv[1:]
    app = NbGrader()
    app.load_config_file()
    config = app.config
    config.merge(Config(CourseDirectory={"course_id": course, "root": str(Path.cwd())}))
    found = json.loads(Path(verdicts).read_text())
    print(json.dumps(bring(CourseDirectory(config=config), assignment, found)))  # noqa: T201


if __name__ == "__main__":
    main()
