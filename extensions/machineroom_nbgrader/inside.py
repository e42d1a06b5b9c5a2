"""What a throw-away container runs: kernels for one submission, forks of one that is warm.

`python -m machineroom_nbgrader.inside`. Lines of JSON come on standard input and go to standard output:

    {"files": 1234, "folder": "networks/ps1"}   1234 bytes of a gzipped tar follow; unpacked in that folder
    {"notebook": "p1", "environment": {…}}      a fresh kernel; answers its `language_info`
    {"source": "1 + 1"}                         a cell; answers messages, the last one an `execute_reply`
    {"end": true}                               the kernel is over; answers {"ended": status}

The shell is ipykernel's own, so that cells do here what they do anywhere. Only its sockets are missing:
what it sends becomes a line. All in here is the student's: nothing that comes out is believed but as outputs.
"""

import asyncio
import base64
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session
from tornado.ioloop import IOLoop

READY = {"ready": True}
_FLUSH = 1 << 16
_MOST_PRINTED = 2 << 20
"""Characters that a cell may print to one stream; nbgrader shows a thousand lines."""


class Lines:
    """Both ways of talking to whoever started us, kept away from what cells read and print."""

    def __init__(self) -> None:
        self._input: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._output = os.dup(1)
        self._lock = threading.RLock()
        self.nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(self.nothing, stream)

    def read(self) -> dict[str, Any]:
        """The next line; an empty one when nobody speaks to us any more."""
        line = self._input.readline()
        return json.loads(line) if line else {}

    def take(self, size: int, folder: Path) -> None:
        """Unpack the `size` bytes that follow, a gzipped tar, into `folder`."""
        part = _Part(self._input, size)
        with tarfile.open(fileobj=cast(BinaryIO, part), mode="r|gz") as tar:
            tar.extractall(folder, filter="data")
        while part.read(1 << 16):  # what tar does not look at
            pass

    def write(self, line: dict[str, Any]) -> None:
        """Send a line, whole, whichever thread it comes from."""
        data = json.dumps(line, default=json_default).encode() + b"\n"
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # an interrupt leaves no half line
        try:
            with self._lock:
                while data:
                    data = data[os.write(self._output, data) :]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Part:
    """The first `size` bytes of what is left to read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


class LineSession(Session):
    """Sends messages as lines."""

    lines: Lines
    owner = 0

    def send(self, _stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """A message, made as jupyter_client makes it, as one line. Forks of a cell may only print."""
        names = ("content", "parent", "ident", "buffers", "track", "header", "metadata")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if isinstance(msg_or_type, dict):
            message = msg_or_type
        else:
            wanted = {key: given.get(key) for key in ("content", "parent", "header", "metadata")}
            message = self.msg(msg_or_type, **wanted)
        if os.getpid() != self.owner and message["header"]["msg_type"] != "stream":
            return message
        buffers = given.get("buffers") or message.get("buffers") or ()
        self.lines.write(
            {
                "msg_type": message["header"]["msg_type"],
                "cell": message["parent_header"].get("msg_id"),
                "content": message["content"],
                "metadata": message["metadata"],
                "buffers": [base64.b64encode(buffer).decode() for buffer in buffers],
            }
        )
        return message


class Publisher(IOPubThread):
    """Stands where ipykernel has a thread with a socket; what is to be sent is sent at once."""

    def __init__(self) -> None:
        self.thread = None  # type: ignore[assignment]
        self.io_loop = None  # type: ignore[assignment]
        self._master_pid = os.getpid()

    def schedule(self, f: Any) -> None:
        """Do it."""
        f()


class Stream(OutStream):
    """sys.stdout or sys.stderr: sends what was printed when the cell is done, or when it is much."""

    _waiting = _printed = 0

    def begin(self) -> None:
        """A new cell may print as much as any."""
        self._waiting = self._printed = 0

    def write(self, string: str) -> int:  # type: ignore[override]
        """Keep `string` for later, or drop it when the cell has printed too much."""
        left = _MOST_PRINTED - self._printed
        self._printed += len(string)
        if left > 0:
            super().write(string if len(string) <= left else string[:left] + "\n... Output truncated ...\n")
            self._waiting += len(string)
            if self._waiting > _FLUSH:
                self._waiting = 0
                self._flush()
        return len(string)

    def _schedule_flush(self) -> None:
        pass

    def flush(self) -> None:
        """Send what was printed, by programs too."""
        if self._fid is not None:
            self._take()
        self._flush()

    def watch(self, number: int) -> None:
        """From now on take in what programs that cells start write to descriptor `number`."""
        self._master_pid = os.getpid()
        self._taking = threading.RLock()
        self._fid, end = os.pipe()
        os.set_blocking(self._fid, False)
        self._original_stdstream_copy = os.dup(number)
        os.dup2(end, number)
        os.close(end)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            select.select([cast(int, self._fid)], [], [])
            self._take()

    def _take(self) -> None:
        """What is in the pipe now: no cell ends before its programs' last words were heard."""
        with self._taking, contextlib.suppress(BlockingIOError):
            for _ in range(64):  # the pipe's content, not all that is still coming
                self.write(os.read(cast(int, self._fid), 1 << 16).decode(errors="replace"))


