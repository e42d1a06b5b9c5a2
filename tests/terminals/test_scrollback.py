"""What is shown again after a reload."""

import pytest
from machineroom_terminals.scrollback import RESET, Scrollback


def shown_again(*pieces: str, limit: int = 1000) -> str:
    scrollback = Scrollback(limit)
    for piece in pieces:
        scrollback.append(piece)
    return "".join(scrollback.copy())


@pytest.mark.parametrize(
    "question",
    [
        "\x1b[c",
        "\x1b[0c",
        "\x1b[>c",
        "\x1b[>0c",
        "\x1b[=c",
        "\x9bc",
        "\x1b[5n",
        "\x1b[6n",
        "\x1b[?6n",
        "\x1b[?2026$p",
        "\x1b[20$p",
        "\x1b[x",
        "\x1b[>q",
        "\x1b[>0q",
        "\x1b[?u",
        "\x1b[?4m",
        "\x1b[14t",
        "\x1b[14;2t",
        "\x1b[18t",
        "\x1b[21t",
        "\x1b]10;?\x07",
        "\x1b]11;?\x1b\\",
        "\x9d11;?\x9c",
        "\x1b]4;1;?\x07",
        "\x1b]52;c;?\x07",
        "\x1bP$qm\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1bZ",
        "\x05",
    ],
    ids=repr,
)
def test_no_question_is_asked_again(question: str) -> None:
    half = len(question) // 2
    assert shown_again("before", question[:half], question[half:], "after") == RESET + "beforeafter"


@pytest.mark.parametrize(
    "text",
    [
        "plain\r\nlines\r\n",
        "\x1b[1;31mred\x1b[0m",
        "\x1b[38;2;1;2;3m",
        "\x1b[?1049h\x1b[2J\x1b[H",
        "\x1b[>4;1m",
        "\x1b[3;4r\x1b[8;24;80t\x1b[22;0t",
        "\x1b]0;what? why?\x07",
        "\x1b]8;;http://a/?b\x07link\x1b]8;;\x07",
        "Grüße 🦙",
    ],
    ids=repr,
)
def test_everything_else_is_shown_again(text: str) -> None:
    assert shown_again(text) == RESET + text


def test_nothing_was_shown() -> None:
    assert not Scrollback().copy()


def test_it_is_bounded_in_bytes_and_begins_with_a_whole_line() -> None:
    lines = [f"\x1b[32mline {n} 🦙\x1b[0m\r\n" for n in range(500)]
    shown = shown_again(*lines, limit=1000).removeprefix(RESET)
    assert shown.endswith(lines[-1])
    assert all(line + "\r\n" in lines for line in shown.split("\r\n")[:-1])
    assert 400 < len(shown.encode()) <= 1000


def test_output_without_lines_is_cut_between_characters() -> None:
    shown = shown_again(*["🦙🦙🦙"] * 300, limit=1000)
    assert set(shown.removeprefix(RESET)) == {"🦙"}


def test_title_and_modes_outlive_the_text_that_set_them() -> None:
    filler = ["x" * 50 + "\n"] * 50
    shown = shown_again("\x1b]0;web\x07", "\x1b[?2004h\x1b[?1049;1000h", "\x1b[?1000l", *filler, limit=1000)
    assert shown.startswith(RESET + "\x1b]0;web\x07\x1b[?2004h\x1b[?1049h\x1b[?1000lx")


def test_a_full_reset_ends_modes() -> None:
    assert "?1049" not in shown_again("\x1b[?1049h\n", "\x1bc\n", *["x" * 50 + "\n"] * 50, limit=1000)
