"""Does nbgrader's work: a line of JSON on standard input is a job, a line on standard output its answer.

nbgrader changes the folder, the environment and the logging of its process, and importing it takes longer
than most of what it does. So it is imported once, and every job is a fork of that.
"""

import json
import os
import sys
import tempfile
import traceback
from typing import IO, Any

from nbgrader.apps import NbGrader
from nbgrader.apps.api import NbGraderAPI
from nbgrader.nbgraderformat import SchemaTooNewError, SchemaTooOldError
from nbgrader.validator import Validator

from . import (
    exchange,  # noqa: F401  # so that no job has to import it
    grading,  # noqa: F401
    regrade_page,
)
from .jobs import Answer


def validate(path: str) -> Answer:
    """Run a notebook as its tests would, and say what fails."""
    app = NbGrader()
    app.load_config_file()
    try:
        return {"success": True, "value": Validator(config=app.config).validate(path)}
    except (SchemaTooOldError, SchemaTooNewError) as error:
        return {"success": False, "value": f"{path} was made for another version of nbgrader: {error}"}


def grade(action: str, *arguments: str) -> Answer:
    """What a button of formgrader does: a method of nbgrader's API, of the configured course, or ours."""
    app = NbGrader()
    app.initialize([])
    if action == "regrade":
        return regrade_page.write(app.coursedir, *arguments)
    return getattr(NbGraderAPI(app.coursedir, parent=app), action)(*arguments)


def do(job: dict[str, Any]) -> Answer:
    """A job in a process of its own: its answer, or what it said before it ended without one."""
    with tempfile.TemporaryFile("w+") as answer, tempfile.TemporaryFile("w+", errors="replace") as said:
        pid = os.fork()
        if not pid:
            _child(job, answer, said)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for file in (answer, said):
            file.seek(0)
        if not status:
            return json.load(answer)
        log = said.read()[-4000:]
        value = f"nbgrader ended with status {status} before it was done.\n{log}"
        return {"success": False, "value": value, "error": log, "log": log}


def _child(job: dict[str, Any], answer: IO[str], said: IO[str]) -> None:
    """Do the job and end. What notebooks and nbgrader print goes to `said`."""
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(job["environment"])
        action, arguments = job["action"], job["arguments"]
        json.dump(validate(*arguments) if action == "validate" else grade(action, *arguments), answer)
        answer.flush()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def main() -> None:
    """Answer jobs until the server closes our standard input."""
    for line in sys.stdin:
        json.dump(do(json.loads(line)), sys.stdout)
        print(flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
