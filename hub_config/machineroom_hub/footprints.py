"""What changes on machines while their checks look at them."""

import shlex
import time
from collections.abc import Mapping
from typing import Self

from machineroom_spawners.drivers.base import Driver, Session
from machineroom_spawners.spec import MachineRef

QUIET_SECONDS = 3.0
"""How long machines are watched first, for what changes there by itself."""

TICK_SECONDS = 1.1
"""From then on changes are told from earlier ones: busybox's find compares whole seconds."""

PASSING = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/log", "/var/tmp")  # noqa: S108 - not to write there
"""Where things come and go."""

_MARK = "/run/machineroom-mark"


class Footprints:
    """From `with` on, notes which files and folders of machines change.

    What changes by itself, and what lies in `PASSING`, is not counted.
    """

    def __init__(self, driver: Driver, refs: Mapping[str, MachineRef]) -> None:
        self._driver, self._refs = driver, refs
        self._sessions: dict[str, Session] = {}
        self._by_itself: dict[str, set[str]] = {}

    def __enter__(self) -> Self:
        for name, ref in self._refs.items():
            self._sessions[name] = self._driver.open_session(ref)
        self._mark()
        time.sleep(QUIET_SECONDS)
        self._by_itself = {name: self._changed(name) for name in self._sessions}
        self._mark()
        time.sleep(TICK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions.values():
            session.run(f"rm -f {_MARK}")
            session.close()

    def found(self, allowed: tuple[str, ...] = ()) -> list[str]:
        """What has changed, but for paths at or below `allowed`, as `machine:path`; ten at most."""
        changed = [
            f"{name}:{path}"
            for name in self._sessions
            for path in sorted(self._changed(name) - self._by_itself[name])
            if not any(path == top or path.startswith(f"{top.rstrip('/')}/") for top in allowed)
        ]
        return changed[:10]

    def _mark(self) -> None:
        for session in self._sessions.values():
            session.run(f"rm -f {_MARK}; : >{_MARK}")

    def _changed(self, name: str) -> set[str]:
        prune = " -o ".join(f"-path {shlex.quote(path)}" for path in PASSING)
        found = self._sessions[name].run(
            f"find / -xdev '(' {prune} ')' -prune -o -newer {_MARK} -print", timeout=60
        )
        return set(found.stdout.decode(errors="replace").splitlines())
