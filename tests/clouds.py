"""A real OpenStack for tests that need one: `./machineroom cloud up`, and nothing of it left afterwards."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from installation import SOURCE
from machineroom_hub.images import build
from machineroom_hub.room import Room

REUSE = "MACHINEROOM_TEST_CLOUD_STATE"
"""Environment variable: the state of a room whose cloud is up, used instead of a new one."""


def command(room: Room, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `./machineroom …` on a room; its progress goes where the tests' own output goes."""
    whole = [str(SOURCE / "machineroom"), *words, "--state", str(room.state)]
    done = subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=False, timeout=25 * 60)
    assert not check or done.returncode == 0, done.stdout
    return done


@contextlib.contextmanager
def new_cloud(engine: docker.DockerClient) -> Iterator[Room]:
    """A room with a cloud and nothing else. At the end it is purged, and shown to have left nothing."""
    if REUSE in os.environ:
        yield Room(Path(os.environ[REUSE]))
        return
    build(Room(), ["openstack-aio"])  # its layers are kept for the next time, where there is one
    state = Path(tempfile.mkdtemp(prefix="machineroom-cloud-"))
    state.chmod(0o711)
    room = Room(state)
    try:
        _up(room)
        yield room
        command(room, "cloud", "down", "--purge", "--yes")
        assert traces(engine, room) == []
    finally:
        command(room, "down", "--purge", "--yes", check=False)


def _up(room: Room) -> None:
    """`cloud up`; a host on which there can be none, as it says itself, is no reason to fail."""
    words = [str(SOURCE / "machineroom"), "cloud", "up", "--state", str(room.state)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=25 * 60)
    print(done.stdout, done.stderr)
    for sign in ("does not let", "GiB of memory"):
        if done.returncode and sign in done.stderr:
            pytest.skip(f"no cloud on this host: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def traces(engine: docker.DockerClient, room: Room) -> list[str]:
    """What of a room's cloud this host still has: containers, networks, bridges, rules, mounts, processes."""
    ours = {"label": f"machineroom.room={room.id}"}
    found = [f"container {each.name}" for each in engine.containers.list(all=True, filters=ours)]
    found += [f"network {each.name}" for each in engine.networks.list(filters=ours)]
    found += [f"volume {each.name}" for each in engine.volumes.list(filters=ours)]
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/mounts").read_text()
    signs = (f"mc{room.id}", f"MR-{room.id}-C", str(room.state / "cloud"))
    lines = [
        *(each.name for each in Path("/sys/class/net").iterdir()),
        *rules.splitlines(),
        *mounts.splitlines(),
    ]
    found += [line for line in lines if any(sign in line for sign in signs)]
    if (room.state / "cloud").exists():
        found.append(str(room.state / "cloud"))
    return found
