"""Whether a workspace runs, asked of engines that are not well."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import docker
import pytest
from machineroom_spawners.spawner import DockerLabSpawner
from machineroom_spawners.steps import Steps

RUNNING = {"Id": "abc", "State": {"Running": True}}
ENDED = {"Id": "abc", "State": {"Running": False, "ExitCode": 1, "Error": "", "FinishedAt": "today"}}


class Engine(BaseHTTPRequestHandler):
    status, body = 200, RUNNING

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(self.body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def engine_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Engine)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def spawner(port: int) -> DockerLabSpawner:
    class Ours(DockerLabSpawner):
        _client = docker.APIClient(base_url=f"tcp://127.0.0.1:{port}", version="1.41", timeout=5)

    return Ours(object_name="mr-000000-w-ada")


@pytest.mark.parametrize(
    ("status", "body", "runs"),
    [
        (200, RUNNING, True),
        (200, ENDED, False),
        (404, {"message": "No such container"}, False),
        (500, {"message": "context deadline exceeded"}, True),
        (503, {"message": "shutting down"}, True),
    ],
)
async def test_only_a_clear_answer_counts_as_gone(
    engine_port: int, monkeypatch: pytest.MonkeyPatch, status: int, body: dict, runs: bool
) -> None:
    monkeypatch.setattr(Engine, "status", status)
    monkeypatch.setattr(Engine, "body", body)
    assert (await spawner(engine_port).poll() is None) == runs


async def test_an_engine_that_is_away_is_no_death() -> None:
    assert await spawner(1).poll() is None


async def test_steps_are_told_to_all_who_look_and_never_go_back() -> None:
    steps = Steps()
    steps.begin("workspace", "box")
    steps.say("box", 50, "booting")
    steps.say("workspace", 100, "ready")
    steps.say("box", 20, "again")
    for _ in range(2):
        told = []
        async for event in steps:
            told.append((event["progress"], event["message"]))
            if len(told) == 3:
                break
        assert told == [(23, "booting"), (71, "ready"), (71, "again")]
