"""What a submission is worth by the checks as they are now, from copies of its machines."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from machineroom_spawners.course import Assignment, Course
from machineroom_spawners.drivers.base import MachineError

from . import copies
from .checking import Report
from .copies import Copies, Lost
from .core import Service
from .models import Submission

SETTLE_SECONDS = 15.0
"""How long a check that passed when it was submitted may need to pass on a copy that has just booted."""


def judge(
    service: Service, course: Course, assignment: Assignment, found: Submission, before: Sequence[Report]
) -> tuple[str, list[Report]]:
    """The digest of the checks, and their reports on copies of the submission's machines. Blocks.

    `before` are the reports that it had. Raises ChecksBroken, or Lost when there are no copies to be had.
    """
    with copies.restored(service, course, found) as restored:
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            digest, reports = service.checks.run(course, assignment, restored.owner, None)
            if not _lost(before, reports) or time.monotonic() > end:
                break
            time.sleep(1)  # what init has started may still be reading its files
        return digest, _after_a_restart(service, course, assignment, restored, reports)


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


def _lost(before: Sequence[Report], after: Sequence[Report]) -> bool:
    """Whether a task earns less than it did."""
    earned = {report["task"]: report["earned"] for report in before}
    return any(report["earned"] < earned.get(report["task"], 0) for report in after)
