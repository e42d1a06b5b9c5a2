"""What we write into, and pass to, an engine."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest
from machineroom_hub.host import HostError, engine


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


def test_an_engine_chosen_by_its_address_is_not_started_by_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing")
    with pytest.raises(HostError, match=r"no Docker engine answers at DOCKER_HOST=unix.*nothing"):
        engine.ensure(print, "test")


@pytest.fixture
def old_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What an engine of 2019 says; none can be had any more."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = json.dumps({"Version": "19.03.8", "ApiVersion": "1.40", "MinAPIVersion": "1.12"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

    path = tmp_path / "docker.sock"
    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield
        server.shutdown()


def test_an_engine_that_is_too_old_is_refused(old_engine: None) -> None:
    with pytest.raises(HostError, match=r"the Docker engine is 19\.03\.8; Machineroom needs 20\.10 or newer"):
        engine.ensure(print, "test")


@pytest.fixture
def bare_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real engine that does not know us, in a network of its own; the settings that it was started with."""
    settings = tmp_path / "daemon.json"
    settings.write_text('{"log-level": "error"}')
    socket, log = tmp_path / "docker.sock", (tmp_path / "log").open("w")
    command = ["unshare", "--net", "dockerd", "--config-file", str(settings), "--host", f"unix://{socket}"]
    command += ["--data-root", str(tmp_path / "data"), "--exec-root", str(tmp_path / "exec")]
    command += [
        "--pidfile",
        str(tmp_path / "pid"),
        "--bridge",
        "none",
        "--iptables=false",
        "--storage-driver",
        "vfs",
    ]
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
        deadline = time.monotonic() + 60
        while engine.client() is None:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        yield settings
        process.terminate()


def test_an_engine_that_was_there_before_us_is_not_changed_unasked(bare_engine: Path) -> None:
    before = bare_engine.read_text()
    with pytest.raises(HostError, match=r"(?s)does not know the OCI runtime.*kill -HUP.*--configure-docker"):
        engine.ensure(print, "test")
    assert bare_engine.read_text() == before
