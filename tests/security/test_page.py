"""What a web page on a machine gets to know, and can do, about whoever looks at it: in a real browser."""

import json
import secrets
from collections.abc import Iterator

import pytest
from machineroom_hub import accounts
from playwright.sync_api import Browser, Page

from .conftest import School, run

PORT = 8090
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("/root/seen", "a") as seen:
            print(json.dumps([self.path, dict(self.headers)]), file=seen)
        style = self.path.endswith("style.css")
        page = b'<link rel="stylesheet" href="style.css"><h1>Hello</h1>'
        body = b"h1 { color: rgb(1, 2, 3) }" if style else page
        self.send_response(200)
        self.send_header("Content-Type", "text/css" if style else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "mine=1")
        self.send_header("Set-Cookie", "jupyterhub-user-ada=stolen; Path=/user/ada/")
        self.end_headers()
        self.wfile.write(body)
open("/root/server.pid", "w").write(str(os.getpid()))
http.server.ThreadingHTTPServer(("", %d), Handler).serve_forever()
"""
TRY = """async path => {
    try { return await (await fetch(path, {credentials: "include"})).text() }
    catch (error) { return String(error) }
}"""


@pytest.fixture(scope="module")
def page_of_ada(school: School) -> Iterator[str]:
    """The address of a page on ada's machine, which writes down all that it is told."""
    machine = school.machine("ada")
    machine.exec_run(["python3", "-c", SERVER % PORT], detach=True)
    status, said = run(
        machine, f"curl -s --retry 30 --retry-connrefused --retry-delay 1 -o /dev/null localhost:{PORT}"
    )
    assert status == 0, said
    yield f"{school.url}/user/ada/proxy/box:{PORT}/"
    run(machine, "kill $(cat /root/server.pid); rm /root/server.pid /root/seen")


@pytest.fixture(scope="module")
def ada(school: School, browser: Browser) -> Iterator[Page]:
    """Ada's browser: logged in at the hub, and nowhere else yet."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{school.url}/hub/login?next=/hub/token")
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill(school.installation.passwords["ada"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/hub/token")
        yield page


def seen(school: School) -> str:
    """Everything that the server on ada's machine was told."""
    return run(school.machine("ada"), "cat /root/seen")[1]


def test_the_page_works_as_the_first_thing_that_is_opened(ada: Page, page_of_ada: str) -> None:
    ada.goto(page_of_ada)
    assert ada.locator("h1").inner_text() == "Hello"
    assert ada.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"


def test_the_machine_is_told_nothing_of_the_visitors(school: School, ada: Page, page_of_ada: str) -> None:
    ada.goto(page_of_ada + "again?keep=1&token=" + school.tokens["ada"])
    with school.client(
        school.tokens["ada"], **{"X-XSRFToken": "s3cret", "Proxy-Authorization": "s3cret"}
    ) as client:
        assert client.get(page_of_ada).status_code == 200
    cookies = {c["name"]: c["value"] for c in ada.context.cookies()}
    assert {"_xsrf", "jupyterhub-user-ada", "jupyterhub-session-id", "jupyterhub-hub-login"} <= set(cookies)
    assert cookies["jupyterhub-user-ada"] != "stolen"
    told = seen(school)
    assert "keep=1" in told
    assert "mine=1" in told, "its own cookie comes back"
    for secret in (school.tokens["ada"], "s3cret", *(v for n, v in cookies.items() if n != "mine")):
        assert secret not in told
    headers = {name.lower() for line in told.splitlines() for name in json.loads(line)[1]}
    assert not headers & {"authorization", "proxy-authorization", "x-xsrftoken", "x-forwarded-for"}


def test_the_owner_sees_the_page_whole_and_others_in_a_sandbox(
    school: School, browser: Browser, ada: Page, page_of_ada: str
) -> None:
    """For an operator, whose scripts could do anything to the hub, the page has no origin."""
    room = school.installation.room
    answer = ada.goto(page_of_ada)
    assert answer
    assert "sandbox" not in answer.headers.get("content-security-policy", "")
    accounts.add(room, "olga", password=secrets.token_hex(8), operator=True)
    accounts.set_active(room, "olga", True)
    try:
        token = school.hub.token("olga", "security tests", 600)
        context = browser.new_context(extra_http_headers={"Authorization": f"token {token}"})
        with context:
            page = context.new_page()
            page.goto(page_of_ada)
            assert page.locator("h1").inner_text() == "Hello"
            assert page.evaluate("self.origin") == "null"
            for path in ("/user/ada/api/contents", "/hub/api/users", "/hub/home"):
                assert "Failed to fetch" in page.evaluate(TRY, path)
    finally:
        accounts.set_active(room, "olga", False)
