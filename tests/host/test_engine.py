"""What we write into, and pass to, an engine."""

import json
from pathlib import Path

import pytest
from machineroom_hub.host import engine


def test_an_existing_daemon_json_keeps_all_it_had() -> None:
    before = {"log-driver": "journald", "runtimes": {"kata": {"path": "/usr/bin/kata"}}}
    after = engine.daemon_settings(before)
    assert after["log-driver"] == "journald"
    assert set(after["runtimes"]) == {"kata", engine.RUNTIME}
    assert engine.RUNTIME not in before["runtimes"]


def test_the_advice_holds_the_change_as_valid_json() -> None:
    advice = engine.runtime_advice()
    line = next(line for line in advice.splitlines() if line.strip().startswith("{"))
    assert json.loads(line)["runtimes"][engine.RUNTIME]["path"] == str(engine.RUNTIME_PATH)
    assert "--configure-docker" in advice


@pytest.mark.parametrize(
    ("folders", "settings", "remapped"),
    [
        ([], None, True),  # a new engine
        (["image", "containers"], None, False),  # an engine whose images would vanish
        (["image", "100000.100000"], None, True),  # an engine that was remapped before
        ([], {"userns-remap": "default"}, False),  # said in daemon.json, where a flag would clash
    ],
)
def test_user_namespaces_are_on_unless_images_would_vanish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str], settings: dict | None, remapped: bool
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir()
    daemon_json = tmp_path / "daemon.json"
    if settings is not None:
        daemon_json.write_text(json.dumps(settings))
    monkeypatch.setattr(engine, "DATA", tmp_path)
    monkeypatch.setattr(engine, "DAEMON_JSON", daemon_json)
    assert ("--userns-remap=default" in engine.start_flags()) is remapped


def test_the_engine_here_knows_our_runtime(engine) -> None:  # type: ignore[no-untyped-def]
    assert "machineroom" in engine.info()["Runtimes"]


def test_an_engine_is_stopped_by_nobody_but_whom_it_was_started_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(engine, "PID", tmp_path / "pid")
    assert not engine.stop(said.append, "room-a")  # the host's own
    (tmp_path / "pid").write_text("1 room-a")  # a process, but no engine
    assert not engine.stop(said.append, "room-a")
    assert not engine.stop(said.append, "room-b")
    assert said == []
