"""What being late costs, in nbgrader's gradebook."""

import os
import sys
from pathlib import Path

import pytest
from machineroom_nbgrader.late import charge
from nbgrader.api import Gradebook


def test_a_share_of_the_score_is_lost_and_charged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )  # nbgrader calls alembic
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    with Gradebook(url) as gradebook:
        gradebook.add_assignment("ps1")
        gradebook.add_notebook("lab", "ps1")
        gradebook.add_grade_cell("page", "lab", "ps1", max_score=4, cell_type="code")
        gradebook.add_student("ada")
        gradebook.add_submission("ps1", "ada")
        gradebook.find_grade("page", "lab", "ps1", "ada").auto_score = 3
        gradebook.db.commit()
    for _ in range(2):
        charge(url, "ps1", "ada", "lab", 20)
    with Gradebook(url) as gradebook:
        found = gradebook.find_submission_notebook("lab", "ps1", "ada")
        assert (found.score, round(found.late_submission_penalty, 3)) == (3, 0.6)
