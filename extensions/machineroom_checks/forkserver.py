"""The fork server: has pytest and testinfra imported, and forks for each run of checks.

`runner.CheckRunner` starts it and sends it, for each run, two sockets: one that the run talks
over, and a lifeline. Every run is two processes in namespaces of their own: a first process,
still root and running none of the author's code, and the one that becomes nobody and runs the
checks. When the lifeline closes, or the checks end, the first process ends, and the kernel kills
whatever else is in there.
"""

import array
import contextlib
import gc
import os
import select
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable

from . import sandbox

READY, RUN = b"r", b"f"


def serve(control: socket.socket) -> None:
    """Fork for every request until `control` closes."""
    # pytest and testinfra import much of themselves on first use; here it is done once for all runs.
    from . import plugin

    plugin.warm_up()
    sandbox.enter_file_system()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a run, so none may be left over
    gc.collect()
    gc.freeze()
    control.sendall(READY)
    user = 0
    while True:
        descriptors = _receive(control)
        if len(descriptors) != 2:
            return
        talk, lifeline = descriptors
        if not os.fork():
            control.close()
            _run(talk, lifeline, sandbox.FIRST_USER + user, plugin.work)
        os.close(talk)
        os.close(lifeline)
        user = (user + 1) % sandbox.USERS


def _receive(control: socket.socket) -> list[int]:
    """The two sockets of the next request; none when the runner is gone."""
    descriptors = array.array("i")
    message, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(2 * descriptors.itemsize))
    for level, kind, data in ancillary:
        if message and level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data)
    return descriptors.tolist()


def _run(talk: int, lifeline: int, user: int, work: Callable[[socket.socket], None]) -> None:
    """Be a run. Does not return, whatever happens."""
    try:
        sandbox.die_with_parent()
        sandbox.new_namespaces()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        first = os.fork()
        if first:
            os.close(talk)
            os.waitpid(first, 0)  # ends when everything in there has; only then the lifeline closes
            return
        sandbox.die_with_parent()
        sandbox.own_folders()
        worker = os.fork()
        if worker:
            os.close(talk)
            select.select([lifeline, os.pidfd_open(worker)], [], [])
            return
        os.close(lifeline)
        os.chdir(sandbox.FOLDER)
        sandbox.drop_rights(user, cpu_seconds=120)
        os.environ.update(HOME=sandbox.FOLDER, TMPDIR=sandbox.FOLDER, PATH="/usr/bin:/bin", LANG="C.UTF-8")
        tempfile.tempdir = sandbox.FOLDER
        work(socket.socket(fileno=talk))
    except Exception:  # of ours: what checks raise is theirs, and their stderr leads nowhere
        traceback.print_exc()
    finally:
        os._exit(0)


def main(descriptor: int) -> None:
    """Entry point of the process that `runner` starts."""
    with contextlib.suppress(KeyboardInterrupt), socket.socket(fileno=descriptor) as control:
        try:
            serve(control)
        except OSError as error:
            control.sendall(str(error).encode())
