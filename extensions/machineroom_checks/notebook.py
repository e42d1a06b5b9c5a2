"""`check("task")`: the verdicts of a task's checks, in a notebook."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from . import report as words
from .workspace import NotPossible, course_or_say, post

Bundle = dict[str, str]


class NotYet(NotPossible):
    """Not all checks have passed; raised only where nbgrader validates, so that it sees the cell fail."""


def check(task: str, *, course: str | None = None) -> float | None:
    """Check what `task` asks for on your machine, and show what was seen.

    The checks run at once, and again whenever **Check** is pressed. `course` is only needed in a
    notebook that lies outside of its course's folder.

    When nbgrader grades, the score comes from the service and not from here: the student's own
    kernel earns nothing, so the value is 0.
    """
    grading = os.environ.get("NBGRADER_EXECUTION")
    if grading == "autograde":
        print(f"The points of “{task}” come from the checks of the student's machine.")  # noqa: T201
        return 0.0
    shell = _shell()
    if grading == "validate" or shell is None:
        report = _ask(task, course)
        print(words.plain_text(report))  # noqa: T201
        if grading and report["earned"] < report["points"]:
            raise NotYet(words.plain_text(report))
        return None
    _show(task, course)
    return None


def _shell() -> Any:
    """IPython's shell, if there is one that can show more than text."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None


def _ask(task: str, course: str | None) -> dict[str, Any]:
    chosen, assignment = course_or_say(course)
    body = {"task": task, "assignment": assignment} if assignment else {"task": task}
    return post(f"courses/{chosen}/checks", body)


def _verdict(task: str, course: str | None) -> Bundle:
    """What to show after asking: a report, or why there is none."""
    try:
        report = _ask(task, course)
        return {"text/html": words.static_html(report), "text/plain": words.plain_text(report)}
    except NotPossible as problem:
        return {"text/html": words.message_html(str(problem)), "text/plain": str(problem)}


def _show(task: str, course: str | None) -> None:
    """The verdict, in an output that is HTML and stays without a kernel; below it the button."""
    from IPython.display import display

    text = f"Checking “{task}” …"
    waiting = {"text/html": words.message_html(text, busy=True), "text/plain": text}
    output = display(waiting, raw=True, display_id=True)

    def run() -> None:
        output.update(_verdict(task, course), raw=True)

    def run_again() -> None:
        output.update(waiting, raw=True)
        run()

    _show_button(task, run_again)
    try:
        run()
    except KeyboardInterrupt:
        text = "Stopped. Press Check to check again."
        output.update({"text/html": words.message_html(text), "text/plain": text}, raw=True)
        raise


def _show_button(task: str, run: Callable[[], None]) -> None:
    """A button that runs `run` in a thread, so that the kernel stays free meanwhile."""
    import ipywidgets
    from IPython.display import display

    button = ipywidgets.Button(
        description="Check", icon="check", button_style="primary", tooltip=f"Check “{task}” again"
    )

    def work() -> None:
        try:
            run()
        finally:
            button.disabled, button.description, button.icon = False, "Check", "check"

    def press(_button: Any) -> None:
        button.disabled, button.description, button.icon = True, "Checking …", "hourglass-half"
        threading.Thread(target=work, name=f"check {task}", daemon=True).start()

    button.on_click(press)
    display(button)
