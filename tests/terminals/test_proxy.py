"""Web pages of a machine: seen through the proxy, with nothing of the visitor's in the machine's hands."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from machineroom_terminals.proxy import _resolve, attached_networks
from terminals.conftest import BASE, COURSE, Workspace, running

PRIVATE = {
    "Authorization": "token secret-1",
    "Cookie": "_xsrf=secret-2; jupyterhub-user-ada=secret-3; session=mine; username-127-0-0-1-8888=secret-4; "
    "__Host-jupyterhub-user-ada=secret-7",
    "X-XSRFToken": "secret-5",
    "X-Forwarded-For": "203.0.113.9",
    "Referer": "http://127.0.0.1/user/ada/lab?token=secret-6",
}


@pytest.fixture(scope="module")
def site(ws: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server on the machine, at port 8000; the address of it on the Jupyter server."""
    backend = str(Path(__file__).with_name("backend.py"))
    command = ["nsenter", "--net", "--target", str(ws.pid()), sys.executable, backend, "8000"]
    with running(command, tmp_path_factory.mktemp("backend") / "log", {}):
        end = time.monotonic() + 20
        while subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://{ws.address()}:8000/"]).returncode:
            assert time.monotonic() < end
            time.sleep(0.1)
        yield f"{ws.url}/proxy/web:8000"


@pytest.fixture
def visitor(ws: Workspace) -> Iterator[httpx.Client]:
    """Somebody who is logged in by a cookie, as browsers are."""
    with httpx.Client(trust_env=False, timeout=20, cookies=ws.cookies()) as client:
        yield client


@pytest.mark.parametrize("kind", ["proxy", "proxy/absolute"])
@pytest.mark.parametrize("host", ["web", "web.shop", f"web.shop.{COURSE}"])
def test_a_page(site: str, ws: Workspace, visitor: httpx.Client, kind: str, host: str) -> None:
    answer = visitor.get(f"{ws.url}/{kind}/{host}:8000/a%20b?x=1&x=2")
    assert answer.status_code == 200
    prefix = f"{BASE}/proxy/absolute/{host}:8000" if "absolute" in kind else ""
    assert answer.json()["uri"] == f"{prefix}/a%20b?x=1&x=2"
    assert answer.headers["X-Own"] == "yes"


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_the_machine_sees_nothing_of_the_visitors(
    site: str, ws: Workspace, visitor: httpx.Client, accept: str
) -> None:
    cookies = dict(visitor.cookies.items())
    mine = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {**PRIVATE, "Cookie": f"{PRIVATE['Cookie']}; {mine}", "Accept": accept}
    del headers["Authorization"]
    for authorisation in ({}, {"Authorization": f"token {ws.token}"}):
        answer = visitor.get(f"{site}/?token={ws.token}&keep=1", headers={**headers, **authorisation})
        assert answer.status_code == 200
        assert "secret" not in answer.text
        assert "203.0.113.9" not in answer.text
        assert ws.token not in answer.text
        assert all(value not in answer.text for value in cookies.values())
        assert "session=mine" in answer.text
        assert f"{BASE}/proxy/web:8000" in answer.text  # X-Forwarded-Prefix
    if accept == "*/*":
        assert answer.json()["uri"] == "/?keep=1"


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_the_machine_speaks_for_its_own_pages_only(site: str, visitor: httpx.Client, accept: str) -> None:
    answer = visitor.get(f"{site}/", headers={"Accept": accept})
    ours = [c for c in answer.headers.get_list("Set-Cookie") if "evil" in c or "session=1" in c]
    if accept == "*/*":
        assert ours == [f"session=1; HttpOnly; Path={BASE}/proxy/web:8000/"]
    assert not any("evil" in cookie for cookie in ours)
    # whoever holds the token of this server is not known to be ada
    assert "sandbox allow-forms allow-modals" in answer.headers["Content-Security-Policy"]
    assert "Service-Worker-Allowed" not in answer.headers
    assert "Clear-Site-Data" not in answer.headers


