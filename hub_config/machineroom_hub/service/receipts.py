"""Receipts and verdicts, signed: what was handed in, when, and what the checks saw cannot be made up later.

The key is derived from the room's secret, so only the service (and who may read the secret) can sign
or verify. A receipt is signed over everything that cannot change after the submission, the
signatures of its verdicts included; each verdict is signed with all of its evidence.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from machineroom_spawners.course import Course
from machineroom_spawners.keys import derive
from sqlalchemy import select
from sqlalchemy.orm import Session

from ..room import Room
from .audit import log
from .checking import Report, for_student
from .models import Extension, Feedback, Submission, Verdict, iso

SIGNED = (
    *("room", "id", "course", "assignment", "student", "timestamp"),
    *("sha256", "size", "machines", "missing", "verdicts"),
)
"""What of a receipt is signed. `verdicts` are the signatures of the verdicts, in their order."""


def sign(room: Room, purpose: str, document: Mapping[str, Any]) -> str:
    """The signature of a document, 64 hex digits; the order of its keys does not matter."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hmac.new(derive(room.secret, "sign", purpose), text.encode(), hashlib.sha256).hexdigest()


def is_signed(room: Room, receipt: Mapping[str, Any]) -> bool:
    """Whether this room's service signed the receipt as it is; what it shows beside is not looked at."""
    if any(key not in receipt for key in SIGNED):
        return False
    given = str(receipt.get("signature")).encode()
    return hmac.compare_digest(given, sign(room, "receipt", {key: receipt[key] for key in SIGNED}).encode())


def sign_verdict(room: Room, verdict: Verdict) -> str:
    """The signature of a verdict: whose it is, for which submission, by which checks, with its evidence."""
    keys = ("submission", "student", "checks", "report", "by")
    return sign(room, "verdict", {key: getattr(verdict, key) for key in keys})


def is_genuine(room: Room, verdict: Verdict) -> bool:
    """Whether the service itself wrote the verdict, as it is now, for the submission that it names."""
    return hmac.compare_digest((verdict.signature or "").encode(), sign_verdict(room, verdict).encode())


def sign_submission(room: Room, found: Submission, taken: Mapping[str, Any], verdicts: list[Verdict]) -> None:
    """Sign a new submission: `taken` are its machines, `verdicts` what they were worth."""
    found.signed = {
        "room": room.id,
        "id": found.id,
        "course": found.course,
        "assignment": found.assignment,
        "student": found.student,
        "timestamp": iso(found.timestamp),
        "sha256": found.sha256,
        "size": found.size,
        **taken,
        "verdicts": [verdict.signature for verdict in verdicts],
    }
    found.signature = sign(room, "receipt", found.signed)


def signed(room: Room, verdicts: list[Verdict]) -> list[Verdict]:
    """The same verdicts, each signed."""
    for verdict in verdicts:
        verdict.signature = sign_verdict(room, verdict)
    return verdicts


def lateness(session: Session, found: Submission, course: Course) -> dict[str, Any]:
    """When a submission was due for its student, how many seconds it is late, and the % that this costs."""
    assignment = next((a for a in course.assignments if a.name == found.assignment), None)
    extension = session.get(Extension, (found.course, found.assignment, found.student))
    due = extension.until if extension else found.due
    late = max(0.0, (found.timestamp - due).total_seconds()) if due else 0.0
    penalty = course.late_policy(assignment).penalty(late) if assignment else 0.0
    return {"due": iso(due), "late": late, "penalty": penalty}


def receipt(session: Session, found: Submission, course: Course, *, grader: bool) -> dict[str, Any]:
    """A submission's receipt. Students see their verdicts without evidence, or not at all."""
    feedback = session.get(Feedback, found.id)
    shown = grader or any(a.show_verdicts for a in course.assignments if a.name == found.assignment)
    return {
        "id": found.id,
        "course": found.course,
        "assignment": found.assignment,
        "student": found.student,
        "timestamp": iso(found.timestamp),
        **lateness(session, found, course),
        "sha256": found.sha256,
        "size": found.size,
        "feedback": iso(feedback.time) if feedback else None,
        "checks": reports_of(session, found, grader=grader) if shown else None,
        "problem": found.problem,
        **(found.signed or {}),
        "signature": found.signature,
    }


def genuine(session: Session, room: Room, found: Submission) -> list[Verdict]:
    """All verdicts of a submission, oldest first; what the service did not sign counts for nothing."""
    rows = session.scalars(select(Verdict).where(Verdict.submission == found.id).order_by(Verdict.id)).all()
    for row in rows:
        if not is_genuine(room, row):
            log.error("verdict not genuine", extra={"data": {"submission": found.id, "verdict": row.id}})
    return [row for row in rows if is_genuine(room, row)]


def latest(verdicts: list[Verdict]) -> list[Verdict]:
    """The newest of each task."""
    return list({verdict.task: verdict for verdict in verdicts}.values())


def counting(session: Session, room: Room, found: Submission) -> list[Verdict]:
    """The verdicts of a submission that count: the newest of each task."""
    return latest(genuine(session, room, found))


def reports_of(session: Session, found: Submission, *, grader: bool) -> list[Report]:
    """What the checks saw when it was submitted."""
    at_submission = (found.signed or {}).get("verdicts", [])
    rows = session.scalars(
        select(Verdict)
        .where(Verdict.submission == found.id, Verdict.signature.in_(at_submission))
        .order_by(Verdict.id)
    )
    return [row.report if grader else for_student(row.report) for row in rows]
