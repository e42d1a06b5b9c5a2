"""Who takes part in nbgrader's tests, and what they run."""

import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderApp

COURSE, SECOND_COURSE = "linux-intro", "networks"


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

    @property
    def notebook(self) -> Path:
        """The notebook of the assignment ps1, as fetched."""
        return self.home / COURSE / "ps1" / "lab.ipynb"

    def nbgrader(self, *arguments: str, ok: bool = True) -> str:
        """Run an nbgrader command as this person would in a terminal; what it printed.

        It runs in a fork of this process, which has imported nbgrader already: that saves seconds.
        """
        with tempfile.TemporaryFile("w+") as output:
            pid = os.fork()
            if not pid:
                os._exit(self._child(output.fileno(), arguments))
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            said = output.read()
        assert (status == 0) == ok, said
        return said

    def _child(self, output: int, arguments: tuple[str, ...]) -> int:
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False, buffering=1)
            os.chdir(self.home)
            os.environ.clear()
            os.environ.update(self.env)
            NbGraderApp.launch_instance(list(arguments))
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def scores(self, student: str, assignment: str = "ps1", notebook: str = "lab") -> dict[str, float | None]:
        """A student's automatic scores in this person's gradebook, by cell."""
        with Gradebook(f"sqlite:///{self.course / 'gradebook.db'}", COURSE) as gradebook:
            found = gradebook.find_submission_notebook(notebook, assignment, student).grades
            return {grade.name: grade.auto_score for grade in found}

    def give(self, student: str, cell: str, points: float, comment: str) -> None:
        """Grade a cell of ps1 by hand, as formgrader does."""
        with Gradebook(f"sqlite:///{self.course / 'gradebook.db'}", COURSE) as gradebook:
            grade = gradebook.find_grade(cell, "lab", "ps1", student)
            grade.manual_score, grade.needs_manual_grade = points, False
            gradebook.find_comment(cell, "lab", "ps1", student).manual_comment = comment
            gradebook.db.commit()


def marks(grade_id: str, **flags: bool | float) -> dict:
    """nbgrader's metadata for a cell."""
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return {"nbgrader": {**plain, "grade_id": grade_id, **flags}}


@contextmanager
def server_of(person: Person, *options: str) -> Iterator[httpx.Client]:
    """This person's Jupyter server, as long as needed, and a client that is logged in."""
    socket = person.home / "server.sock"
    command = [sys.executable, "-m", "jupyter_server", f"--ServerApp.sock={socket}", *options]
    settings = ["--ServerApp.token=t", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True"]
    log = person.home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *settings], cwd=person.home, env=person.env, stdout=output, stderr=output
        )
    transport = httpx.HTTPTransport(uds=str(socket))
    with httpx.Client(
        transport=transport, base_url="http://localhost", headers={"Authorization": "token t"}, timeout=60
    ) as client:
        try:
            deadline = time.monotonic() + 60
            while not socket.exists() or client.get("/api").is_error:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield client
        finally:
            process.terminate()
            process.wait(30)
