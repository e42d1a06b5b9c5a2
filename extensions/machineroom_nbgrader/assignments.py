"""What JupyterLab's assignment list does: list, fetch, submit, fetch feedback; failures in a sentence.

nbgrader is imported when somebody asks for the list: it is a fifth of a server's start and of its memory.
"""

import logging
import os
from pathlib import Path
from typing import Any

from traitlets.config import Config

from .workspace import read_workspace

ACTIONS = {"fetch": "FetchAssignment", "submit": "Submit", "fetch_feedback": "FetchFeedback"}
"""The panel's buttons, and the exchange's classes behind them."""

Answer = dict[str, Any]


class Assignments:
    """The assignment list of one server. Paths in its answers are relative to the server's folder `root`."""

    def __init__(self, root: Path, log: logging.Logger) -> None:
        self._root = root
        self._log = log

    def courses(self) -> Answer:
        """The ids of the user's courses."""
        return {"success": True, "value": sorted(course.id for course in read_workspace().courses)}

    def rows(self, course: str) -> Answer:
        """What is released or fetched in a course, and what was submitted."""
        return self._answer(lambda: self._released(course) + self._submitted(course))

    def act(self, action: str, course: str, assignment: str) -> Answer:
        """Do what a button says; the answer is the new list, or why it was not done."""

        def work() -> list[Answer]:
            self._exchange(ACTIONS[action], course, assignment).start()
            return self._released(course) + self._submitted(course)

        return self._answer(work)

    def _answer(self, work: Any) -> Answer:
        from nbgrader.exchange import ExchangeError

        try:
            return {"success": True, "value": work()}
        except ExchangeError as error:
            return {"success": False, "value": str(error)}
        except Exception as error:
            self._log.exception("assignment list failed")
            return {
                "success": False,
                "value": f"{type(error).__name__}: {error}. The log of your server says more; try again.",
            }

    def _exchange(self, kind: str, course: str, assignment: str = "", **settings: Any) -> Any:
        from nbgrader.apps import NbGrader
        from nbgrader.coursedir import CourseDirectory
        from nbgrader.exchange import ExchangeFactory

        app = NbGrader()
        app.load_config_file()
        config = app.config
        config.merge(Config(CourseDirectory={"course_id": course, "assignment_id": assignment}, **settings))
        factory = ExchangeFactory(config=config)
        return getattr(factory, kind)(coursedir=CourseDirectory(config=config), config=config)

    def _released(self, course: str) -> list[Answer]:
        found = self._exchange("List", course).start()
        for entry in found:
            for place in (entry, *entry["notebooks"]):
                place["path"] = self._relative(place["path"])
        return sorted(found, key=lambda entry: entry["assignment_id"])

    def _submitted(self, course: str) -> list[Answer]:
        found = self._exchange("List", course, ExchangeList={"cached": True}).start()
        for entry in found:
            for submission in entry["submissions"]:
                if submission["local_feedback_path"]:
                    submission["local_feedback_path"] = self._relative(submission["local_feedback_path"])
        return sorted(found, key=lambda entry: entry["assignment_id"])

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._root)
