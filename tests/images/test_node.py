"""The proxy and npm, from the Node in our own environment."""

import subprocess

import pytest
from machineroom_hub.node import NodeError, install_proxy, node_bin, npm
from machineroom_hub.room import SOURCE, Room


def test_install_proxy(room: Room) -> None:
    script = install_proxy(room)
    said = subprocess.run([node_bin(), script, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "5.3.0"
    before = script.stat().st_ino
    assert install_proxy(room).stat().st_ino == before, "what is there is not installed again"


def test_locks_hold_no_addresses() -> None:
    locks = [*SOURCE.glob("locks/*.lock"), *SOURCE.glob("*/*/package-lock.json")]
    assert len(locks) >= 4
    for lock in locks:
        text = lock.read_text()
        assert not any(word in text for word in ('"resolved"', "--index-url", "--find-links", " @ http")), (
            lock
        )


def test_errors_hold_what_npm_said(room: Room) -> None:
    room.state.mkdir(parents=True, exist_ok=True)
    with pytest.raises(NodeError, match=r"(?s)npm run nothing in .* ended with code \d+:.*package.json"):
        npm(["run", "nothing"], room.state)
