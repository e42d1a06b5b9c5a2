"""A report as plain text, as HTML and as a score."""

from html import escape
from typing import Any


def plain_text(report: dict[str, Any]) -> str:
    """The report for people without a browser."""
    lines = [f"{report['task']}: {report['earned']:g} of {report['points']:g} points"]
    lines += [f"  {check['outcome']}: {check['title']}: {check['observed']}" for check in report["checks"]]
    return "\n".join(lines)


def static_html(report: dict[str, Any]) -> str:
    """The report for a graded copy."""
    return f"<pre>{escape(plain_text(report))}</pre>"


def score(report: dict[str, Any], max_points: float) -> float:
    """What the report is worth when the cell is worth `max_points`."""
    share = report["earned"] / report["points"] if report["points"] else 0.0
    return round(max_points * min(1.0, max(0.0, share)), 4)
