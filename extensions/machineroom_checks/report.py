"""Reports in words: as HTML for notebooks and feedback, as plain text, and as a score. Pure functions.

A report is what `docs/architecture.md` says it is; whatever stands in it may come from a student's
machine, so all of it is escaped.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

Report = Mapping[str, Any]

# How each outcome is marked: a sign, words (colour and sign alone tell not everybody), a theme colour.
_MARKS = {
    "passed": ("✔", "passed", "var(--jp-success-color0, #1b5e20)"),
    "failed": ("✘", "not yet", "var(--jp-error-color0, #b71c1c)"),
    "timeout": ("…", "took too long", "var(--jp-warn-color0, #b53d00)"),
    "error": ("!", "could not be checked", "var(--jp-warn-color0, #b53d00)"),
}
_FAINT = "color: var(--jp-ui-font-color1, inherit); opacity: .85"
_BOX = (
    "border: 1px solid var(--jp-border-color2, #bdbdbd); border-radius: 4px; padding: .6em .9em; "
    "margin: .2em 0; max-width: 46em; color: var(--jp-ui-font-color1, inherit); "
    "font-family: var(--jp-ui-font-family, sans-serif)"
)


def score(report: Report, max_points: float) -> float:
    """The share of `max_points` that was earned: at least 0, at most `max_points`, and always a number."""
    points, earned = _number(report.get("points")), _number(report.get("earned"))
    if points <= 0 or earned <= 0 or not max_points > 0:
        return 0.0
    return min(max_points, round(max_points * min(1.0, earned / points), 4))


def plain_text(report: Report) -> str:
    """The report for a terminal, or for whoever reads a notebook's outputs as text."""
    lines = [f"{_title(report)}: {_points(report)} ({_when(report)})"]
    for check in report.get("checks", ()):
        sign, words, _ = _mark(check)
        lines.append(f"  {sign} {check.get('title', '')} [{words}, {_points(check)}]")
        if check.get("observed"):
            lines.append(f"      {check['observed']}")
        if _hint(check):
            lines.append(f"      Hint: {_hint(check)}")
    return "\n".join(lines)


def static_html(report: Report) -> str:
    """The report as HTML that needs no script, no kernel and no style sheet, in light and dark."""
    earned, points = _number(report.get("earned")), _number(report.get("points"))
    rows = "".join(_row(check) for check in report.get("checks", ()))
    return (
        f'<section class="machineroom-report" aria-label="{escape(_title(report))}" style="{_BOX}">'
        '<div style="display: flex; flex-wrap: wrap; gap: .3em 1.5em; align-items: baseline">'
        f'<strong style="flex: 1; font-size: 1.1em">{escape(_title(report))}</strong>'
        f"<strong>{_points(report)}</strong></div>"
        f'<progress value="{earned:g}" max="{points or 1:g}" aria-hidden="true" '
        'style="width: 100%; height: .5em"></progress>'
        f'<ul style="list-style: none; margin: .3em 0; padding: 0">{rows}</ul>'
        f'<div style="font-size: .85em; {_FAINT}">{escape(_when(report))}</div>'
        "</section>"
    )


def message_html(text: str, *, busy: bool = False) -> str:
    """A sentence in place of a report: what went wrong, or, when `busy`, that checks are running."""
    role, sign = ("status", _SPINNER) if busy else ("alert", '<strong aria-hidden="true">!</strong>')
    return f'<section class="machineroom-report" role="{role}" style="{_BOX}">{sign} {escape(text)}</section>'


_SPINNER = (
    "<style>@keyframes machineroom-turn { to { transform: rotate(1turn) } }</style>"
    '<span aria-hidden="true" style="display: inline-block; width: .8em; height: .8em; border-radius: 50%;'
    "border: 2px solid var(--jp-border-color2, #bdbdbd); border-top-color: var(--jp-brand-color1, #1976d2);"
    'animation: machineroom-turn 1s linear infinite; vertical-align: -.1em; margin-right: .4em"></span>'
)


def _row(check: Report) -> str:
    sign, words, colour = _mark(check)
    observed = str(check.get("observed") or "")
    hint = _hint(check)
    return (
        '<li style="display: flex; gap: .6em; padding: .35em 0; '
        'border-top: 1px solid var(--jp-border-color3, #e0e0e0)">'
        f'<strong aria-hidden="true" style="color: {colour}; width: 1em; text-align: center">{sign}</strong>'
        '<div style="flex: 1; min-width: 0; overflow-wrap: anywhere">'
        f"{escape(str(check.get('title', '')))} "
        f'<span style="font-size: .9em; {_FAINT}">({words})</span>'
        + (f'<div style="font-size: .9em; {_FAINT}">{escape(observed)}</div>' if observed else "")
        + (
            '<details style="font-size: .9em">'
            f'<summary style="cursor: pointer; display: list-item">Hint</summary>{escape(hint)}</details>'
            if hint
            else ""
        )
        + f'</div><span style="white-space: nowrap">{_points(check, short=True)}</span></li>'
    )


def _mark(check: Report) -> tuple[str, str, str]:
    return _MARKS.get(str(check.get("outcome")), _MARKS["error"])


def _hint(check: Report) -> str:
    return "" if check.get("outcome") == "passed" else str(check.get("hint") or "")


def _title(report: Report) -> str:
    return str(report.get("title") or report.get("task") or "Checks")


def _points(counted: Report, *, short: bool = False) -> str:
    earned, points = _number(counted.get("earned")), _number(counted.get("points"))
    if short:
        return f"{earned:g} / {points:g}"
    return f"{earned:g} of {points:g} {'point' if points == 1 else 'points'}"


def _when(report: Report) -> str:
    """When and where it was checked, such as "checked on web, 21 November 2026, 09:41 UTC"."""
    where = f"checked on {report['machine']}" if report.get("machine") else "checked"
    try:
        time = datetime.fromisoformat(str(report.get("time")))
    except ValueError:
        return where
    return f"{where}, {time.day} {time:%B %Y, %H:%M} UTC"


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0
