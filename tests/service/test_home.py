"""The home page: log in at the hub, see one's own, reset; and what a hostile page cannot do."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from classroom import PREFIX, Classroom
from openapi_spec_validator import validate


class Browser:
    """Follows redirects between hub and service as if a proxy put both on one host."""

    def __init__(self, school: Classroom) -> None:
        self.school = school
        self.http = httpx.Client(timeout=30)

    def request(self, method: str, path: str, **arguments: object) -> httpx.Response:
        for _ in range(10):
            base = self.school.service if path.startswith("/services") else self.school.hub
            reply = self.http.request(method, base + path, **arguments)  # type: ignore[arg-type]
            if not reply.is_redirect:
                return reply
            target = urlsplit(reply.headers["location"])
            path = target.path + (f"?{target.query}" if target.query else "")
            method, arguments = "GET", {}
        raise AssertionError(f"redirected for ever to {path}")

    def log_in(self, name: str) -> httpx.Response:
        """Open the home page and log in when the hub asks."""
        page = self.request("GET", f"{PREFIX}/")
        assert "/hub/login" in str(page.url)
        xsrf = self.http.cookies.get("_xsrf", path="/hub/")
        target = f"/hub/login?{urlsplit(str(page.url)).query}"
        return self.request("POST", target, data={"username": name, "password": "x", "_xsrf": xsrf})


@pytest.fixture(scope="module")
def browser(school: Classroom) -> Browser:
    school.release("first")
    browser = Browser(school)
    page = browser.log_in("ada")
    assert page.status_code == 200, page.text
    assert urlsplit(str(page.url)).path == f"{PREFIX}/"
    return browser


def test_a_person_sees_their_own(browser: Browser) -> None:
    page = browser.request("GET", f"{PREFIX}/").text
    assert "Log out ada" in page
    assert "A demonstration" in page
    assert "First steps" in page
    assert "Second steps" not in page
    assert "Another course" not in page


def test_the_page_is_locked_down(browser: Browser) -> None:
    headers = browser.request("GET", f"{PREFIX}/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_style_and_script_are_there_and_nothing_else(browser: Browser) -> None:
    page = browser.request("GET", f"{PREFIX}/").text
    for path in set(re.findall(r'(?:href|src)="(/services[^"]+)"', page)):
        assert browser.request("GET", path).status_code == 200, path
    for path in ("home.html", "..%2fapp.py", "x"):
        assert browser.request("GET", f"{PREFIX}/static/{path}").status_code == 404


def test_the_cookie_opens_the_api_only_together_with_the_pages_secret(browser: Browser) -> None:
    page = browser.request("GET", f"{PREFIX}/").text
    secret = re.search(r'data-secret="(\w+)"', page)
    assert secret
    me, stop = f"{PREFIX}/api/me", f"{PREFIX}/api/machines/ada/demo/pair/db/stop"
    assert browser.request("GET", me).status_code == 401
    assert browser.request("POST", stop).status_code == 401
    assert browser.request("POST", stop, headers={"X-XSRFToken": "0" * 64}).status_code == 401
    own = {"Origin": "http://127.0.0.1", "Referer": f"http://127.0.0.1{PREFIX}/"}
    assert browser.request("POST", stop, headers=own).status_code == 401
    assert browser.request("GET", me, headers={"X-XSRFToken": secret[1]}).json()["name"] == "ada"
    assert browser.request("POST", stop, headers={"X-XSRFToken": secret[1]}).status_code == 200


def test_a_script_or_a_frame_does_not_get_the_page(browser: Browser) -> None:
    for kind in ("empty", "iframe", "script"):
        reply = browser.http.get(f"{browser.school.service}{PREFIX}/", headers={"Sec-Fetch-Dest": kind})
        assert reply.is_redirect, kind
        assert "data-secret" not in reply.text


def test_a_login_that_another_browser_began_is_refused(school: Classroom, browser: Browser) -> None:
    stranger = Browser(school)
    begun = stranger.http.get(f"{school.service}{PREFIX}/")
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    for query in ("", f"?code=x&state={state}", "?code=x&state=", "?code=x"):
        fresh = httpx.get(f"{school.service}{PREFIX}/oauth_callback{query}")
        assert fresh.status_code == 403
        assert "Open" in fresh.json()["detail"]
    with_cookie = stranger.http.get(f"{school.service}{PREFIX}/oauth_callback?code=forged&state={state}")
    assert with_cookie.status_code == 403
    assert "machineroom" not in stranger.http.cookies


def test_who_logs_out_at_the_hub_is_out_here_too(school: Classroom) -> None:
    browser = Browser(school)
    assert "Log out ben" in browser.log_in("ben").text
    cookie = browser.http.cookies.get("machineroom")
    assert cookie
    browser.request("GET", "/hub/logout")
    with school.client(cookie) as client:
        # what cannot be undone asks the hub at once
        assert client.post("machines/ben/demo/pair/box/stop").status_code == 401


def test_the_api_describes_itself(school: Classroom) -> None:
    document = httpx.get(f"{school.service}{PREFIX}/api/openapi.json").json()
    validate(document)
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len(operations) > 15
    assert all(one["summary"] and one["tags"] for one in operations)
    for one in operations:
        for status, answer in one["responses"].items():
            if status >= "400":
                schema = answer["content"]["application/json"]["schema"]
                assert schema["$ref"].endswith("/Problem"), (one["summary"], status)


def test_metrics_are_for_those_who_may_read_them(school: Classroom) -> None:
    address = f"{school.service}{PREFIX}/metrics"

    def get(token: str) -> httpx.Response:
        return httpx.get(address, headers={"Authorization": f"token {token}"}, timeout=30)

    assert httpx.get(address).status_code == 401
    assert get(school.token("ina")).status_code == 403
    text = get(school.token("root")).text
    assert 'machineroom_machines{state="running"}' in text
    assert "machineroom_engine_up 1.0" in text
    assert 'machineroom_course_broken{course="broken"} 1.0' in text
    assert 'route="/me"' in text
    assert "ada" not in text


def test_every_line_of_the_log_is_json_without_tokens(school: Classroom) -> None:
    token = school.token("ada")
    httpx.get(f"{school.service}{PREFIX}/api/me?token={token}")
    httpx.get(f"{school.service}{PREFIX}/api/me", headers={"Authorization": f"token {token}"})
    lines = school.log("service").read_text().splitlines()
    assert all(line.startswith('{"time"') for line in lines if line), [x for x in lines if x[:1] != "{"]
    assert token not in "\n".join(lines)


def test_unknown_addresses_say_where_to_look(school: Classroom) -> None:
    reply = httpx.get(f"{school.service}{PREFIX}/api/nothing")
    assert reply.status_code == 404
    assert "openapi.json" in reply.json()["detail"]
    assert httpx.get(f"{school.service}{PREFIX}").headers["location"] == f"{PREFIX}/"


def test_a_broken_course_leaves_the_others_alone(school: Classroom) -> None:
    [other, broken] = sorted(school["tim"].get("me").json()["courses"], key=lambda c: "problem" in c)
    assert "course.yml:2" in broken["problem"]
    assert other["title"] == "Another course"
    mine = school["eve"].get("me").json()["courses"]
    assert {c["id"] for c in mine} == {"broken", "other"}
    assert "problem" not in str(mine)
    assert school["eve"].get("courses/other/assignments").status_code == 200
    assert school["eve"].get("courses/broken/assignments").status_code == 503
