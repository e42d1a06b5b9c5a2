"""Every name that reaches an infrastructure is made here, and user names are escaped nowhere else.

>>> slug("ada")
'ada'
>>> slug("Zoë O'Brien")
'zoe-o-brien--0f5d7ebe'
"""

import hashlib
import re
import unicodedata

_PLAIN = re.compile(r"[a-z][a-z0-9]{0,29}\Z")


def slug(name: str) -> str:
    """A name safe for containers, volumes, host names and folders.

    Plain names (`[a-z][a-z0-9]*`, at most 30 characters) stay as they are. Anything else
    becomes a readable stem and eight hex digits of its SHA-256, so two names never share a
    slug: only a hashed slug holds `--`, and a plain name holds no hyphen.
    """
    if _PLAIN.match(name):
        return name
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:21].strip("-") or "user"
    if not stem[0].isalpha():
        stem = "u" + stem
    return f"{stem}--{_digest(name, 8)}"


def bridge(room: str, kind: str, key: str = "") -> str:
    """The name of a Linux bridge: at most 15 characters, its kind told by the prefix.

    `kind` is "hub" (workspaces meet hub and service there), "student" (one student's machines)
    or "cloud" (the OpenStack to test against). All bridges of one kind share a prefix, so that one
    firewall rule covers them.
    """
    return bridge_prefix(room, kind) + (_digest(key, 7) if key else "0")


def bridge_prefix(room: str, kind: str) -> str:
    """What all bridges of `kind` begin with, for a firewall rule's wildcard."""
    return {"hub": "mh", "student": "ms", "cloud": "mc"}[kind] + room[:6]


def machine(room: str, owner: str, course: str, lab: str, name: str) -> str:
    """What a student's machine is called at its infrastructure.

    The parts are joined by dots, which none of them holds: hyphens would make lab `b-c` of
    course `a` and lab `c` of course `a-b` the same.
    """
    return f"mr-{room}-m-{slug(owner)}.{course}.{lab}.{name}"


def image(room: str, name: str) -> str:
    """What the engine calls an image of this installation: others of another version have their own."""
    return f"machineroom/{name}:{room}"


def network(room: str, owner: str, *place: str) -> str:
    """A student's own network; `place` is course, lab and network where a lab names its networks."""
    return ".".join([f"mr-{room}-net-{slug(owner)}", *place])


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
