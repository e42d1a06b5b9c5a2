"""nbgrader's slow work, in a process of its own: `python -m machineroom_nbgrader.jobs ACTION ARGUMENT…`.

nbgrader changes the current folder and the environment of its process and keeps it busy for minutes;
in the server's process that would freeze every terminal. The answer is JSON on standard output.
"""

import asyncio
import json
import os
import sys
from typing import Any

from nbgrader.apps import NbGrader
from nbgrader.apps.api import NbGraderAPI
from nbgrader.nbgraderformat import SchemaTooNewError, SchemaTooOldError
from nbgrader.validator import Validator

ACTIONS = (
    "generate_assignment",
    "release_assignment",
    "unrelease",
    "collect",
    "autograde",
    "generate_feedback",
    "release_feedback",
)
"""Methods of nbgrader's API that formgrader's buttons call."""

Answer = dict[str, Any]
_one_at_a_time = asyncio.Lock()


async def run(action: str, *arguments: str, cwd: str, env: dict[str, str] | None = None) -> Answer:
    """Do `action` in a fresh process, after those that were asked for before; answer as nbgrader does."""
    command = [sys.executable, "-P", "-m", __name__, action, *arguments]
    async with _one_at_a_time:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
    try:
        return json.loads(output)
    except ValueError:
        said = errors.decode(errors="replace")[-4000:]
        return {
            "success": False,
            "value": f"nbgrader ended with status {process.returncode} before it was done.\n{said}",
            "error": said,
            "log": said,
        }


def validate(path: str) -> Answer:
    """Run a notebook as its tests would, and say what fails."""
    app = NbGrader()
    app.load_config_file()
    try:
        return {"success": True, "value": Validator(config=app.config).validate(path)}
    except (SchemaTooOldError, SchemaTooNewError) as error:
        return {"success": False, "value": f"{path} was made for another version of nbgrader: {error}"}


def grade(action: str, *arguments: str) -> Answer:
    """One of ACTIONS, on an assignment and perhaps a student of the configured course."""
    app = NbGrader()
    app.initialize([])
    return getattr(NbGraderAPI(app.coursedir, parent=app), action)(*arguments)


def main(action: str, *arguments: str) -> None:
    """Do it, and write the answer. What notebooks and nbgrader print goes to standard error."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with output:
        json.dump(validate(*arguments) if action == "validate" else grade(action, *arguments), output)


if __name__ == "__main__":
    if sys.argv[1] not in (*ACTIONS, "validate"):
        sys.exit(f"{sys.argv[1]}: not one of validate, {', '.join(ACTIONS)}")
    main(*sys.argv[1:])
