"""What somebody without a login meets: every route, and the login itself."""

import re
import secrets

import httpx
import pytest

from .conftest import SERVICE, School

OPEN = {f"{SERVICE}/openapi.json", "/services/machineroom/oauth_callback"}


@pytest.fixture(scope="module")
def stranger(school: School) -> httpx.Client:
    return school.client()


def test_the_services_every_route(stranger: httpx.Client) -> None:
    described = stranger.get(f"{SERVICE}/openapi.json").json()["paths"]
    assert len(described) > 10, (
        "the description is open on purpose: it says what there is, and nothing of anybody"
    )
    for template, methods in described.items():
        path = re.sub(r"{[^}]+}", "ada", template)
        for method in methods:
            body = {"task": "x"} if path.endswith("/checks") else None
            answer = stranger.request(method, path, json=body)
            assert answer.status_code == 401, f"{method} {path}"


@pytest.mark.parametrize(
    "path", ["", "/", "/metrics", "/home", "/static/app.py", "/docs", "/redoc", "/api", "/api/me"]
)
def test_the_services_pages(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(f"/services/machineroom{path}")
    assert answer.status_code in (302, 308, 401, 404)
    if answer.status_code == 302:
        assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize")


def test_the_hubs_routes(stranger: httpx.Client) -> None:
    assert set(stranger.get("/hub/api/").json()) == {"version"}
    for path in (
        "users",
        "users/ada",
        "groups",
        "proxy",
        "services",
        "info",
        "user",
        "shares/ada",
        "users/ada/tokens",
    ):
        assert stranger.get(f"/hub/api/{path}").status_code in (401, 403, 404), path
    for path in ("users", "users/mallory", "users/ada/server", "users/ada/tokens", "shutdown"):
        assert stranger.post(f"/hub/api/{path}").status_code in (401, 403, 404, 405), path
    for path in ("home", "admin", "token", "spawn", "spawn/ada", "user/ada/", "metrics", "signup"):
        answer = stranger.get(f"/hub/{path}")
        assert answer.status_code in (403, 404) or "/hub/login" in answer.headers["Location"], path


SERVERS = [
    *(
        "",
        "lab",
        "tree",
        "api/status",
        "api/contents",
        "api/kernels",
        "api/sessions",
        "api/terminals",
        "api/me",
    ),
    *(
        "machineroom/machines",
        "proxy/box:80/",
        "proxy/8888/",
        "files/x",
        "nbconvert/html/x",
        "view/x",
        "metrics",
    ),
    *(
        "assignments",
        "formgrader",
        "lab/api/settings",
        "lab/api/workspaces",
        "terminals/websocket/1",
        "login",
    ),
]


@pytest.mark.parametrize("path", SERVERS)
def test_a_students_server(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(f"/user/ada/{path}")
    assert answer.status_code in (302, 400, 403, 404)
    if answer.status_code == 302:
        assert re.match(r"/hub/|/user/ada/(lab|login)", answer.headers["Location"])


def test_the_proxys_own_interface_is_not_public(school: School, stranger: httpx.Client) -> None:
    assert stranger.get("/api/routes").status_code in (302, 404)
    room = school.installation.room
    answer = httpx.get(f"http://127.0.0.1:{room.proxy_api_port}/api/routes", trust_env=False)
    assert answer.status_code == 403, "not even for somebody on the host, without the token"


def test_a_guesser_is_slowed_down(school: School) -> None:
    """Five guesses are free; then no password is looked at for a while."""
    with school.client() as guesser:
        guesser.get("/hub/login")
        form = {
            "username": f"nobody-{secrets.token_hex(4)}",
            "_xsrf": guesser.cookies.get("_xsrf", path="/hub/"),
        }
        answers = [guesser.post("/hub/login", data={**form, "password": f"guess-{i}"}) for i in range(9)]
    assert [a.status_code for a in answers[:5]] == [403] * 5
    assert answers[-1].status_code == 429
    assert "Wait" in answers[-1].text


def test_a_login_needs_the_page_that_it_came_from(school: School) -> None:
    """Or another site could log somebody in as the attacker."""
    with school.client() as browser:
        form = {"username": "ada", "password": school.installation.passwords["ada"]}
        assert browser.post("/hub/login", data=form).status_code == 403
        answer = browser.post("/hub/login", data={**form, "_xsrf": "made up"})
        assert answer.status_code == 403
        browser.get("/hub/login")
        form["_xsrf"] = str(browser.cookies.get("_xsrf", path="/hub/"))
        for site in ("same-site", "cross-site"):
            answer = browser.post("/hub/login", data=form, headers={"Sec-Fetch-Site": site})
            assert (answer.status_code, "another site" in answer.text) == (403, True)


def test_a_login_leads_nowhere_else(school: School) -> None:
    for there in ("https://evil.example/", "//evil.example/", "/\\evil.example", "http:evil.example"):
        with school.client() as browser:
            browser.get("/hub/login")
            form = {
                "username": "brook",
                "password": school.installation.passwords["brook"],
                "_xsrf": browser.cookies.get("_xsrf", path="/hub/"),
            }
            answer = browser.post("/hub/login", params={"next": there}, data=form)
            assert answer.status_code == 302
            assert re.match(r"/[\w%]", answer.headers["Location"]), there


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(school: School) -> None:
    with school.client() as browser:
        browser.get("/hub/login")
        form = {
            "username": "brook",
            "password": school.installation.passwords["brook"],
            "_xsrf": browser.cookies.get("_xsrf", path="/hub/"),
        }
        answer = browser.post("/hub/login", data=form)
    login = next(c for c in answer.headers.get_list("Set-Cookie") if c.startswith("jupyterhub-hub-login="))
    assert "httponly" in login.lower()
    assert "samesite=lax" in login.lower()
