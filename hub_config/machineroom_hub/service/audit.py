"""The audit trail, and the log that machines can read: one JSON object per line on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from .models import Audit, now

log = logging.getLogger("machineroom.service")


class JsonFormatter(logging.Formatter):
    """`{"time": …, "level": …, "event": …}` and whatever was given as `extra={"data": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def log_as_json() -> None:
    """Let the whole process log in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def record(
    session: Session, actor: str, action: str, course: str, subject: str, address: str, **detail: Any
) -> None:
    """Write down who did what to whom, in the caller's transaction, and say so in the log."""
    session.add(
        Audit(
            time=now(),
            actor=actor,
            action=action,
            course=course,
            subject=subject,
            address=address,
            detail=detail,
        )
    )
    data = {"actor": actor, "course": course, "subject": subject, "address": address, **detail}
    log.info(action, extra={"data": {"audit": data}})
