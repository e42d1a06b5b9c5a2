"""People in browsers, on one real installation."""

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from installation import SOURCE, Installation
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect

SCREENSHOTS = SOURCE / "tests" / "screenshots"

expect.set_options(timeout=20_000)  # playwright's five seconds are few on a busy host


@pytest.fixture(scope="module")
def people(installation: Installation, browser: Browser) -> Iterator[Callable[[str], Page]]:
    """`people("ada")`: a page on which ada is logged in; one browser profile per person."""
    contexts: dict[str, BrowserContext] = {}
    pages: dict[str, Page] = {}

    def page_of(name: str) -> Page:
        if name not in pages:
            contexts[name] = browser.new_context(viewport={"width": 1400, "height": 900})
            contexts[name].grant_permissions(["clipboard-read", "clipboard-write"], origin=installation.url)
            pages[name] = log_in(contexts[name].new_page(), installation, name)
        return pages[name]

    yield page_of
    for context in contexts.values():
        context.close()


def log_in(page: Page, installation: Installation, name: str) -> Page:
    """Log in through the hub's own form and wait until JupyterLab is there."""
    page.goto(installation.url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(installation.passwords[name])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#jp-MainMenu")).to_be_visible(timeout=120_000)
    return page


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """`shot(page, "terminal")`: keep a screenshot for a person to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return lambda page, name: page.screenshot(path=SCREENSHOTS / f"{name}.png")


class TerminalLog:
    """What a page's terminals print and are sent, read from their websockets as the browser sees them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.text = ""
        self.sockets = 0
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        if "/terminals/websocket/" in socket.url:
            self.sockets += 1
            socket.on("framereceived", self._received)

    def _received(self, payload: str | bytes) -> None:
        kind, *rest = json.loads(payload)
        if kind == "stdout":
            self.text += rest[0]

    def wait_for(self, wanted: str, seconds: float = 30) -> str:
        """Wait until `wanted` (a regular expression) was printed; answers all that was, and forgets it."""
        deadline = time.monotonic() + seconds
        while not re.search(wanted, plain(self.text)):
            assert time.monotonic() < deadline, (
                f"{wanted!r} was never printed; there was: {plain(self.text)[-1500:]!r}"
            )
            self.page.wait_for_timeout(50)
        seen, self.text = plain(self.text), ""
        return seen

    def run(self, command: str, wanted: str, seconds: float = 30) -> str:
        """Type a command into the terminal that has the focus, and wait for what it prints."""
        self.text = ""
        self.page.keyboard.type(command)
        self.page.keyboard.press("Enter")
        return self.wait_for(wanted, seconds)


def plain(text: str) -> str:
    """Terminal output without its escape sequences."""
    return re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>])|\r", "", text)
