"""A workshop in the browser: join by the code, the banner, what one takes home, and the end."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import docker
import httpx
import pytest
from installation import SOURCE, Installation
from local import until
from machineroom_hub import node
from machineroom_hub.hub_api import HubApi
from machineroom_spawners import names
from playwright.sync_api import Browser, BrowserContext, Page, expect

AXE = SOURCE / "extensions" / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
API = "/services/machineroom/api"
Shot = Callable[[Page, str], None]

CLUTTER = r"""
cd && mkdir -p work .hidden && echo '{"cells": []}' > work/mine.ipynb && echo secret > .hidden/x
ln -s /etc/passwd passwd && ln -s / everything && mkfifo pipe
echo x > 'a\..\..\evil.txt' && echo y > "$(printf 'a\nb<c>')" && truncate -s 3G holes
"""
"""What a guest may leave in a home."""


@pytest.fixture(scope="module")
def workshop(installation: Installation) -> Iterator[dict[str, Any]]:
    """A workshop of two seats, ready."""
    words = ("--course", "linux-intro", "--seats", "2", "--hours", "1", "--json")
    made = json.loads(installation.command("workshop", "create", *words).stdout)
    try:
        until(lambda: status(installation, made)["ready"] == 2, 480, "the seats are not made ready")
        yield made
    finally:
        installation.command("workshop", "end", made["workshop"], "--now", "--yes")
        until(lambda: not listed(installation, made), 300, "the workshop is not removed")


def status(installation: Installation, made: dict[str, Any]) -> dict[str, Any]:
    said = installation.command("workshop", "status", made["workshop"], "--json").stdout
    return dict(json.loads(said))


def listed(installation: Installation, made: dict[str, Any]) -> bool:
    said = json.loads(installation.command("workshop", "list", "--json").stdout)
    return made["workshop"] in {one["workshop"] for one in said}


@pytest.fixture(scope="module")
def guests(browser: Browser) -> Iterator[Callable[[str], BrowserContext]]:
    """`guests("Zoë")`: a browser of their own, the width of a phone, for each name."""
    made: dict[str, BrowserContext] = {}

    def one(name: str) -> BrowserContext:
        if name not in made:
            made[name] = browser.new_context(viewport={"width": 400, "height": 800})
        return made[name]

    yield one
    for context in made.values():
        context.close()


def join(context: BrowserContext, installation: Installation, code: str, name: str) -> Page:
    page = context.new_page()
    page.goto(f"{installation.url}/hub/join?code={code}")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Come in").click()
    return page


def violations(page: Page, within: str = "main, .container") -> list[str]:
    """What is wrong with a part of a page for people who use no mouse or see little."""
    if not AXE.exists():
        node.npm(["ci"], AXE.parents[2])
    page.evaluate(AXE.read_text())
    found = page.evaluate("place => axe.run(place, {resultTypes: ['violations']})", within)
    return [f"{one['id']}: {node['html']}" for one in found["violations"] for node in one["nodes"]]


def test_from_the_code_to_what_one_takes_home(
    installation: Installation,
    engine: docker.DockerClient,
    workshop: dict[str, Any],
    guests: Callable[[str], BrowserContext],
    shot: Shot,
) -> None:
    context = guests("Zoë")
    page = context.new_page()
    page.goto(workshop["poster"])
    expect(page.get_by_text(workshop["code"])).to_be_visible()
    assert violations(page) == []
    shot(page, "workshop-poster")
    page.goto(f"{installation.url}/hub/join")
    assert violations(page) == []

    page = join(context, installation, workshop["code"], "Zoë <b>Å</b>")
    expect(page.locator("#jp-MainMenu")).to_be_visible(timeout=120_000)
    banner = page.get_by_role("region", name="Workshop")
    expect(banner).to_contain_text("left", timeout=30_000)
    assert violations(page, "#machineroom-workshop") == []
    shot(page, "workshop-banner-phone")
    page.set_viewport_size({"width": 1300, "height": 800})
    expect(banner).to_contain_text("your files are kept until")
    shot(page, "workshop-banner")

    [mine] = [one for one in status(installation, workshop)["people"] if one["guest"]]
    seat, room = str(mine["seat"]), installation.room
    container = engine.containers.get(f"mr-{room.id}-w-{names.slug(seat)}")
    assert container.exec_run(["sh", "-ec", CLUTTER], user="jovyan").exit_code == 0
    token = HubApi(room).token(seat, "workshop test", 3600)
    with guest_api(installation, token) as api:
        reports = api.post("courses/linux-intro/checks", json={"assignment": "first-steps"}).json()
        observed = next(c["observed"] for r in reports for c in r["checks"] if c["observed"])

        # what a guest may not
        other = next(one["seat"] for one in status(installation, workshop)["people"] if one["seat"] != seat)
        assert api.get("workshop").json()["guest"] == "Zoë <b>Å</b>"
        assert api.get("machines", params={"owner": other, "course": "linux-intro"}).json() == []
        assert api.post(f"machines/{other}/linux-intro/box/box/reset").status_code == 403
        assert api.get("courses/another/assignments").status_code in (403, 404)
        assert api.get("courses/linux-intro/audit").status_code == 403
        hub = installation.url + "/hub/api"
        for method, path in (("POST", f"users/{other}/server"), ("GET", f"users/{other}"), ("GET", "users")):
            assert api.request(method, f"{hub}/{path}").status_code in (403, 404), path
        assert api.patch(f"{hub}/users/{seat}", json={"admin": True}).status_code in (403, 404)
        assert api.get(f"{installation.url}/user/{other}/api/contents").status_code in (403, 404)
    with httpx.Client() as stranger:
        assert stranger.get(f"{installation.url}{API}/workshop").status_code == 401
        for forged in ("", "x" * 48, "é" * 48, "0" * 5000):
            there = f"{installation.url}/services/machineroom/takehome"
            assert stranger.get(there, params={"token": forged}).status_code == 401
    with guest_api(installation, HubApi(room).token("ada", "workshop test", 3600)) as ada:
        assert ada.get("workshop").json() is None, "nobody's workshop is everybody's"

    with page.expect_download() as download:
        banner.get_by_role("link", name="Take home").click()
    home, archive = download.value, zipfile.ZipFile(download.value.path())
    assert home.suggested_filename == f"{workshop['workshop']}.zip"
    taken = {name.removeprefix(workshop["workshop"] + "/") for name in archive.namelist()}
    assert {"report.html", "files/work/mine.ipynb", "files/a_.._.._evil.txt", "files/a_b_c_"} <= taken
    assert not any("passwd" in name or "hidden" in name or "everything" in name for name in taken)
    report = archive.read(f"{workshop['workshop']}/report.html").decode()
    assert "Zoë &lt;b&gt;Å&lt;/b&gt;" in report
    assert "holes (3072 MB)" in report
    assert observed.partition("'")[0] in report
    assert "def test_" not in "".join(
        archive.read(name).decode(errors="replace") for name in archive.namelist()
    )

    # a second guest has the other seat; a third waits, and is let in when there is one more
    second = join(guests("Bo"), installation, workshop["code"], "Bo")
    expect(second.locator("#jp-MainMenu")).to_be_visible(timeout=120_000)
    third = join(guests("Cy"), installation, workshop["code"], "Cy")
    expect(third.get_by_role("status")).to_contain_text("You are next in line")
    assert violations(third) == []
    shot(third, "workshop-line")
    installation.command("workshop", "seats", workshop["workshop"], "3")
    expect(third.locator("#jp-MainMenu")).to_be_visible(timeout=180_000)

    # the end: servers are switched off; the way back still gives everything, to whoever has it
    back = page.evaluate("() => document.querySelector('#machineroom-workshop a').href")
    installation.command("workshop", "end", workshop["workshop"], "--yes")
    hub_api = HubApi(room)
    until(
        lambda: not hub_api.call("GET", f"/users/{seat}").json()["servers"],
        60,
        "the seat is not switched off",
    )
    later = guests("somewhere else").new_page()
    later.goto(back)
    expect(later.get_by_text("The workshop is over")).to_be_visible()
    assert violations(later) == []
    shot(later, "workshop-over")
    with later.expect_download() as again:
        later.get_by_role("link", name="Take home my files").click()
    content = zipfile.ZipFile(io.BytesIO(again.value.path().read_bytes()))
    assert f"{workshop['workshop']}/files/work/mine.ipynb" in content.namelist()
    with guest_api(installation, token) as api:
        until(lambda: api.get("workshop").status_code == 401, 120, "a token outlives the end of the workshop")


def test_a_rehearsal_solves_every_task_and_leaves_nothing(
    installation: Installation, engine: docker.DockerClient
) -> None:
    words = ("workshop", "rehearse", "--course", "linux-intro", "--seats", "2", "--json")
    played = json.loads(installation.command(*words).stdout)
    assert played["problems"] == []
    assert played["tasks"] >= 3
    assert (
        played["solved"]
        == 2 * played["tasks"]
        == len([t for part in played["parts"] for t in part["checks"]])
    )
    assert set(played["ready"]) == set(played["joined"]) == {"p50", "p95"}
    assert played["room_for"] > 0
    seats = [part["seat"] for part in played["parts"]]
    assert len(set(seats)) == 2
    known = {one["name"] for one in json.loads(installation.command("accounts", "list", "--json").stdout)}
    assert not known & set(seats)
    for seat in seats:
        owned = {"label": f"machineroom.owner={seat}"}
        assert engine.containers.list(all=True, filters=owned) == []
        assert engine.volumes.list(filters=owned) == engine.networks.list(filters=owned) == []
    refused = installation.command("workshop", "rehearse", "--course", "nope", "--seats", "2", check=False)
    assert refused.returncode == 1
    assert "there is no course 'nope'" in refused.stderr


def guest_api(installation: Installation, token: str) -> httpx.Client:
    headers = {"Authorization": f"token {token}"}
    return httpx.Client(base_url=installation.url + API + "/", headers=headers, timeout=120, trust_env=False)
