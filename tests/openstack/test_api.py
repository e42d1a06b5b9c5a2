"""Calls to a cloud that fails in every way: tried again where that is safe, and said in words."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("keystoneauth1", reason="the environment has no openstacksdk")

from machineroom_spawners.drivers.openstack import api
from machineroom_spawners.drivers.openstack.api import Cloud, CloudError

Answer = tuple[int, str]


class Broken:
    """A cloud's APIs that answer what they are told, one answer after the other, and then well."""

    def __init__(self) -> None:
        self.answers: list[Answer | None] = []
        self.asked: list[str] = []
        self.logins: list[Answer] = []
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path.startswith("/identity"):
                    return self.say(*cloud.identity(self.path))
                cloud.asked.append(f"{self.command} {self.path}")
                answer = cloud.answers.pop(0) if cloud.answers else (200, json.dumps({"things": []}))
                if answer is None:
                    self.close_connection = True
                    return None
                return self.say(*answer)

            do_GET = do_POST = do_DELETE = do

            def say(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("X-Subject-Token", "token")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def identity(self, path: str) -> Answer:
        if not path.endswith("/auth/tokens"):
            version = {
                "id": "v3.14",
                "status": "stable",
                "links": [{"rel": "self", "href": f"{self.url}/identity/v3"}],
            }
            return 200, json.dumps({"version": version})
        if self.logins:
            return self.logins.pop(0)
        catalog = [
            {"type": kind, "endpoints": [{"interface": "public", "region": "RegionOne", "url": self.url}]}
            for kind in ("compute", "network", "image")
        ]
        expires = "2199-01-01T00:00:00.000000Z"
        token = {"catalog": catalog, "expires_at": expires, "methods": ["password"], "user": {"id": "u"}}
        return 201, json.dumps({"token": {**token, "issued_at": "2026-01-01T00:00:00.000000Z"}})


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    monkeypatch.setattr(api, "_PAUSE", 0.01)
    monkeypatch.setattr(api, "SECONDS", 3.0)
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.0)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = Broken()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def clouds(broken: Broken, tmp_path: Path) -> Callable[..., Path]:
    """Writes a clouds.yaml for the broken cloud."""

    def write(**changed: Any) -> Path:
        login = {
            "auth_url": f"{broken.url}/identity/v3",
            "username": "u",
            "password": "p",
            "project_name": "p",
        }
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
        services = {f"{kind}_endpoint_override": broken.url for kind in ("compute", "network", "image")}
        entry = {"auth": {**login, **domains}, "region_name": "RegionOne", **services, **changed}
        path = tmp_path / "clouds.yaml"
        path.write_text(json.dumps({"clouds": {"machineroom": entry}, "machineroom": {"network": "n"}}))
        return path

    return write


def test_what_may_be_asked_twice_is(broken: Broken, clouds: Callable[..., Path]) -> None:
    cloud = Cloud(clouds())
    broken.answers = [(500, "oops"), None, (429, "slow down")]
    assert cloud.get("compute", "/things") == {"things": []}
    assert broken.asked == ["GET /things"] * 4
    assert cloud.settings["network"] == "n"


def test_an_order_is_given_again_only_if_nobody_took_it(broken: Broken, clouds: Callable[..., Path]) -> None:
    cloud = Cloud(clouds())
    broken.answers = [(503, ""), (429, "")]
    cloud.post("compute", "/servers", {})
    assert len(broken.asked) == 3
    for answer, says in [
        ((500, "{}"), r"Nova failed \(500"),
        (None, "Nova cannot be reached"),
        ((409, ""), "409"),
    ]:
        broken.asked, broken.answers = [], [answer]
        with pytest.raises(CloudError, match=says):
            cloud.post("compute", "/servers", {})
        assert len(broken.asked) == 1, "it may have been taken"


def test_what_is_gone_needs_no_deleting(broken: Broken, clouds: Callable[..., Path]) -> None:
    broken.answers = [(404, "")]
    Cloud(clouds()).delete("compute", "/servers/1")


def test_garbage_is_told(broken: Broken, clouds: Callable[..., Path]) -> None:
    broken.answers = [(200, "<html>Welcome to the hotel</html>")] * api.TRIES
    with pytest.raises(CloudError, match=r"no JSON.*Welcome to the hotel.*proxy between"):
        Cloud(clouds()).get("image", "/images")


def test_a_listing_has_all_its_pages(broken: Broken, clouds: Callable[..., Path]) -> None:
    more = {"servers_links": [{"rel": "next", "href": "…"}]}
    broken.answers = [
        (200, json.dumps({"servers": [{"id": "1"}], **more})),
        (200, '{"servers": [{"id": "2"}]}'),
    ]
    found = Cloud(clouds()).listing("compute", "/servers", "servers", name="x")
    assert [server["id"] for server in found] == ["1", "2"]
    assert broken.asked[1] == "GET /servers?name=x&marker=1"


def test_wrong_credentials_are_told_and_new_ones_need_no_restart(
    broken: Broken, clouds: Callable[..., Path]
) -> None:
    broken.logins = [(401, '{"error": {"message": "The request you have made requires authentication."}}')]
    path = clouds()
    cloud = Cloud(path)
    with pytest.raises(CloudError, match=r"refuses our credentials.*clouds\.yaml"):
        cloud.get("compute", "/things")
    assert broken.asked == []
    clouds(region_name="RegionOne")
    assert cloud.get("compute", "/things") == {"things": []}


def test_a_cloud_that_is_away_is_told(broken: Broken, clouds: Callable[..., Path]) -> None:
    cloud = Cloud(clouds())
    broken.server.shutdown()
    broken.server.server_close()
    with pytest.raises(CloudError, match=r"cannot be reached.*What runs goes on; try again"):
        cloud.get("compute", "/things")


def test_a_missing_or_wrong_file_is_told(clouds: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"there is no .*none\.yaml.*docs/servers\.md"):
        Cloud(tmp_path / "none.yaml").get("compute", "/things")
    path = clouds()
    path.write_text("clouds: {other: {}}\n")
    with pytest.raises(CloudError, match="cannot be used"):
        Cloud(path).get("compute", "/things")
    path.write_text("clouds: [\n")
    with pytest.raises(CloudError, match="cannot be used"):
        Cloud(path).get("compute", "/things")
