"""A workshop on a real hub: seats made ready ahead, joined with a code, shut and removed at the end."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta

import docker
import httpx
import pytest
from local import until
from machineroom_hub import accounts
from machineroom_hub.service.models import now
from machineroom_hub.workshops import capacity, codes, desk, plan
from machineroom_hub.workshops.keeper import Keeper
from machineroom_hub.workshops.models import Guest, Phase, Workshop
from machineroom_spawners import names
from machineroom_spawners.drivers.docker import DockerDriver

from .conftest import Hub


def made(hub: Hub, seats: int, starts_in: float = -1.0, minutes: float = 60.0) -> Workshop:
    begins = now() + timedelta(seconds=starts_in)
    ends = begins + timedelta(minutes=minutes)
    return plan.create(hub.room, "linux", seats, begins, ends, ends + timedelta(days=1))


def look(hub: Hub, times: int = 1) -> None:
    """What the service does every few seconds."""

    async def looks() -> None:
        keeper = Keeper(hub.room, f"{hub.url}/hub/api", lambda: DockerDriver(room_id=hub.room.id))
        for _ in range(times):
            await keeper.look()
        await keeper.close()

    asyncio.run(looks())


def join(
    client: httpx.Client, code: str, name: str = "Zoë", headers: dict[str, str] | None = None
) -> httpx.Response:
    """Fill in the form as a browser does."""
    page = client.get("/hub/join", params={"code": code})
    assert page.status_code == 200
    [token] = re.findall(r'name="_xsrf" value="([^"]+)"', page.text)[:1]
    form = {"_xsrf": token, "name": name, "code": code}
    return client.post("/hub/join", data=form, headers=headers or {})


def enter(client: httpx.Client, token: str = "") -> httpx.Response:
    client.get("/hub/join/back", params={"token": token} if token else {})
    form = {"_xsrf": client.cookies.get("_xsrf", path="/hub/"), **({"token": token} if token else {})}
    return client.post("/hub/join/enter", data=form)


def guest_at(hub: Hub, client: httpx.Client) -> Guest:
    """The guest whom this browser is."""
    id = codes.guest_of(hub.room, str(client.cookies["machineroom-seat"]))
    assert id is not None
    with accounts.transaction(hub.room) as session:
        return session.get_one(Guest, id)


@pytest.fixture
def end(hub: Hub) -> Iterator[None]:
    """Every workshop that a test makes is ended, and all of it is removed."""
    yield
    for workshop in plan.listing(hub.room):
        plan.end(hub.room, workshop.id, timedelta())
    look(hub)
    assert plan.listing(hub.room) == []


@pytest.mark.usefixtures("end")
def test_from_the_code_to_the_machine_and_to_nothing(hub: Hub, engine: docker.DockerClient) -> None:
    """The whole life of a workshop of two seats; one of them breaks before anybody has it."""
    workshop = made(hub, 2)

    def all_ready() -> bool:
        look(hub)
        return all(seat.ready for seat in plan.people(hub.room, workshop.id)[0])

    until(all_ready, 180, "the seats are not made ready")
    first, second = (seat.name for seat in plan.people(hub.room, workshop.id)[0])
    machine = engine.containers.get(names.machine(hub.room.id, first, "linux", "single", "box"))
    assert machine.status == "running"
    engine.containers.get(f"mr-{hub.room.id}-w-{names.slug(first)}").kill()

    # the desk sees at once what the keeper has not seen yet: the guest gets the other seat
    code = codes.code(hub.room, workshop.id)
    zoe = hub.browser()
    answer = join(zoe, f" {code.lower().replace('-', ' ')}", "  Zoë <b>Å\u202e</b> ")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/hub/spawn"), answer.text
    assert guest_at(hub, zoe).seat == second
    there = zoe.get("/hub/spawn")
    assert there.headers["Location"] == f"/user/{second}/"
    account = accounts.get(hub.room, second)
    assert account is not None
    assert account.display_name == "Zoë <b>Å</b>"
    assert zoe.get("/hub/home").status_code == 200
    assert zoe.get("/hub/admin").status_code == 403
    assert zoe.get(f"/hub/spawn/{first}").status_code in (403, 404)
    assert not any(
        s.startswith(("custom:machineroom:assist", "admin")) for s in hub.scopes(hub.token(second))
    )

    # the broken one is gone, another is made
    assert [s.number for s in plan.people(hub.room, workshop.id)[0] if not s.retired] == [2, 3]
    look(hub)
    assert hub.operator.get(f"/users/{first}").status_code == 404
    assert accounts.get(hub.room, first) is None
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(f"mr-{hub.room.id}-home-{names.slug(first)}")

    # another browser, with the way back; a way back that was made up
    token = str(zoe.cookies["machineroom-seat"])
    phone = hub.browser()
    assert enter(phone, token).headers["Location"] == "/hub/spawn"
    assert second in phone.get("/hub/home").text
    for forged in (token[:-1] + ("0" if token[-1] != "0" else "1"), token[:16], "", "é" * 48, "a" * 5000):
        assert hub.browser().get("/hub/join/back", params={"token": forged}).status_code == 410

    # the end: shut at once, kept for a while, then nothing is left
    plan.end(hub.room, workshop.id, timedelta(days=1))
    look(hub, 2)
    assert hub.model(second)["servers"] == {}
    assert (
        engine.containers.get(names.machine(hub.room.id, second, "linux", "single", "box")).status == "exited"
    )
    over = hub.browser().get("/hub/join/back", params={"token": token})
    assert "The workshop is over" in over.text
    assert "Zoë &lt;b&gt;" in over.text
    assert enter(hub.browser(), token).headers["Location"].startswith("/hub/join/back")
    assert "over" in join(hub.browser(), code).text

    plan.end(hub.room, workshop.id, timedelta())
    look(hub)
    assert plan.get(hub.room, workshop.id).phase is Phase.REMOVED
    assert not [a for a in accounts.listing(hub.room) if a.name.startswith(workshop.id)]
    assert hub.operator.get(f"/users/{second}").status_code == 404
    owned = {"label": f"machineroom.owner={second}"}
    assert engine.containers.list(all=True, filters=owned) == []
    assert engine.volumes.list(filters=owned) == engine.networks.list(filters=owned) == []
    assert hub.browser().get("/hub/join/back", params={"token": token}).status_code == 410
    with accounts.transaction(hub.room) as session:
        assert session.query(Guest).where(Guest.workshop == workshop.id).count() == 0, "nobody's name is kept"
    assert made(hub, 1).id != workshop.id, "no name is used again"


@pytest.mark.usefixtures("end")
def test_who_is_early_or_too_many_waits_in_line(hub: Hub) -> None:
    """No server is started here: what counts is who may go to which seat."""
    workshop = made(hub, 1, starts_in=3600)
    code = codes.code(hub.room, workshop.id)
    first, second, third = (hub.browser() for _ in range(3))
    for browser in (first, second, third):
        assert join(browser, code).headers["Location"] == "/hub/join"
        assert "you are early" in browser.get("/hub/join").text
        assert browser.get("/hub/join/line").json()["go"] is False
    assert "Your seat" in first.get("/hub/join/line").json()["words"]
    assert "number 1 of those who wait" in second.get("/hub/join/line").json()["words"]
    assert join(first, code, "Again").headers["Location"] == "/hub/join", "the same browser keeps its place"
    assert len(plan.people(hub.room, workshop.id)[1]) == 3

    with accounts.transaction(hub.room) as session:
        session.get_one(Workshop, workshop.id).starts = now()
    assert second.get("/hub/join/line").json()["go"] is False
    assert desk.claim(hub.room, guest_at(hub, second).id) is None, "not before who came first"
    assert first.get("/hub/join/line").json()["go"] is True
    assert desk.claim(hub.room, guest_at(hub, first).id) == f"{workshop.id}-01"
    said = second.get("/hub/join/line").json()
    assert "You are next in line" in said["words"]
    assert "nobody can say when" in said["words"]
    assert "number 2 in line" in third.get("/hub/join/line").json()["words"]
    late = hub.browser()
    assert join(late, code).headers["Location"] == "/hub/join", "too many is no error"

    plan.resize(hub.room, workshop.id, 2)
    assert third.get("/hub/join/line").json()["go"] is False
    assert second.get("/hub/join/line").json()["go"] is True
    # who shuts the page loses the place to who still waits
    with accounts.transaction(hub.room) as session:
        session.get_one(Guest, guest_at(hub, second).id).seen = now() - 2 * desk.PATIENCE
    assert desk.claim(hub.room, guest_at(hub, third).id) == f"{workshop.id}-02"

    # a seat that is taken back lets the next one in, and nobody else into what is in it
    plan.take_back(hub.room, workshop.id, f"{workshop.id}-01")
    assert "taken back your seat" in first.get("/hub/join/back").text
    assert "/hub/join/back" in enter(first).headers["Location"]
    assert desk.claim(hub.room, guest_at(hub, second).id) == f"{workshop.id}-03"


@pytest.mark.usefixtures("end")
def test_what_a_stranger_may_try(hub: Hub) -> None:
    workshop = made(hub, 3, starts_in=3600)
    code = codes.code(hub.room, workshop.id)
    stranger = hub.browser()
    assert hub.browser().post("/hub/join", data={"name": "x", "code": code}).status_code == 403, "no form"
    assert join(stranger, code, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert stranger.post("/hub/join/enter").status_code == 403
    assert stranger.get("/hub/join/line").json()["go"] is True, "and the page then says why"
    assert stranger.get("/hub/join/poster").status_code == 410
    assert "No workshop has this code" in join(stranger, "").text
    assert join(stranger, code, "").status_code == 400
    assert join(stranger, code, "\u200b\u202e\x00").status_code == 400, "a name that nobody sees"
    assert "80 are as many" in join(stranger, code, "é" * 200).text
    assert stranger.cookies.get("machineroom-seat") is None
    page = stranger.get("/hub/join", params={"code": '"><script>alert(1)</script>'})
    assert "<script>alert" not in page.text
    assert code not in hub.log.read_text()

    # one browser, one seat
    for name in ("Ann", "Bob", "Cem"):
        join(stranger, code, name)
    assert [g.name for g in plan.people(hub.room, workshop.id)[1]] == ["Ann"]

    # guesses: sixty are free for a whole class, then no code is looked at for a while, right or wrong
    guesser = hub.browser()
    guesser.get("/hub/join")
    answers = [join(guesser, f"{n:08d}").status_code for n in range(70)]
    assert answers[0] == 400
    assert 429 in answers
    assert guesser.get("/hub/join/poster", params={"code": code}).status_code == 429


def test_the_sum_says_how_many_seats_the_host_can_hold(hub: Hub, end: None) -> None:
    need = capacity.Need(workspace=150 << 20, machines=50 << 20, most=2 << 30)
    host = {"free": 5 << 30, "memory": 10 << 30, "disk": 1 << 40, "elsewhere": False}
    fits = capacity.Sum(seats=20, need=need, promised=0, **host)
    assert (fits.room_for, fits.fits) == (20, True)
    assert not capacity.Sum(seats=21, need=need, promised=0, **host).fits
    tight = capacity.Sum(seats=11, need=need, promised=2 << 30, **host)
    assert (tight.room_for, tight.fits) == (10, False)
    assert "11 seats of 200 MB" in tight.words()
    assert "5.0 GB free, 2.0 GB of it promised to other workshops" in tight.words()
    assert capacity.Sum(seats=1, need=need, promised=0, **{**host, "disk": 100 << 20}).room_for == 1
    assert capacity.Sum(seats=1, need=need, promised=9 << 30, **host).room_for == 0

    begins, ends = now() + timedelta(hours=1), now() + timedelta(hours=2)
    alone = capacity.measure(hub.room, "linux", 3, begins, ends)
    made(hub, 4, starts_in=1800)
    crowded = capacity.measure(hub.room, "linux", 3, begins, ends)
    assert crowded.promised >= 4 * capacity.WORKSPACE
    assert (
        capacity.measure(hub.room, "linux", 3, now() + timedelta(days=1), ends + timedelta(days=1)).promised
        == 0
    )
    assert alone.promised == 0
    assert alone.need.most >= (1 << 30) + (512 << 20), "both labs of the course at their limits"


def test_codes_are_read_as_people_type_them(hub: Hub) -> None:
    code = codes.code(hub.room, "linux-1")
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", code)
    assert code != codes.code(hub.room, "linux-2")
    for typed in (code, code.lower(), code.replace("-", ""), f" {code} ".replace("0", "o").replace("1", "l")):
        assert codes.fits(hub.room, "linux-1", typed)
    for typed in ("", "-", code[:-1], code + "A", "é"):
        assert not codes.fits(hub.room, "linux-1", typed)
