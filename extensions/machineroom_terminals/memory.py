"""Which terminals were open, so that they are there again when the server is."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

MOST = 20
"""Terminals that are brought back; each has a process or two."""

Entry = dict[str, Any]


def _file() -> Path:
    return Path(jupyter_data_dir()) / "machineroom-terminals.json"


def recall() -> list[Entry]:
    """What `Manager.create` has to be given for each terminal that was open when the server ended."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
        return [{"name": str(one["name"]), "machine": str(one["machine"])} for one in found][:MOST]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(entries: list[Entry]) -> None:
    """Write down what is open now. A full disk costs no terminal."""
    file = _file()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(entries), encoding="utf-8")
        part.replace(file)
