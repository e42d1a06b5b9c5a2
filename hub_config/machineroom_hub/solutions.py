"""A course's solutions: which scripts play a task, in which order, and how they are performed on machines."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from machineroom_spawners.course import Course
from machineroom_spawners.drivers.base import Driver
from machineroom_spawners.drivers.tools import PATH
from machineroom_spawners.lab import Lab
from machineroom_spawners.spec import MachineRef

from .survey import Task

SCRIPT_SECONDS = 300.0
"""How long one solution may take on one machine."""

SCRIPT = re.compile(r"(?P<play>solution|wrong-[a-z0-9-]+)(?:\.(?P<machine>[a-z][a-z0-9_]*))?\.sh\Z")
"""What a script in a task's folder is called."""

_AFTER = re.compile(r"^# after: (.+)$", re.MULTILINE)
_ON_MACHINE = "/run/machineroom-play"


class PlayError(Exception):
    """A task could not be played to its end; the message says why."""


@dataclass(frozen=True)
class Script:
    """A way to play a task: the texts of its scripts by machine, the default one first."""

    texts: dict[str, str]
    after: tuple[str, ...]


class Solutions:
    """The scripts of a course's `tasks`, in `solutions/<assignment>/<task>/`."""

    def __init__(self, course: Course, tasks: Sequence[Task]) -> None:
        self._course = course
        self._tasks = {task.name: task for task in tasks}

    def lab(self, task: Task) -> Lab:
        """The lab on which a task is done."""
        lab = self._course.assignment(task.assignment).lab
        assert lab is not None  # the survey finds no tasks in assignments without a lab
        return self._course.labs[lab]

    def scripts(self, task: Task) -> dict[str, Script]:
        """A task's scripts by play, the solution first."""
        lab = self.lab(task)
        texts: dict[str, dict[str, str]] = {}
        folder = self._course.folder / "solutions" / task.assignment / task.name
        for path in sorted(folder.glob("*.sh"), key=lambda path: (path.name.count("."), path.name)):
            if match := SCRIPT.match(path.name):
                machine = match["machine"] or lab.default
                if machine in lab.machines:
                    texts.setdefault(match["play"], {})[machine] = path.read_text(encoding="utf-8")
        return {
            play: Script(
                parts, tuple(name for t in parts.values() for m in _AFTER.findall(t) for name in m.split())
            )
            for play, parts in texts.items()
        }

    def in_order(self, task: Task, script: Script, above: tuple[str, ...] = ()) -> list[Script]:
        """A script, and before it the solutions that it builds on. Raises PlayError."""
        before: list[Script] = []
        for name in script.after:
            if name in (*above, task.name):
                raise PlayError(f"'# after: {name}' leads in a circle")
            if name not in self._tasks:
                raise PlayError(f"'# after: {name}': the course has no such task")
            other = self._tasks[name]
            solution = self.scripts(other).get("solution")
            if solution is None or self.lab(other) != self.lab(task):
                raise PlayError(f"'# after: {name}': that task has no solution on the same lab")
            steps = self.in_order(other, solution, (*above, task.name))
            before += [step for step in steps if step not in before]
        return [*before, script]


def perform(driver: Driver, refs: Mapping[str, MachineRef], script: Script) -> None:
    """Run a script's parts, each on its machine, as root. Raises PlayError, MachineError."""
    for machine, text in script.texts.items():
        encoded = base64.b64encode(text.encode()).decode()
        session = driver.open_session(refs[machine])
        try:
            # from a file, as a person would: `pkill -f` must not find the script in our own command line
            session.run(f"echo {encoded} | base64 -d > {_ON_MACHINE} && chmod 700 {_ON_MACHINE}")
            result = session.run(f"PATH={PATH} {_ON_MACHINE}", timeout=SCRIPT_SECONDS)
            session.run(f"rm -f {_ON_MACHINE}")
        finally:
            session.close()
        if result.rc != 0:
            output = (result.stdout + result.stderr).decode(errors="replace").strip()
            last = " / ".join(output.splitlines()[-5:])
            how = "did not end in time" if result.timed_out else f"ended with {result.rc}"
            raise PlayError(f"its script {how} on {machine}: {last or 'it printed nothing'}")
