"""Open sessions on machines, kept for a while, so that ten checks need not open ten."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from machineroom_spawners.drivers.base import MachineError, Result, Session
from machineroom_spawners.spec import MachineRef

IDLE_SECONDS = 60.0


@dataclass
class _Kept:
    session: Session
    id: str
    since: float


class Lease:
    """A session lent by the pool; `close` gives it back."""

    def __init__(self, pool: "SessionPool", ref: MachineRef, id: str, session: Session) -> None:
        self._pool, self._ref, self._id = pool, ref, id
        self._session: Session | None = session

    def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Result:
        """Run a command on the machine: see `Session.run`."""
        if self._session is None:
            raise MachineError(f"the session on {self._ref} is closed: open another")
        return self._session.run(command, timeout=timeout, limit=limit)

    def close(self) -> None:
        """Give the session back to the pool."""
        session, self._session = self._session, None
        if session:
            self._pool.give_back(self._ref, self._id, session)


class SessionPool:
    """Sessions that nobody uses at the moment, each for one user at a time.

    A session belongs to one machine as it is now: `id` is the infrastructure's own, and a machine
    that was made anew has another. One that does not answer any more is replaced unnoticed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[MachineRef, list[_Kept]] = {}

    def lease(self, ref: MachineRef, id: str, open_session: Callable[[], Session]) -> Lease:
        """A working session on the machine `ref`, an old one or by `open_session` a new one."""
        while kept := self._pop(ref):
            if kept.id == id and _answers(kept.session):
                return Lease(self, ref, id, kept.session)
            _close(kept.session)
        return Lease(self, ref, id, open_session())

    def give_back(self, ref: MachineRef, id: str, session: Session) -> None:
        """Keep a session for the next user."""
        with self._lock:
            self._kept.setdefault(ref, []).append(_Kept(session, id, time.monotonic()))

    def close_of(self, ref: MachineRef) -> None:
        """Close what is kept for one machine: it is about to be stopped or replaced."""
        while kept := self._pop(ref):
            _close(kept.session)

    def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close what nobody has used for so long; 0 closes everything."""
        before = time.monotonic() - seconds
        old: list[_Kept] = []
        with self._lock:
            for ref in list(self._kept):
                old += [kept for kept in self._kept[ref] if kept.since <= before]
                self._kept[ref] = [kept for kept in self._kept[ref] if kept.since > before]
                if not self._kept[ref]:
                    del self._kept[ref]
        for kept in old:
            _close(kept.session)

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._kept.values()))

    def _pop(self, ref: MachineRef) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(ref)
            return kept.pop() if kept else None


def _answers(session: Session) -> bool:
    try:
        return session.run("true", timeout=5).rc == 0
    except MachineError:
        return False


def _close(session: Session) -> None:
    with contextlib.suppress(MachineError, OSError):
        session.close()
