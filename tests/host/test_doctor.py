"""What is wrong with a host is said before anything is begun."""

import socket
import subprocess
from pathlib import Path

import pytest
from local import free_room_port
from machineroom_hub.host import HostError, doctor
from machineroom_hub.room import Room


@pytest.mark.parametrize("offset", [0, 81, 82, 83])
def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path, offset: int) -> None:
    room = Room(tmp_path)
    room.save_settings(port=free_room_port())
    doctor.refuse_taken_ports(room, room.port)
    said = rf"port {room.port + offset} .* is taken .* up --port"
    with socket.create_server(("127.0.0.1", room.port + offset)), pytest.raises(HostError, match=said):
        doctor.refuse_taken_ports(room, room.port)
    doctor.refuse_taken_ports(room, room.port)


def test_few_inodes_are_told_with_what_takes_them(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "none", tmp_path], check=True)
    try:
        told = {finding.what: finding for finding in doctor.examine(Room(tmp_path))}
        [inodes] = [finding for what, finding in told.items() if what.startswith("inodes: ")]
        assert inodes.state == "advice"
        assert "du --inodes" in inodes.mend
        [disk] = [finding for what, finding in told.items() if what.startswith("disk: 0 GiB free")]
        assert "make room" in disk.mend
    finally:
        subprocess.run(["umount", tmp_path], check=True)
