"""Who takes part in nbgrader's tests, and what they run."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook

COURSE = "linux-intro"


@dataclass
class Person:
    """Somebody with a home folder, a token and a role."""

    name: str
    role: str
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def course(self) -> Path:
        return self.home / "courses" / COURSE

    def nbgrader(self, *arguments: str, ok: bool = True) -> str:
        """Run an nbgrader command as this person would in a terminal; what it printed."""
        return self.python("-m", "nbgrader", *arguments, ok=ok)

    def python(self, *arguments: str, ok: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.home,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
        )
        assert (done.returncode == 0) == ok, done.stdout
        return done.stdout

    def scores(self, student: str, assignment: str = "ps1", notebook: str = "lab") -> dict[str, float | None]:
        """A student's automatic scores in this person's gradebook, by cell."""
        with Gradebook(f"sqlite:///{self.course / 'gradebook.db'}", COURSE) as gradebook:
            found = gradebook.find_submission_notebook(notebook, assignment, student).grades
            return {grade.name: grade.auto_score for grade in found}


def marks(grade_id: str, **flags: bool | float) -> dict:
    """nbgrader's metadata for a cell."""
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return {"nbgrader": {**plain, "grade_id": grade_id, **flags}}
