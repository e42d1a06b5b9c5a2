"""What a logged-in student can do to others: over HTTP, with every token of hers, and in her workspace."""

import http.client
import secrets
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from .conftest import COURSE, LAB, MACHINE, SERVICE, School, addresses, run

UNRELEASED = "services-and-logs"
BROOKS_BOX = f"machines/brook/{COURSE}/{LAB}/{MACHINE}"


@pytest.fixture(scope="module")
def ada(school: School) -> httpx.Client:
    """Ada, with a token for all that she may do."""
    return school.client(school.tokens["ada"])


@pytest.fixture(scope="module")
def workspace_token(school: School) -> str:
    """The token in ada's workspace, which every notebook and every package there can read."""
    status, token = run(school.workspace("ada"), 'printf %s "$JUPYTERHUB_API_TOKEN"', "jovyan")
    assert status == 0
    assert len(token) > 20
    return token


HUB = [
    *("GET users", "GET users/brook", "DELETE users/brook", "PATCH users/ada", "POST users/mallory"),
    *("POST users/brook/server", "DELETE users/brook/server", "GET users/brook/server/progress"),
    *("GET users/brook/tokens", "POST users/brook/tokens", "POST users/brook/activity"),
    *("GET groups", "POST groups/mallory", f"POST groups/teach-{COURSE}/users"),
    *(f"GET groups/formgrade-{COURSE}", f"POST groups/formgrade-{COURSE}/users"),
    *("GET services/machineroom", "GET services/operator", "GET proxy", "PATCH proxy", "POST proxy"),
    *("GET info", "POST shutdown", "GET shares/brook/", "POST shares/brook/"),
]


@pytest.mark.parametrize("call", HUB)
@pytest.mark.parametrize("which", ["own", "workspace"])
def test_the_hub_gives_nothing_of_others(
    school: School, ada: httpx.Client, workspace_token: str, call: str, which: str
) -> None:
    method, path = call.split()
    body = {"name": "ada", "admin": True, "users": ["ada"], "last_activity": "2030-01-01T00:00:00Z"}
    client = ada if which == "own" else school.client(workspace_token)
    answer = client.request(method, f"/hub/api/{path}", json=body if method in ("POST", "PATCH") else None)
    assert answer.status_code in (403, 404), answer.text
    assert "last_activity" not in answer.text


def test_no_token_with_more_than_ones_own(ada: httpx.Client) -> None:
    wanted = [
        *("admin:users", "read:metrics", "access:servers", f"custom:machineroom:teach:{COURSE}"),
        *(f"custom:machineroom:assist:{COURSE}", "custom:machineroom:operate", "access:servers!user=brook"),
    ]
    for scope in wanted:
        answer = ada.post("/hub/api/users/ada/tokens", json={"scopes": [scope]})
        assert answer.status_code in (400, 403), scope
    assert ada.post("/hub/api/users/ada/tokens", json={"roles": ["admin"]}).status_code in (400, 403)


def test_the_workspaces_token_is_for_little(school: School, workspace_token: str) -> None:
    with school.client(workspace_token) as client:
        scopes = client.get("/hub/api/user").json()["scopes"]
        assert not any("operate" in s or "admin" in s or s.startswith(("tokens", "servers")) for s in scopes)
        assert client.post("/hub/api/users/ada/tokens").status_code == 403
        assert client.delete("/hub/api/users/ada/server").status_code == 403


@pytest.mark.parametrize(
    "path", ["", "lab", "api/contents", "api/terminals", "machineroom/machines", "proxy/box:22/", "files/x"]
)
def test_another_ones_server(ada: httpx.Client, path: str) -> None:
    answer = ada.get(f"/user/brook/{path}")
    assert answer.status_code in (302, 403)
    assert "contents" not in answer.text
    if answer.status_code == 302:
        assert answer.headers["Location"].startswith(("/hub/", "/user/brook/lab"))
    assert ada.get("/user/ada/api/contents").status_code == 200


