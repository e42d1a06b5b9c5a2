"""Programs run on the host during a build: they can be stopped, and their last words are kept."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Lock


class StepError(Exception):
    """A step failed. `output` is the end of what it printed."""

    def __init__(self, what: str, output: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.output = list(output)[-20:]


class Interrupted(Exception):
    """The build was told to stop."""


class Processes:
    """Runs programs on the host, until `stop` is called."""

    def __init__(self) -> None:
        self.stopped = Event()
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        heard: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Run `command` to its end; `heard` gets each line of its output. Raises StepError."""
        tail: deque[str] = deque(maxlen=20)
        name = Path(command[0]).name
        with self._lock:
            if self.stopped.is_set():
                raise Interrupted
            try:
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise StepError(
                    f"the host has no program '{name}'; ./machineroom doctor says how to get it"
                ) from None
            self._running.add(process)
        try:
            assert process.stdout
            for line in process.stdout:
                tail.append(line.rstrip())
                heard(tail[-1])
            code = process.wait()
        finally:
            self._running.discard(process)
        if self.stopped.is_set():
            raise Interrupted
        if code:
            raise StepError(f"{name} ended with code {code}", tail)

    def stop(self) -> None:
        """End what runs, and let nothing new start."""
        with self._lock:
            self.stopped.set()
            for process in list(self._running):
                os.killpg(process.pid, signal.SIGTERM)
