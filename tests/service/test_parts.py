"""Parts of the service by themselves: courses re-read, sessions kept, turns taken."""

import asyncio
from pathlib import Path

import pytest
from fastapi import FastAPI, HTTPException, Request
from machineroom_hub.service import limits
from machineroom_hub.service.catalogue import Catalogue
from machineroom_hub.service.core import Turns
from machineroom_hub.service.sessions import SessionPool
from machineroom_spawners.drivers.base import MachineError, Result
from machineroom_spawners.spec import MachineRef
from starlette.types import Message

REF = MachineRef("ada", "demo", "pair", "box")
COURSE = "title: {title}\nassignments: [{{name: first, lab: one}}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lab = tmp_path / "demo" / "labs" / "one"
    lab.mkdir(parents=True)
    (lab / "lab.yml").write_text("machines: {box: {image: lab}}\n")
    (tmp_path / "demo" / "course.yml").write_text(COURSE.format(title="One"))
    return tmp_path


def test_a_course_is_read_again_when_a_file_changes(folder: Path) -> None:
    catalogue = Catalogue(folder)
    first = catalogue.courses()["demo"]
    assert catalogue.courses()["demo"] is first
    (folder / "demo" / "labs" / "one" / "lab.yml").write_text(
        "machines: {box: {image: lab}, db: {image: lab}}\n"
    )
    assert list(catalogue.courses()["demo"].labs["one"].machines) == ["box", "db"]


def test_a_mistake_leaves_the_last_good_version_in_use(folder: Path) -> None:
    catalogue = Catalogue(folder)
    assert catalogue.courses()["demo"].title == "One"
    for mistake in ("title: [", "titel: x\nassignments: []", "", "\0", "- a\n- b"):
        (folder / "demo" / "course.yml").write_text(mistake)
        assert catalogue.courses()["demo"].title == "One"
        assert "course.yml" in catalogue.problems()["demo"]
    (folder / "demo" / "course.yml").write_text(COURSE.format(title="Two"))
    assert catalogue.courses()["demo"].title == "Two"
    assert catalogue.problems() == {}


def test_courses_come_and_go(folder: Path) -> None:
    catalogue = Catalogue(folder)
    assert list(catalogue.courses()) == ["demo"]
    (folder / "demo").rename(folder / "renamed")
    assert list(catalogue.courses()) == ["renamed"]
    assert Catalogue(folder / "nowhere").courses() == {}


class Line:
    """A session that may be cut."""

    def __init__(self) -> None:
        self.closed = self.cut = False

    def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Result:
        if self.cut:
            raise MachineError("cut")
        return Result(0, b"", b"", 0.0)

    def close(self) -> None:
        self.closed = True


def test_a_session_is_used_again_but_by_one_at_a_time() -> None:
    pool, opened = SessionPool(), []

    def opener() -> Line:
        opened.append(Line())
        return opened[-1]

    one, two = pool.lease(REF, "id", opener), pool.lease(REF, "id", opener)
    assert len(opened) == 2
    one.close()
    one.close()
    with pytest.raises(MachineError, match="closed"):
        one.run("true")
    pool.lease(REF, "id", opener).close()
    two.close()
    assert (len(opened), len(pool)) == (2, 2)
    pool.close_of(REF)
    assert len(pool) == 0
    assert all(line.closed for line in opened)


def test_a_session_of_an_older_machine_or_a_cut_one_is_replaced() -> None:
    pool, lines = SessionPool(), [Line(), Line(), Line()]
    opener = iter(lines).__next__
    pool.lease(REF, "old", opener).close()
    pool.lease(REF, "new", opener).close()
    lines[1].cut = True
    pool.lease(REF, "new", opener)
    assert [line.closed for line in lines] == [True, True, False]


def test_idle_sessions_are_closed() -> None:
    pool, line = SessionPool(), Line()
    pool.lease(REF, "id", lambda: line).close()
    pool.close_idle()
    assert not line.closed
    pool.close_idle(0)
    assert line.closed
    assert len(pool) == 0


async def test_turns_are_taken_in_order_and_the_impatient_are_sent_away() -> None:
    turns, order = Turns(), list[int]()
    go = asyncio.Event()

    async def take(number: int) -> None:
        async with turns.of("ada", "Something"):
            await go.wait()
            order.append(number)

    tasks = [asyncio.create_task(take(number)) for number in range(7)]
    await asyncio.sleep(0)
    go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 2, 3, 4]
    assert [error.status_code for error in done if isinstance(error, HTTPException)] == [429, 429]
    async with turns.of("ada"), turns.of("ben"):
        pass
    assert turns._locks == {}


@pytest.mark.parametrize("total", [False, True])
def test_a_body_that_trickles_in_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, total: bool) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS" if total else "CHUNK_SECONDS", 0.1)
    app = FastAPI()
    app.add_middleware(limits.Limits)

    @app.post("/")
    async def read(request: Request) -> int:
        return len(await request.body())

    async def send_slowly() -> list[Message]:
        answer: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(0.04 if total else 3600)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: Message) -> None:
            answer.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return answer

    start, body = asyncio.run(asyncio.wait_for(send_slowly(), 20))
    assert start["status"] == 408
    assert b"too slowly" in body["body"]
