"""The grader's side: release, collect, release feedback."""

import re
import shutil
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.exchange import abc
from nbgrader.utils import parse_utc

from ..archive import ArchiveError, pack, replace, unpacked
from ..service import ServiceError
from .base import Exchange, Receipt


class ExchangeReleaseAssignment(Exchange, abc.ExchangeReleaseAssignment):
    """Give the assignment's release folder to the course's students."""

    def init_src(self) -> None:
        self._source = Path(
            self.coursedir.format_path(self.coursedir.release_directory, ".", self.assignment)
        )
        if not self._source.is_dir():
            self.fail(f"There is no {self._source}. Generate the assignment first.")

    def init_dest(self) -> None:
        if self.force:
            return
        for known in self.service.json("GET", "courses", self.course, "assignments"):
            if known["name"] == self.assignment and known["released"]:
                self.fail(
                    f"{self.course}/{self.assignment} is released already. "
                    "Add --force to replace it; students keep what they have fetched."
                )

    def copy_files(self) -> None:
        with pack(self._source, self.ignore, self.limit) as archive:
            self.service.json(
                "PUT",
                *("courses", self.course, "assignments", self.assignment, "release"),
                content=archive,
                headers={"Content-Type": "application/gzip"},
            )
        self.log.info("Released as: %s %s", self.course, self.assignment)


class ExchangeCollect(Exchange, abc.ExchangeCollect):
    """Bring submissions into the course's `submitted` folder. The service says whose and of when."""

    def init_src(self) -> None:
        wanted = {} if self.before_duedate else {"latest": "1"}
        if self.coursedir.student_id not in ("", "*"):
            wanted["student"] = self.coursedir.student_id
        receipts = self.service.json(
            "GET", "courses", self.course, "assignments", self.assignment, "submissions", params=wanted
        )
        by_student: dict[str, list[Receipt]] = {}
        for receipt in receipts:
            by_student.setdefault(receipt["student"], []).append(receipt)
        self._receipts = [self._choose(found) for _, found in sorted(by_student.items())]

    def _choose(self, receipts: list[Receipt]) -> Receipt:
        """The newest, or with `--before-duedate` the newest that was in time, if there is one."""
        receipts = sorted(receipts, key=lambda receipt: receipt["timestamp"])
        due = self._due() if self.before_duedate else None
        in_time = [r for r in receipts if due and parse_utc(self.stamp(r)) <= due]
        return (in_time or receipts)[-1]

    def _due(self):  # type: ignore[no-untyped-def]
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            try:
                return gradebook.find_assignment(self.assignment).duedate
            except MissingEntry:
                return None

    def init_dest(self) -> None:
        pass

    def copy_files(self) -> None:
        if not self._receipts:
            self.log.warning("No submissions of %s/%s to collect", self.course, self.assignment)
        failed = []
        for count, receipt in enumerate(self._receipts, 1):
            student = receipt["student"]
            where = f"{student} {self.assignment} ({count} of {len(self._receipts)})"
            try:
                self._collect(receipt, where)
            except (ServiceError, ArchiveError) as error:
                self.log.error("Not collected: %s: %s", where, error)
                failed.append(student)
        if failed:
            self.fail(f"Not collected: {', '.join(failed)}. Why is said above; all others are here.")

    def _collect(self, receipt: Receipt, where: str) -> None:
        student = receipt["student"]
        if not re.fullmatch(r"[^/\0.+*][^/\0+*]*", student):
            raise ArchiveError(f"'{student}' cannot be the name of a folder.")
        dest = Path(self.coursedir.format_path(self.coursedir.submitted_directory, student, self.assignment))
        if dest.is_dir():
            existing, new = self.coursedir.get_existing_timestamp(str(dest)), parse_utc(self.stamp(receipt))
            newer = self.update and (existing is None or new > existing)
            if not newer and not (self.before_duedate and existing != new):
                hint = "No newer submission to collect" if self.update else "Use --update to update"
                self.log.info("%s: %s", hint, where)
                return
        with (
            self.service.stream("GET", "submissions", receipt["id"]) as answer,
            unpacked(answer.iter_bytes(), dest, self.limit) as folder,
        ):
            timestamp = folder / "timestamp.txt"
            if timestamp.is_dir():
                shutil.rmtree(timestamp)
            timestamp.write_text(self.stamp(receipt))
            replace(folder, dest)
        self.log.info("Collected submission: %s", where)


class ExchangeReleaseFeedback(Exchange, abc.ExchangeReleaseFeedback):
    """Give students the HTML of their feedback folders."""

    def init_src(self) -> None:
        pattern = self.coursedir.format_path(
            self.coursedir.feedback_directory, "(?P<student>[^/]+)", self.assignment, escape=True
        )
        root = Path(self.coursedir.root)
        excluded = self.coursedir.student_id_exclude.split(",")
        one = self.coursedir.student_id if self.coursedir.student_id not in ("", "*") else None
        self._feedback: dict[str, Path] = {}
        for folder in sorted({path.parent for path in root.rglob("*.html")}):
            match = re.fullmatch(pattern, str(folder))
            if match and match["student"] not in excluded and one in (None, match["student"]):
                self._feedback[match["student"]] = folder
        if not self._feedback:
            self.fail(
                f"There is no feedback for {one or 'anybody'} on {self.assignment}. "
                f"Run `nbgrader generate_feedback {self.assignment}` first."
            )

    def init_dest(self) -> None:
        # the folder's own words about whose it is count for nothing: a notebook may have written there
        self._submissions = self.ids(self.assignment)

    def copy_files(self) -> None:
        failed = []
        for student, folder in self._feedback.items():
            stamp = (folder / "timestamp.txt").read_text().strip()
            submission = self._submissions.get((student, stamp))
            if submission is None:
                self.log.error("%s submitted nothing at %s: collect and grade again", student, stamp)
                failed.append(student)
                continue
            with pack(folder, _only_html, self.limit) as archive:
                self.service.json(
                    "PUT",
                    *("submissions", submission, "feedback"),
                    content=archive,
                    headers={"Content-Type": "application/gzip"},
                )
            self.log.info("Released feedback: %s %s (%s)", student, self.assignment, stamp)
        if failed:
            self.fail(f"Feedback not released to: {', '.join(failed)}. Why is said above.")


def _only_html(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".html")]
