"""nbgrader's slow work, away from the server's process, where it would freeze every terminal."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

from .config import COURSE

Answer = dict[str, Any]

_LONGEST_ANSWER = 64 << 20


class Jobs:
    """Does jobs one after another. With `keep`, its worker stays, so that the next one starts at once."""

    def __init__(self, cwd: str, *, keep: bool) -> None:
        self._cwd = cwd
        self._keep = keep
        self._worker: Process | None = None
        self._turn = asyncio.Lock()

    async def run(self, action: str, *arguments: str) -> Answer:
        """Do `action` after what was asked for before; answer as nbgrader does."""
        job = {"action": action, "arguments": arguments, "environment": {COURSE: os.environ.get(COURSE, "")}}
        async with self._turn:
            worker = self._worker
            if worker is None or worker.returncode is not None:
                worker = await self._start()
            self._worker = None  # whatever goes wrong, the next job gets a new one
            assert worker.stdin
            assert worker.stdout
            try:
                worker.stdin.write(json.dumps(job).encode() + b"\n")
                answer = json.loads(await worker.stdout.readline())
                self._worker = worker if self._keep else None
            except (OSError, ValueError):
                said = f"nbgrader's process ended during {action}. Try again; your server's log says more."
                answer = {"success": False, "value": said, "error": said, "log": said}
            finally:
                if self._worker is None and worker.returncode is None:
                    os.killpg(worker.pid, signal.SIGTERM)
                    await worker.wait()
        return answer

    async def _start(self) -> Process:
        command = (sys.executable, "-P", "-m", "machineroom_nbgrader.worker")
        return await asyncio.create_subprocess_exec(
            *command, cwd=self._cwd, stdin=PIPE, stdout=PIPE, limit=_LONGEST_ANSWER, start_new_session=True
        )