CALLS = {
    f"GET machines?course={COURSE}": None,
    **{f"POST {BROOKS_BOX}/{action}": None for action in ("ensure", "reset", "suspend", "resume", "stop")},
    f"POST machines/ada/{COURSE}/../brook/{LAB}/{MACHINE}/reset": None,
    f"GET courses/{COURSE}/assignments/first-steps/submissions?student=brook": None,
    f"GET courses/{COURSE}/assignments/{UNRELEASED}/release": None,
    f"PUT courses/{COURSE}/assignments/first-steps/release": None,
    f"DELETE courses/{COURSE}/assignments/first-steps/release": None,
    f"POST courses/{COURSE}/checks": {"assignment": UNRELEASED},
    f"GET courses/{COURSE}/audit": None,
    f"POST courses/{COURSE}/score": {"assignment": "first-steps", "task": "sort-the-inbox", "student": "ada"},
    "GET courses/other-course/assignments": None,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", ["own", "workspace"])
def test_the_service_gives_nothing_of_others(
    school: School, workspace_token: str, call: str, which: str
) -> None:
    method, path = call.split()
    client = school.client(school.tokens["ada"] if which == "own" else workspace_token)
    answer = client.request(method, f"{SERVICE}/{path}", json=CALLS[call])
    assert answer.status_code in (403, 404), answer.text
    assert client.get(f"{SERVICE}/machines?owner=brook").json() == []
    assert client.get("/services/machineroom/metrics").status_code == 403


def test_unreleased_assignments_are_not_even_named(ada: httpx.Client) -> None:
    assert UNRELEASED not in ada.get(f"{SERVICE}/courses/{COURSE}/assignments").text
    tasks = ada.get(f"{SERVICE}/courses/{COURSE}/tasks").json()
    named = {task["assignment"] for task in tasks}
    assert "first-steps" in named
    assert UNRELEASED not in named


def test_a_verdict_has_no_evidence_and_no_code_of_checks(ada: httpx.Client) -> None:
    answer = ada.post(f"{SERVICE}/courses/{COURSE}/checks", json={"assignment": "first-steps"})
    assert answer.status_code == 200, answer.text
    assert answer.json()
    for shown in ("evidence", "assert ", "def test_", "machine.file(", "conftest"):
        assert shown not in answer.text


def test_no_console_on_another_ones_machine(school: School) -> None:
    at = f"{school.url.replace('http', 'ws')}{SERVICE}"
    for token, owner in (("ada", "brook"), ("", "ada"), ("forged", "ada")):
        header = {"Authorization": f"token {school.tokens.get(token, token)}"} if token else {}
        with pytest.raises(websockets.InvalidStatus, match=r"401|403"):
            connect(
                f"{at}/machines/{owner}/{COURSE}/{LAB}/{MACHINE}/console",
                additional_headers=header,
                proxy=None,
            )


def test_no_terminal_without_token_or_from_another_site(school: School, ada: httpx.Client) -> None:
    name = ada.post("/user/ada/api/terminals", json={"machine": "workspace"}).json()["name"]
    at = f"{school.url.replace('http', 'ws')}/user/ada/terminals/websocket/{name}"
    browser = httpx.Client(base_url=school.url, follow_redirects=True, trust_env=False, timeout=20)
    log_in(browser, "ada", school.installation.passwords["ada"])
    browser.get("/user/ada/lab")
    cookies = "; ".join(f"{c.name}={c.value}" for c in browser.cookies.jar if c.path in ("/", "/user/ada/"))
    assert "jupyterhub-user-ada" in cookies
    refused = [
        {},
        {"Authorization": f"token {school.tokens['brook']}"},
        {"Cookie": cookies, "Origin": "http://evil.example"},
        {"Cookie": cookies, "Origin": "null"},
    ]
    for headers in refused:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            connect(at, additional_headers=headers, proxy=None)
    with connect(at, additional_headers={"Cookie": cookies, "Origin": school.url}, proxy=None) as socket:
        assert "setup" in str(socket.recv(10))
    assert ada.delete(f"/user/ada/api/terminals/{name}").status_code == 204


def log_in(browser: httpx.Client, name: str, password: str) -> httpx.Response:
    """Through the hub's form, as a browser does."""
    browser.get("/hub/login")
    xsrf = browser.cookies.get("_xsrf", path="/hub/")
    form = {"username": name, "password": password, "_xsrf": xsrf}
    return browser.post("/hub/login?next=/hub/token", data=form)


def test_forged_and_stale_tokens(school: School) -> None:
    made = school.hub.call("POST", "/users/ada/tokens", json={"expires_in": 600}).json()
    true = school.tokens["ada"]
    with school.client(made["token"]) as client:
        assert client.get("/hub/api/user").json()["name"] == "ada"
    school.hub.call("DELETE", f"/users/ada/tokens/{made['id']}")
    forged = [
        secrets.token_hex(16),
        true[:-1],
        true + "0",
        true.upper() + "x",
        "null",
        "undefined",
        "*",
        "ada",
    ]
    for token in (*forged, made["token"]):
        with school.client(token) as client:
            assert client.get("/hub/api/user").status_code == 403, token
            assert client.get(f"{SERVICE}/me").status_code == 401, token
            assert client.get("/user/ada/api/contents").status_code == 403, token


PATHS = [
    "/user/ada/../brook/api/contents",
    "/user/ada/%2e%2e/brook/api/contents",
    "/user/ada%2f..%2fbrook/api/contents",
    "//user/brook/api/contents",
    "/user/ada/..;/brook/api/contents",
    "/hub/../user/brook/api/contents",
    "/hub/user/brook/api/contents",
    "/user/Brook/api/contents",
    "/user/brook%00/api/contents",
    "/user/ada/files/..%2f..%2f..%2fetc/machineroom/ssh/id_ed25519",
    "/user/ada/files/%2e%2e/%2e%2e/etc/shadow",
    "/user/ada/api/contents/..%2f..%2fetc%2fmachineroom",
    "/user/ada/static/..%2f..%2f..%2f..%2fetc/shadow",
    f"{SERVICE}/../metrics",
    f"{SERVICE}/courses/..%2f..%2fsecret/assignments",
    f"{SERVICE}/courses/{COURSE}/assignments/..%2f..%2faccounts.json/release",
    f"{SERVICE}/submissions/..%2f..%2fsecret",
    "/services/machineroom/static/..%2fapp.py",
    "/services/machineroom/static/%2e%2e/app.py",
    "/hub/static/..%2f..%2fjupyterhub_config.py",
]


@pytest.mark.parametrize("path", PATHS)
def test_tricks_with_paths(school: School, path: str) -> None:
    answer = school.raw(path, Authorization=f"token {school.tokens['ada']}")
    assert answer.status in (302, 400, 401, 403, 404), path
    if answer.status == 302:
        assert "/hub/" in (answer.getheader("Location") or "")


@pytest.mark.parametrize(
    "header",
    [
        *(
            "X-Forwarded-For: 127.0.0.1",
            "X-Real-IP: 127.0.0.1",
            "X-Forwarded-User: brook",
            "REMOTE_USER: brook",
        ),
        *(
            "X-Forwarded-Host: localhost",
            "Host: localhost",
            "Host: brook.localhost",
            "X-Original-URL: /hub/home",
        ),
        *("X-HTTP-Method-Override: DELETE", "X-Forwarded-Proto: https", "Cookie: jupyterhub-hub-login=brook"),
    ],
)
def test_tricks_with_headers(school: School, header: str) -> None:
    name, value = header.split(": ")
    token = {"Authorization": f"token {school.tokens['ada']}"}
    for path in ("/user/brook/api/contents", "/hub/api/users/brook", f"{SERVICE}/courses/{COURSE}/audit"):
        assert school.raw(path, **token, **{name: value}).status in (302, 403, 404), path
        assert school.raw(path, **{name: value}).status in (302, 401, 403, 404), path


def test_requests_are_not_smuggled(school: School) -> None:
    """Two lengths, or a length and chunks: proxy and servers must not see two different requests."""
    for wrong in (
        "Content-Length: 4\r\nContent-Length: 0",
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(school.url).port, timeout=20)
        connection.connect()
        connection.sock.sendall(f"POST {SERVICE}/me HTTP/1.1\r\nHost: x\r\n{wrong}\r\n\r\n0\r\n\r\n".encode())
        assert b" 400 " in connection.sock.recv(1000).splitlines()[0]
        connection.close()


def test_the_workspaces_proxy_leads_to_machines_only(school: School, ada: httpx.Client) -> None:
    room = school.installation.room
    targets = [
        *(f"{school.gateway}:{port}" for port in (room.hub_port, room.service_port, 22)),
        *(f"{address}:8888" for address in addresses(school.workspace("brook")).values()),
        *(f"{address}:22" for address in addresses(school.machine("brook")).values()),
        *("169.254.169.254:80", "brook:22", "example.org:80", "0:22", "localhost:22", "127.0.0.1:8888"),
    ]
    for target in targets:
        for kind in ("proxy", "proxy/absolute"):
            answer = ada.get(f"/user/ada/{kind}/{target}/")
            assert answer.status_code in (403, 404), target


DIAL = "timeout 1.5 bash -c '</dev/tcp/%s/%s' 2>&1"


def test_what_a_workspace_reaches(school: School) -> None:
    """Hub and service; neither the rest of the host nor other workspaces and machines."""
    own, room = school.workspace("ada"), school.installation.room
    for port in (room.hub_port, room.service_port):
        assert run(own, DIAL % (school.gateway, port), "jovyan")[0] == 0
    closed = [(school.gateway, port) for port in (22, 2375, room.port, room.proxy_api_port)]
    closed += [(a, 8888) for a in addresses(school.workspace("brook")).values()]
    closed += [(a, 22) for a in addresses(school.machine("brook")).values()] + [("169.254.169.254", 80)]
    dials = " ".join(f"({DIAL % target} && echo open {target[0]} {target[1]}) &" for target in closed)
    assert run(own, f"{dials} wait", "jovyan") == (0, "")


def test_nothing_of_the_host_lies_in_a_workspace(school: School) -> None:
    own, room = school.workspace("ada"), school.installation.room
    mounts = {mount["Destination"] for mount in own.attrs["Mounts"]}
    assert mounts == {"/home/jovyan"}
    assert run(own, "find / -xdev -name '*.sock' -path '*docker*' 2>/dev/null | grep .", "jovyan")[0] == 1
    known = [room.secret.hex(), *(room.token(name) for name in ("proxy", "service", "operator", "workshops"))]
    said = run(
        own, "env; cat /etc/machineroom/*.json /proc/*/environ 2>/dev/null | tr '\\0' '\\n'", "jovyan"
    )[1]
    assert not any(secret in said for secret in known)
    checks = "grep -rl pytest.mark.task /home/jovyan /etc/machineroom /opt/machineroom/share /srv 2>/dev/null"
    assert run(own, checks, "jovyan")[1] == ""


def test_no_way_to_more_rights(school: School) -> None:
    own = school.workspace("ada")
    status = run(own, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status", "jovyan")[1].split()
    assert dict(zip(status[::2], status[1::2], strict=True)) == {
        **{f"Cap{kind}:": "0" * 16 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
        "NoNewPrivs:": "1",
    }
    for attempt in (
        *("su -c id </dev/null", "mount -t tmpfs none /mnt", "unshare --user --map-root-user true"),
        *(
            "touch /opt/machineroom/bin/x",
            "touch /etc/machineroom/workspace.json",
            "cat /etc/shadow",
            "ping -c1 127.1",
        ),
        "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    ):
        assert run(own, attempt, "jovyan")[0] != 0, attempt


def test_a_ta_is_no_instructor_and_no_operator(school: School) -> None:
    with school.client(school.tokens["tariq"]) as tariq:
        assert tariq.get(f"{SERVICE}/machines?course={COURSE}").status_code == 200
        assert tariq.get(f"{SERVICE}/courses/{COURSE}/audit").status_code == 403
        for path in ("/user/ada/api/contents", "/hub/api/users", "/services/machineroom/metrics"):
            assert tariq.get(path).status_code == 403, path
        assert tariq.post("/hub/api/users/ada/tokens").status_code in (403, 404)
    with school.client(school.tokens["ines"]) as ines:
        assert ines.get("/user/ada/api/contents").status_code == 403
        assert ines.get("/services/machineroom/metrics").status_code == 403
