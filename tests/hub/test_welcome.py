"""The page behind a login link, on a real hub."""

import re

import httpx
import pytest
from machineroom_hub import accounts, links

from .conftest import Hub


@pytest.fixture
def link(hub: Hub) -> str:
    """A fresh link for somebody without a password."""
    accounts.add(hub.room, "nina", display_name="Nina <New>")
    with accounts.transaction(hub.room) as session:
        account = session.get(accounts.Account, "nina")
        assert account is not None
        account.password_hash = ""
    return links.make(hub.room, ["nina"])["nina"]


def choose(client: httpx.Client, link: str, password: str, again: str | None = None) -> httpx.Response:
    page = client.get(link)
    form = dict(re.findall(r'name="(_xsrf|token)" value="([^"]+)"', page.text))
    return client.post("/hub/welcome", data={**form, "password": password, "again": again or password})


def test_a_link_lets_one_in_once(hub: Hub, link: str) -> None:
    client = hub.browser()
    page = client.get(link)
    assert page.status_code == 200, hub.log.read_text()[-3000:]
    assert "Welcome, Nina &lt;New&gt;" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    for _ in range(3):  # mail programs and chats open links to show what is behind them
        assert hub.browser().get(link).status_code == 200

    assert "two different passwords" in choose(client, link, "long enough 1", "long enough 2").text
    refused = choose(client, link, "short")
    assert refused.status_code == 400
    assert "10 to 1000 characters" in refused.text
    entered = choose(client, link, "long enough 1")
    assert entered.status_code == 302
    assert "nina" in client.get("/hub/home").text
    assert hub.login("nina", "long enough 1").status_code == 302

    spent = hub.browser().get(link)
    assert spent.status_code == 410
    assert "used already" in spent.text
    assert link.partition("token=")[2] not in hub.log.read_text()


def test_what_a_stranger_may_try(hub: Hub, link: str) -> None:
    assert hub.browser().get("/hub/welcome").status_code == 410
    assert hub.browser().get("/hub/welcome?token=" + "a" * 5000).status_code == 410
    token = link.partition("token=")[2]
    form = {"token": token, "password": "long enough 1", "again": "long enough 1"}
    assert hub.browser().post("/hub/welcome", data=form).status_code == 403, "no form of another site"
    assert links.owner(hub.room, token) is not None