def test_a_form_may_tell_which_of_the_machines_pages_it_is_on(site: str, visitor: httpx.Client) -> None:
    page = f"{site}/form"
    answer = visitor.get(f"{site}/", headers={"Referer": page})
    assert answer.json()["headers"]["Referer"] == page
    answer = visitor.post(f"{site}/form", data={"a": "b"})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{BASE}/proxy/web:8000/done")


async def test_websockets(site: str, ws: Workspace) -> None:
    url = f"{site.replace('http', 'ws')}/talk?token={ws.token}"
    headers = {**PRIVATE, "Authorization": f"token {ws.token}"}
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        seen = await socket.recv()
        assert "secret" not in seen
        assert ws.token not in seen
        assert json.loads(seen)["Cookie"] == "session=mine"
        for said in ("Grüße 🦙", b"\x00\xff" * 5000):
            await socket.send(said)
            assert await socket.recv() == said
    for other in ("web:8001", "hub:8081", "127.0.0.1:22"):
        url = f"{ws.url.replace('http', 'ws')}/proxy/{other}/"
        async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
            with pytest.raises(websockets.ConnectionClosedError, match="1013"):
                await socket.recv()


def test_who_is_not_logged_in_sees_nothing(site: str) -> None:
    answer = httpx.get(f"{site}/", trust_env=False)
    assert (answer.status_code, "login" in answer.headers["Location"]) == (302, True)


async def test_who_is_not_logged_in_hears_nothing(site: str) -> None:
    with pytest.raises(websockets.InvalidStatus, match="403"):
        await websockets.connect(f"{site.replace('http', 'ws')}/talk", proxy=None)


@pytest.mark.parametrize(
    "host",
    [
        "hub",
        "localhost",
        "127.0.0.1",
        "169.254.169.254",
        "10.213.0.1",
        "[::1]",
        "0",
        "web.evil.example",
        "WEB",
        "2130706433",
    ],
)
@pytest.mark.parametrize("kind", ["proxy", "proxy/absolute"])
def test_nothing_but_machines_is_reached(ws: Workspace, visitor: httpx.Client, kind: str, host: str) -> None:
    answer = visitor.get(f"{ws.url}/{kind}/{host}:80/", follow_redirects=True)
    assert answer.status_code in (403, 404)


def test_a_name_that_leads_out_is_not_followed(ws: Workspace, visitor: httpx.Client) -> None:
    answer = visitor.get(f"{ws.url}/proxy/meta:80/")  # its name leads to 169.254.169.254
    assert answer.status_code == 502
    assert "meta does not answer on port 80" in answer.text


def test_where_a_machine_may_be(ws: Workspace) -> None:
    address = ws.address()
    assert _resolve(address, "127.0.0.1") == address
    own = next(n for n in attached_networks() if address in map(str, n.hosts()))
    for elsewhere in ("127.0.0.1", "169.254.169.254", "192.0.2.1", str(own[1])):
        with pytest.raises(OSError, match="none of the student's networks"):
            _resolve(elsewhere, "127.0.0.1")
    with pytest.raises(OSError, match="none of the student's networks"):
        _resolve(address, str(own[1]))  # when that is the hub's own network


def test_nothing_listens(ws: Workspace, visitor: httpx.Client) -> None:
    answer = visitor.get(f"{ws.url}/proxy/web:8001/<script>")
    assert answer.status_code == 502
    assert "<h1>Nothing listens on port 8001 of web.</h1>" in answer.text
    assert "0.0.0.0" in answer.text


def test_a_machine_that_is_away_is_told_soon(site: str, ws: Workspace, visitor: httpx.Client) -> None:
    began = time.monotonic()
    ws.hosts.write_text(f"203.0.113.77 web.shop.{COURSE}\n")
    answer = visitor.get(f"{site}/")
    ws.address()
    assert answer.status_code == 502
    assert "web does not answer on port 8000" in answer.text
    assert time.monotonic() - began < 8
