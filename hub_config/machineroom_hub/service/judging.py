"""What a submission is worth by the checks as they are now, from copies of its machines."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machineroom_spawners.course import Assignment, Course
from machineroom_spawners.drivers.base import MachineError

from . import copies
from .checking import CheckFiles, Report
from .copies import Copies, Lost
from .core import Service
from .models import Submission, Verdict

SETTLE_SECONDS = 10.0
"""How long what passed when it was submitted may need to pass on a copy that has just booted."""


@dataclass(frozen=True)
class Judged:
    """The digest of the checks, and the reports that count. `kept` says of which tasks the earlier report
    does, as the copy is not what was submitted: by the same checks it earns less than it did then."""

    checks: str
    reports: Sequence[Report]
    kept: Mapping[str, str]


def judge(
    service: Service, course: Course, assignment: Assignment, found: Submission, before: Sequence[Verdict]
) -> Judged:
    """What the checks as they are now say of copies of the submission's machines. Blocks.

    `before` are the verdicts that it had. A task that would lose points is also looked at by the checks of
    then: what started late gets its time, and what only lived in memory costs nobody a point.
    Raises ChecksBroken, or Lost when there are no copies to be had.
    """
    had = {verdict.task: verdict.report for verdict in before}
    with copies.restored(service, course, found) as restored:

        def look(files: CheckFiles | None = None) -> tuple[str, list[Report]]:
            checks, reports = service.checks.run(course, assignment, restored.owner, None, files=files)
            return checks, reports

        checks, reports = look()
        unlike: set[str] = set()
        earlier = {verdict.checks for verdict in before if _share(verdict.report) > 0}
        files = service.checks.earlier(earlier.pop()) if len(earlier) == 1 else None
        if files and _lower(had, reports):
            end = time.monotonic() + SETTLE_SECONDS
            while (unlike := _lower(had, look(files)[1])) and time.monotonic() < end:
                time.sleep(1)
            checks, reports = look()
        reports = _after_a_restart(service, course, assignment, restored, reports)
    kept = {task: _unlike(had[task]) for task in unlike & _lower(had, reports)}
    return Judged(checks, [had[r["task"]] if r["task"] in kept else r for r in reports], kept)


def survive(
    service: Service, course: Course, assignment: Assignment, found: Submission, reports: Sequence[Report]
) -> list[Report]:
    """`reports` of a submission's live machines, in which checks marked `reboot` say what a copy of them
    shows after a restart; one that does not come up fails them. Blocks. Raises ChecksBroken."""
    try:
        with copies.restored(service, course, found) as restored:
            return _after_a_restart(service, course, assignment, restored, reports)
    except Lost as error:
        said = {"outcome": "error", "earned": 0, "observed": f"it did not come up again: {error}"}
        seen = {(r["task"], c["name"]): {**c, **said} for r in reports for c in r["checks"]}
        return [_merged(report, seen) for report in reports]


def has_reboots(reports: Sequence[Report]) -> bool:
    """Whether a check among them has to pass after a restart."""
    return any(_reboots(check) for report in reports for check in report["checks"])


def _after_a_restart(
    service: Service, course: Course, assignment: Assignment, restored: Copies, reports: Sequence[Report]
) -> list[Report]:
    if not has_reboots(reports):
        return list(reports)
    try:
        restored.restart()
    except MachineError as error:
        raise Lost(str(error)) from error
    _, after = service.checks.run(course, assignment, restored.owner, None, _reboots)
    seen = {(report["task"], check["name"]): check for report in after for check in report["checks"]}
    return [_merged(report, seen) for report in reports]


def _merged(report: Report, seen: Mapping[tuple[str, str], dict[str, Any]]) -> Report:
    """A report whose checks marked `reboot` passed only if they do so after the restart as well."""
    checks = []
    for check in report["checks"]:
        after = seen.get((report["task"], check["name"])) if _reboots(check) else None
        if after and check["outcome"] == "passed":
            evidence = [*check["evidence"], *after["evidence"]]
            observed = f"after a restart: {after['observed']}"
            checks.append({**after, "observed": observed, "evidence": evidence})
        else:
            checks.append(check)
    return {**report, "checks": checks, "earned": sum(check["earned"] for check in checks)}


def _reboots(check: Mapping[str, Any]) -> bool:
    return bool(check.get("reboot"))


def _lower(had: Mapping[str, Report], reports: Sequence[Report]) -> set[str]:
    """The tasks of which a smaller share is earned than was."""
    return {r["task"] for r in reports if r["task"] in had and is_lower(had[r["task"]], r)}


def is_lower(before: Report, after: Report) -> bool:
    """Whether a smaller share of a task's points is earned."""
    return _share(after) < _share(before)


def _share(report: Report) -> float:
    return float(report["earned"] / report["points"]) if report["points"] else 0.0


def _unlike(had: Report) -> str:
    return (
        f"stays at {had['earned']:g}/{had['points']:g}: it was so when it was submitted, and by the checks "
        "of then is not so on the copy, which has the machine's disk and not its memory. Decide by hand."
    )
