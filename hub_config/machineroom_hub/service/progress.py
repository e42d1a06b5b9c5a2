"""What a class has done of one assignment, by its students' own verdicts."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .models import Submission, Verdict, iso

LATE = 200
"""A transaction that took its number earlier may be seen later: so many numbers are looked through again."""


@dataclass
class _Task:
    """The last look at one task of a student's."""

    points: float
    earned: float
    time: datetime
    failing: frozenset[str] = frozenset()
    """The checks that do not pass, by name."""


@dataclass
class _Work:
    """One student's."""

    begun: datetime
    tasks: dict[str, _Task] = field(default_factory=dict)
    passed: dict[str, datetime] = field(default_factory=dict)
    """When each task passed for the first time."""


class Progress:
    """Reads each verdict once, and its report, with the evidence, only if it is somebody's newest."""

    def __init__(self, course: str, assignment: str) -> None:
        self._course, self._assignment = course, assignment
        self._last = 0
        self._seen: set[int] = set()
        self._work: dict[str, _Work] = {}
        self._checks: dict[str, dict[str, str]] = defaultdict(dict)
        """The titles of the checks, by task and name, in the order in which they run."""

    def look(self, session: Session) -> bool:
        """Take in what is new; whether anything is."""
        columns = (Verdict.id, Verdict.student, Verdict.task, Verdict.time, Verdict.points, Verdict.earned)
        query = select(*columns).where(
            Verdict.course == self._course,
            Verdict.assignment == self._assignment,
            Verdict.by == Verdict.student,
            Verdict.id > self._last - LATE,
        )
        new = [row for row in session.execute(query.order_by(Verdict.id)) if row.id not in self._seen]
        newest: dict[tuple[str, str], int] = {}
        for row in new:
            work = self._work.setdefault(row.student, _Work(row.time))
            before = work.tasks.get(row.task)
            if before is None or before.time <= row.time:
                work.tasks[row.task] = _Task(row.points, row.earned, row.time)
                newest[row.student, row.task] = row.id
            if row.earned >= row.points:
                work.passed[row.task] = min(row.time, work.passed.get(row.task, row.time))
            work.begun = min(work.begun, row.time)
        if new:
            self._last = max(self._last, new[-1].id)
            self._seen = {id for id in self._seen | {row.id for row in new} if id > self._last - LATE}
        self._read_reports(session, newest)
        return bool(new)

    def _read_reports(self, session: Session, newest: dict[tuple[str, str], int]) -> None:
        ids = list(newest.values())
        for start in range(0, len(ids), 200):
            query = select(Verdict.student, Verdict.task, Verdict.report).where(
                Verdict.id.in_(ids[start : start + 200])
            )
            for student, task, report in session.execute(query):
                checks = report["checks"]
                self._checks[task].update((check["name"], check["title"]) for check in checks)
                self._work[student].tasks[task].failing = frozenset(
                    check["name"] for check in checks if check["outcome"] != "passed"
                )

    def active(self, student: str) -> datetime | None:
        """When a student's machines were last looked at."""
        work = self._work.get(student)
        return max((task.time for task in work.tasks.values()), default=None) if work else None

    def tasks(self, student: str) -> dict[str, dict[str, Any]]:
        """How a student's tasks stand.

        `took` is the time in seconds from the pass before it, or from the student's first check, to its own
        first pass; null for one that has not passed, or had when it was first looked at.
        """
        work = self._work.get(student)
        if work is None:
            return {}
        took: dict[str, int] = {}
        since = work.begun
        for task, moment in sorted(work.passed.items(), key=lambda item: item[1]):
            if seconds := int((moment - since).total_seconds()):
                took[task] = seconds
            since = moment
        return {
            name: {
                "points": task.points,
                "earned": task.earned,
                "time": iso(task.time),
                "took": took.get(name),
            }
            for name, task in work.tasks.items()
        }

    def checks(self, students: set[str]) -> list[dict[str, Any]]:
        """Each check that was ever run: how many of these students it was run for, and fails for."""
        answer = []
        for task, titles in self._checks.items():
            seen = [
                work.tasks[task]
                for name, work in self._work.items()
                if name in students and task in work.tasks
            ]
            for name, title in titles.items():
                failed = sum(name in one.failing for one in seen)
                answer.append(
                    {"task": task, "check": name, "title": title, "failed": failed, "of": len(seen)}
                )
        return answer

    def failing(self, task: str, check: str | None) -> set[str]:
        """Whoever was looked at and does not pass a task, or one check of it."""
        return {
            name
            for name, work in self._work.items()
            if (found := work.tasks.get(task))
            and (check in found.failing if check else found.earned < found.points)
        }


def submitted(session: Session, course: str, assignment: str) -> dict[str, datetime]:
    """When each student last submitted an assignment."""
    query = (
        select(Submission.student, func.max(Submission.timestamp))
        .where(Submission.course == course, Submission.assignment == assignment)
        .group_by(Submission.student)
    )
    return dict(session.execute(query).tuples().all())
