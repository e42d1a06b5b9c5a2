"""supervisord's configuration, and supervisord itself keeping a program alive."""

import os
import signal
import time
from pathlib import Path

from machineroom_hub.host import processes
from machineroom_hub.host.processes import Program
from machineroom_hub.room import Room


def test_tokens_stay_out_of_every_command_line(room: Room) -> None:
    for program in processes.programs(room, "10.0.0.1", Path("/chp"), Path("/node")):
        assert not any(room.token(purpose) in " ".join(program.command) for purpose in ("proxy", "service"))


def test_a_killed_program_comes_back_and_stop_ends_everything(room: Room) -> None:
    pid_file = room.state / "pid"
    command = ("/bin/sh", str(room.state / "program.sh"))
    (room.state / "program.sh").write_text(f'echo $$ > {pid_file}; echo "$GREETING"; exec sleep 1000\n')
    program = Program("hub", command, {"GREETING": "100% ready"})

    def pid() -> int:
        processes.wait(
            lambda: pid_file.is_file() and pid_file.read_text() != "", 10, "the program did not start"
        )
        return int(pid_file.read_text())

    processes.start(room, [program])
    try:
        processes.start(room, [program])  # again: nothing changes
        first = pid()
        pid_file.unlink()
        os.kill(first, signal.SIGKILL)
        second = pid()
        assert second != first
        processes.wait(lambda: processes.states(room) == {"hub": "RUNNING"}, 20, "not running")
        assert "100% ready" in (room.logs / "hub.log").read_text()
    finally:
        processes.stop(room)
    assert processes.states(room) == {}
    deadline = time.monotonic() + 5
    while Path(f"/proc/{second}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{second}").exists()


def test_configuration_and_socket_are_for_root_alone(room: Room) -> None:
    processes.start(room, [Program("hub", ("/bin/sleep", "1000"), {})])
    try:
        for path in (room.run / "supervisord.conf", room.run / "supervisor.sock"):
            assert path.stat().st_mode & 0o077 == 0
    finally:
        processes.stop(room)
