"""Reports in words: nothing in them can do harm, and a score is always one that nbgrader takes."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from machineroom_checks.report import message_html, plain_text, score, static_html

REPORT: dict[str, Any] = {
    "course": "c",
    "assignment": "a",
    "task": "notes",
    "title": "Take <notes>",
    "points": 3,
    "earned": 1,
    "time": "2026-11-21T09:41:00+00:00",
    "machine": "web",
    "checks": [
        {
            "title": "It is there",
            "points": 1,
            "earned": 1,
            "outcome": "passed",
            "observed": "exists",
            "hint": "H1",
        },
        {
            "title": "It is yours",
            "points": 2,
            "earned": 0,
            "outcome": "failed",
            "observed": "<b>root</b>",
            "hint": "H2",
        },
        {"title": "It is quick", "points": 0, "earned": 0, "outcome": "timeout", "observed": "", "hint": ""},
    ],
}


def test_plain_text() -> None:
    assert plain_text(REPORT) == (
        "Take <notes>: 1 of 3 points (checked on web, 21 November 2026, 09:41 UTC)\n"
        "  ✔ It is there [passed, 1 of 1 point]\n"
        "      exists\n"
        "  ✘ It is yours [not yet, 0 of 2 points]\n"
        "      <b>root</b>\n"
        "      Hint: H2\n"
        "  … It is quick [took too long, 0 of 0 points]"
    )


def test_html_says_the_same_and_escapes_what_the_machine_said() -> None:
    html = static_html(REPORT)
    assert "&lt;b&gt;root&lt;/b&gt;" in html
    assert "<b>" not in html
    assert "Take &lt;notes&gt;" in html
    for words in ("passed", "not yet", "took too long", "1 of 3 points", "<details", "H2", "09:41 UTC"):
        assert words in html
    assert "H1" not in html
    assert "<script" not in html
    assert 'role="alert"' in message_html("a < b")
    assert "a &lt; b" in message_html("a < b", busy=True)


@pytest.mark.parametrize(
    ("points", "earned", "most", "expected"),
    [
        (3, 3, 2, 2.0),
        (3, 1, 3, 1.0),
        (3, 0, 3, 0.0),
        (0, 0, 3, 0.0),
        (3, 9, 3, 3.0),
        (3, -1, 3, 0.0),
        (3, 1, 0, 0.0),
    ],
)
def test_score(points: float, earned: float, most: float, expected: float) -> None:
    assert score({"points": points, "earned": earned}, most) == expected


@settings(deadline=None)  # the machine may be busy
@example({"points": 3, "earned": 2.9}, 0.00006)
@given(
    st.dictionaries(st.sampled_from(["points", "earned"]), st.floats() | st.text() | st.none()),
    st.floats(0, 1e6),
)
def test_score_is_always_a_number_between_nothing_and_everything(report: dict[str, Any], most: float) -> None:
    assert 0.0 <= score(report, most) <= most


@settings(deadline=None)
@given(st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_words_are_found_for_any_report(value: Any) -> None:
    report = {
        "title": value,
        "points": value,
        "earned": value,
        "time": value,
        "checks": [{"outcome": value, "title": value}],
    }
    assert plain_text(report)
    assert static_html(report)