class Kernel(IPythonKernel):
    """ipykernel's kernel, asked by us and not over a socket."""

    async def run(self, source: str, number: int) -> None:
        """A cell: ends with an `execute_reply`."""
        assert self.session
        request = self.session.msg(
            "execute_request",
            {"code": source, "silent": False, "store_history": True, "stop_on_error": False},
            header={"msg_id": str(number), "msg_type": "execute_request"},
        )
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Stream):  # unless a cell has put its own there
                stream.begin()
        self.set_parent([], request)
        self.pre_handler_hook()
        try:
            await self.execute_request(None, [], request)
        except KeyboardInterrupt:  # it came when the cell was just over, or not begun
            error = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
            self.session.send(None, "execute_reply", error, request)
        finally:
            self.post_handler_hook()


class App(IPKernelApp):
    """ipykernel's application without sockets, threads and files."""

    lines: Lines

    def init_poller(self) -> None:
        """Nobody is our parent in that sense."""

    def init_sockets(self) -> None:
        """None, and a session that needs none."""
        self.session = LineSession(parent=self, check_pid=False)
        self.session.lines = self.lines
        self.iopub_thread = self.iopub_socket = Publisher()

    def init_heartbeat(self) -> None:
        """Whether we live is seen by whoever holds our container."""

    def write_connection_file(self, **_: Any) -> None:
        """There is nothing to connect to."""

    def log_connection_info(self) -> None:
        """There is nothing to connect to."""

    def init_kernel(self) -> None:
        """The kernel, and what belongs to it."""
        self.kernel = Kernel.instance(
            parent=self,
            session=self.session,
            iopub_thread=self.iopub_thread,
            iopub_socket=self.iopub_socket,
            log=self.log,
            profile_dir=self.profile_dir,
            user_ns=self.user_ns,
            shell_channel_thread=SimpleNamespace(parent_thread=threading.main_thread()),
        )
        self.displayhook.get_execution_count = lambda: self.kernel.execution_count


def warm(lines: Lines) -> Kernel:
    """A kernel, ready, with all that its start takes done: each notebook gets a fork of it."""
    # nobody debugs here, and loading the debugger takes longer than all the rest
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    importlib.import_module("ipykernel.debugger")
    del sys.modules["debugpy"]
    App.lines = lines
    app = App.instance(outstream_class=f"{__name__}.Stream", quiet=True, capture_fd_output=False)
    app.initialize(["-f", "kernel.json", "--HistoryManager.hist_file=:memory:"])
    # IPython keeps all that a cell prints for its history: memory that is better the student's
    app.kernel.shell._tee = lambda channel: contextlib.nullcontext()  # noqa: ARG005
    return app.kernel


def be_kernel(lines: Lines, kernel: Kernel, environment: dict[str, str]) -> None:
    """Run cells until it is said that there are no more."""
    os.environ.update(environment)
    os.dup2(lines.nothing, 2)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        cast(Stream, stream).watch(number)
    lines.write({"language_info": kernel.kernel_info["language_info"]})
    asyncio.run(_cells(lines, kernel))


async def _cells(lines: Lines, kernel: Kernel) -> None:
    kernel.io_loop = IOLoop.current()
    LineSession.owner = os.getpid()
    number = 0
    while os.getpid() == LineSession.owner and "source" in (line := lines.read()):
        number += 1
        await kernel.run(line["source"], number)


def main() -> None:
    """Serve until standard input ends."""
    lines = Lines()
    kernel = warm(lines)
    gc.collect()
    gc.freeze()
    lines.write(READY)
    while line := lines.read():
        if "files" in line:
            folder = Path.home() / line["folder"]
            folder.mkdir(parents=True, exist_ok=True)
            lines.take(line["files"], folder)
            os.chdir(folder)
            lines.write(READY)
        elif "notebook" in line:
            pid = os.fork()
            if not pid:
                try:
                    be_kernel(lines, kernel, line["environment"])
                finally:
                    os._exit(0)
            signal.signal(signal.SIGINT, lambda *_, pid=pid: os.kill(pid, signal.SIGINT))
            _, status = os.waitpid(pid, 0)
            lines.write({"ended": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
