"""What there is to fetch, and what was handed in: what JupyterLab's assignment list and formgrader show."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange import abc

from ..workspace import read_workspace
from .base import Exchange, Receipt

Entry = dict[str, Any]
"""One row of the assignment list; its keys are those of nbgrader's own exchange."""


class ExchangeList(Exchange, abc.ExchangeList):
    """List released assignments, or with `--inbound` and `--cached` submissions. `--remove` takes back."""

    def init_src(self) -> None:
        named = self.coursedir.course_id
        known = [course.id for course in read_workspace().courses]
        self._courses = known if named in ("", "*") else [named]

    def init_dest(self) -> None:
        self._only = self.coursedir.assignment_id if self.coursedir.assignment_id != "*" else ""

    def copy_files(self) -> None:
        pass

    def list_files(self) -> list[Entry]:
        """What there is, in the form that nbgrader's panels expect."""
        if not (self.inbound or self.cached):
            entries = self._released()
            self.log.info("Released assignments:")
            for entry in entries:
                fetched = " (already downloaded)" if entry["status"] == "fetched" else ""
                self.log.info("%s %s%s", entry["course_id"], entry["assignment_id"], fetched)
            return entries
        entries = self._submitted()
        self.log.info("Submitted assignments:")
        for entry in entries:
            for info in entry["submissions"]:
                self.log.info(
                    "%(course_id)s %(student_id)s %(assignment_id)s %(timestamp)s%(note)s",
                    {**info, "note": _note(info)},
                )
        return entries

    def remove_files(self) -> list[Entry]:
        """Take a release back, or forget copies of submissions. Submissions themselves are kept."""
        if self.inbound:
            self.fail("Submissions are kept: students rely on their receipts. Nothing was removed.")
        entries = self._submitted() if self.cached else self._released()
        for entry in entries:
            entry["status"] = "removed"
            if self.cached:
                for info in entry["submissions"]:
                    shutil.rmtree(info["path"], ignore_errors=True)
            else:
                self.service.json(
                    "DELETE", "courses", entry["course_id"], "assignments", entry["assignment_id"], "release"
                )
            self.log.info("Removed: %s %s", entry["course_id"], entry["assignment_id"])
        return entries

    def _assignments(self) -> list[tuple[str, Entry]]:
        return [
            (course, assignment)
            for course in self._courses
            for assignment in self.service.json("GET", "courses", course, "assignments")
            if self._only in ("", assignment["name"])
        ]

    def _released(self) -> list[Entry]:
        entries = []
        for course, assignment in self._assignments():
            if not assignment["released"]:
                continue
            folder = self.folder(course, assignment["name"])
            entries.append(
                {
                    "course_id": course,
                    "assignment_id": assignment["name"],
                    "status": "fetched" if folder.is_dir() else "released",
                    "path": str(folder),
                    "notebooks": [
                        {"notebook_id": path.stem, "path": str(path)}
                        for path in sorted(folder.glob("*.ipynb"))
                    ],
                }
            )
        return entries

    def _submitted(self) -> list[Entry]:
        """Submissions by course, student and assignment: one's own, or for a grader with `--inbound` all."""
        rows: dict[tuple[str, str, str], list[Entry]] = {}
        user = read_workspace().user
        for course, assignment in self._assignments():
            wanted = {"student": user} if self.cached else {}
            receipts = self.service.json(
                "GET", "courses", course, "assignments", assignment["name"], "submissions", params=wanted
            )
            for receipt in receipts:
                if self.coursedir.student_id in ("", "*", receipt["student"]):
                    key = (course, receipt["student"], assignment["name"])
                    rows.setdefault(key, []).append(self._submission(receipt))
        return [
            {
                "course_id": course,
                "student_id": student,
                "assignment_id": assignment,
                "status": "submitted",
                "submissions": sorted(submissions, key=lambda info: info["timestamp"]),
            }
            for (course, student, assignment), submissions in sorted(rows.items())
        ]

    def _submission(self, receipt: Receipt) -> Entry:
        stamp, path = self.stamp(receipt), self.copy_of(receipt)
        local = self.folder(receipt["course"], receipt["assignment"]) / "feedback" / stamp
        files = sorted(local.glob("*.html"))
        released = receipt.get("feedback")
        state = {
            "has_local_feedback": bool(files),
            "has_exchange_feedback": bool(released),
            "feedback_updated": bool(files and released and _time(local) < datetime.fromisoformat(released)),
            "local_feedback_path": str(local) if files else None,
        }
        return {
            "course_id": receipt["course"],
            "student_id": receipt["student"],
            "assignment_id": receipt["assignment"],
            "timestamp": stamp,
            "status": "submitted",
            "path": str(path),
            "notebooks": [
                {
                    **state,
                    "notebook_id": notebook.stem,
                    "path": str(notebook),
                    "local_feedback_path": str(local / f"{notebook.stem}.html") if files else None,
                }
                for notebook in sorted(path.glob("*.ipynb"))
            ],
            **state,
        }


def _time(path: Path) -> datetime:
    """When files were last put into the folder `path`."""
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _note(info: Entry) -> str:
    if info["has_local_feedback"] and not info["feedback_updated"]:
        return " (feedback already fetched)"
    if info["has_exchange_feedback"]:
        return " (feedback ready to be fetched)"
    return " (no feedback available)"
