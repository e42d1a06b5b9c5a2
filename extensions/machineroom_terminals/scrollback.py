"""What a terminal shows again after a reload or a dropped connection.

A pty's output is kept as it came, bounded in bytes. What is shown again is that output without
the questions that programs put to a terminal: a browser would answer each of them once more,
and the answers would be typed into whatever runs now.
"""

import re
from collections import deque

_CSI, _OSC, _DCS, _ST = r"(?:\x1b\[|\x9b)", r"(?:\x1b\]|\x9d)", r"(?:\x1bP|\x90)", r"(?:\x07|\x1b\\|\x9c)"

QUESTIONS = re.compile(
    "|".join(
        (
            _CSI + r"[>=?]?[\d;]*c",  # DA: who are you
            _CSI + r"\??[\d;]*n",  # DSR: where is the cursor
            _CSI + r"\??[\d;]*\$p",  # DECRQM: is this mode set
            _CSI + r"[01]?x",  # DECREQTPARM
            _CSI + r">\d*q",  # XTVERSION
            _CSI + r"\?u",  # keyboard protocol
            _CSI + r"\?\d+m",  # XTQMODKEYS
            _CSI + r"(?:1[13-689]|2[01])(?:;\d*)*t",  # size, position and title of the window
            _OSC + r"\d+;(?:[^\x07\x1b\x9c]*;)?\?" + _ST,  # colours, clipboard
            _DCS + r"[$+]q[^\x07\x1b\x9c]*" + _ST,  # DECRQSS, XTGETTCAP
            r"\x1bZ|\x05",  # DECID, ENQ
        )
    )
)

_KEPT = re.compile(
    _CSI + r"\?([\d;]+)([hl])"
    r"|" + _OSC + r"[02];([^\x07\x1b\x9c]*)" + _ST + r"|(\x1bc)"
)
"""What must outlive the text it came in: modes such as the alternate screen, the title, a full reset."""

_SIGNS = (b"\x1b", "\x9b".encode(), "\x9d".encode())
"""What begins everything of that kind."""

RESET = "\x1bc"


class Scrollback:
    """The last output of one pty. terminado appends what it reads, and copies it for each new client.

    Args:
        limit: how much is kept, in bytes of UTF-8.
    """

    def __init__(self, limit: int = 256 << 10) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._title = ""
        self._modes: dict[str, str] = {}

    def append(self, text: str) -> None:
        """Keep `text`, and forget the oldest lines when there is too much."""
        data = text.encode("utf-8", "replace")
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self._forget()

    def copy(self) -> deque[str]:
        """What a client that comes now has to be sent, in one piece.

        It begins with a full reset, so a client that only lost its connection shows nothing twice.
        """
        if not self._chunks:
            return deque()
        kept = b"".join(self._chunks).decode("utf-8", "replace")
        title = f"\x1b]0;{self._title}\x07" if self._title else ""
        modes = "".join(f"\x1b[?{mode}{state}" for mode, state in self._modes.items())
        return deque([RESET + title + modes + QUESTIONS.sub("", kept)])

    def _forget(self) -> None:
        """Drop the older half, up to the end of a line, and note what of it has to be remembered."""
        data = b"".join(self._chunks)
        cut = len(data) - self._limit // 2
        line = data.find(b"\n", cut)
        if line >= 0:
            cut = line + 1
        else:
            while cut < len(data) and data[cut] & 0xC0 == 0x80:  # within a character
                cut += 1
        old = data[:cut]
        self._chunks, self._size = [data[cut:]], len(data) - cut
        if not any(sign in old for sign in _SIGNS):
            return  # plain text, as a flood of output mostly is, costs no search
        for modes, state, title, reset in _KEPT.findall(old.decode("utf-8", "replace")):
            if reset:
                self._modes.clear()
            elif modes:
                self._modes.update(dict.fromkeys(modes.split(";"), state))
            else:
                self._title = title
