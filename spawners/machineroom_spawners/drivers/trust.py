"""Whose word an answer is: ours, or the machine's own.

A student who is root can make every program of their machine say what they like. What our own tools
read from the kernel and from the disk is so, whatever else is; a grader sees by each piece of evidence
which of the two it is. The rule errs on one side only: what cannot be followed is the machine's word.
"""

import re
import shlex
from collections.abc import Set

from .base import Trust

BUILTINS = frozenset(
    """
    : [ cd echo exit export false kill printf read return set shift test true umask wait
    """.split()  # noqa: SIM905
)

ASKS = frozenset(
    """
    curl dpkg dpkg-query host journalctl last lsof nc nslookup ping ssh systemctl visudo w wget who
    """.split()  # noqa: SIM905
)
"""Ours, but what they tell is what a process, a log or a data base of the machine says."""

RUNS = frozenset(
    """
    ash awk chroot crond env eval find flock man nice nohup script setpriv setsid sh start-stop-daemon
    su time timeout top vi watch xargs
    """.split()  # noqa: SIM905
)
"""Ours, but they may run something else."""

_OPERATOR = re.compile(r"[;&|()]+\Z")
_REDIRECTION = {"<", ">", ">>", ">|", "<>", ">&", "<&"}
_ASSIGNMENT = re.compile(r"(?!PATH=|LD_)[A-Za-z_]\w*=")
_BEFORE = {"!", "{", "if", "then", "elif", "else", "while", "until", "do"}
_AFTER = {"}", "fi", "done"}


def trust(command: str, ours: Set[str]) -> Trust:
    """Whose word the answer to a shell `command` is, when the tools `ours` are not the machine's."""
    if re.search(r"[`\n]|\$\(|<<", command):
        return "machine"
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = ""
    try:
        calls = _calls(list(words))
    except ValueError:  # a quotation mark that is not closed, or signs that we do not know
        return "machine"
    return "outside" if all(_is_ours(call, ours) for call in calls) else "machine"


def _calls(words: list[str]) -> list[list[str]]:
    """The simple commands of a line, without redirections and assignments."""
    calls: list[list[str]] = [[]]
    skip = False
    for word in words:
        sign = bool(word) and not set(word) - set("();<>|&")
        if skip:
            if sign:
                raise ValueError(word)
            skip = False
        elif word in _REDIRECTION:
            skip = True
        elif _OPERATOR.match(word):
            calls.append([])
        elif sign:
            raise ValueError(word)
        elif not calls[-1] and (word in _BEFORE or _ASSIGNMENT.match(word)):
            continue
        elif not (not calls[-1] and word in _AFTER):
            calls[-1].append(word)
    return [call for call in calls if call]


def _is_ours(call: list[str], ours: Set[str]) -> bool:
    name, *arguments = call
    if name == "systemctl" and name in ours:
        return arguments[:1] == ["is-enabled"]
    if name == "find" and name in ours:
        return not any(word.startswith(("-exec", "-ok")) for word in arguments)
    return name in BUILTINS or (name in ours and name not in ASKS and name not in RUNS)
