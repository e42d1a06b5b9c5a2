"""Visits to a student's terminal: seen at once by both, typing only by the student's own word."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from local import until
from terminals.conftest import COURSE, LAB_TOKEN, OTHER_TOKEN, TA_TOKEN, Workspace
from websockets.exceptions import ConnectionClosed, InvalidStatus

PROMPT = r"root@web:[^#]*# "


class Visitor:
    """A grader's end of a visit."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.shown = ""
        self.typing: list[bool] = []

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self) -> None:
        said = json.loads(await self.socket.recv())
        self.shown += said.get("output", "")
        if "typing" in said:
            self.typing.append(said["typing"])

    async def see(self, text: str) -> None:
        async with asyncio.timeout(30):
            while text not in self.shown:
                await self.hear()


@asynccontextmanager
async def visiting(ws: Workspace, path: str, token: str = TA_TOKEN) -> AsyncIterator[Visitor]:
    url = f"{ws.service_url.replace('http', 'ws')}/api/courses/{path}"
    headers = {"Authorization": f"token {token}"}
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        yield Visitor(socket)


def visits(ws: Workspace) -> list[dict[str, Any]]:
    with ws.client as client:
        return list(client.get("/machineroom/visits").json()["visits"])


def past(ws: Workspace) -> list[dict[str, Any]]:
    """What the student is told of the visits there were."""
    with ws.client as client:
        return list(client.get(f"/machineroom/courses/{COURSE}/help").json()["visits"])


def board(ws: Workspace, token: str = TA_TOKEN) -> httpx.Response:
    url = f"{ws.service_url}/api/courses/{COURSE}/board"
    return httpx.get(url, headers={"Authorization": f"token {token}"}, trust_env=False, timeout=30)


def listed(ws: Workspace, name: str) -> None:
    """Until the service knows of a terminal."""
    until(lambda: name in board(ws).json()["students"][0]["terminals"], 60, "the terminal is not listed")


async def test_read_only_until_the_student_says_yes(ws: Workspace) -> None:
    name = ws.new(machine="web")
    async with ws.open(name) as terminal:
        await terminal.see(PROMPT)
        await terminal.run(r"echo be''fore; printf '\033[6n'")
        await asyncio.to_thread(listed, ws, name)
        async with visiting(ws, f"{COURSE}/students/ada/terminals/{name}") as tom:
            await tom.see("before")
            assert "\x1b[6n" not in tom.shown, "the visitor's terminal would answer it"
            [visit] = visits(ws)
            assert (visit["by"], visit["terminal"], visit["typing"]) == ("tom", name, "no")
            [seen] = board(ws).json()["students"][0]["visits"]
            assert seen == {"by": "tom", "terminal": name, "typing": False}
            await tom.send(type="echo for''ged\n")
            await tom.send(ask=True)
            until(lambda: visits(ws)[0]["typing"] == "asked", 30, "the student is not asked")
            await tom.send(type="echo for''ged\n")
            assert await terminal.run("echo mine") == "mine\r\n"
            assert "forged" not in terminal.shown
            with ws.client as client:
                place = f"/machineroom/visits/{visit['id']}"
                assert client.put(place, json={"typing": "yes"}).status_code == 400
                assert client.put(place, json={"typing": True}).status_code == 200
                async with asyncio.timeout(30):
                    while not tom.typing:
                        await tom.hear()
                await tom.send(type="echo $((6*7))-by-tom\n")
                await terminal.see("42-by-tom")
                await tom.see("42-by-tom")
                client.put(place, json={"typing": False})
                await tom.send(type="echo la''te\n")
                async with asyncio.timeout(30):
                    while tom.typing != [True, False]:
                        await tom.hear()
                assert await terminal.run("echo mine again") == "mine again\r\n"
                assert "late" not in terminal.shown
                assert client.delete(place).status_code == 204
                assert client.put(place, json={"typing": True}).status_code == 404
            with pytest.raises(ConnectionClosed, match="the student has ended it"):
                await tom.see("what never comes")
    assert visits(ws) == []
    until(lambda: past(ws)[0]["ended"], 30, "the visit goes on")
    assert (past(ws)[0]["by"], past(ws)[0]["typed"]) == ("tom", True)


async def test_a_visitor_who_leaves_is_gone_and_one_who_is_slow_holds_nobody_up(ws: Workspace) -> None:
    name = ws.new(machine="web")
    async with ws.open(name) as terminal:
        await terminal.see(PROMPT)
        await asyncio.to_thread(listed, ws, name)
        async with visiting(ws, f"{COURSE}/students/ada/terminals/{name}") as tom:
            await tom.see("root@web")
            await terminal.type("seq 1 1000000; echo all''printed\n")  # 7 MB, and tom reads none of it
            await terminal.see("allprinted", seconds=60)
            await tom.see("allprinted")
        until(lambda: visits(ws) == [], 30, "the visit goes on")
        assert await terminal.run("echo alone") == "alone\r\n"


async def test_who_may_look_on_and_at_what(ws: Workspace) -> None:
    name, own = ws.new(machine="web"), ws.new(machine="workspace")
    await asyncio.to_thread(listed, ws, name)
    assert own not in board(ws).json()["students"][0]["terminals"], "a student's own files are their own"
    tries = [
        (f"{COURSE}/students/ada/terminals/{name}", LAB_TOKEN, 403),
        (f"{COURSE}/students/ada/terminals/{name}", OTHER_TOKEN, 403),
        (f"{COURSE}/students/ada/terminals/{name}", "nobodys", 401),
        (f"{COURSE}/students/ada/terminals/{own}", TA_TOKEN, 404),
        (f"{COURSE}/students/ada/terminals/nope", TA_TOKEN, 404),
        (f"{COURSE}/students/tom/terminals/{name}", TA_TOKEN, 404),
        (f"{COURSE}/students/eve/terminals/{name}", TA_TOKEN, 409),
        (f"another-course/students/ada/terminals/{name}", TA_TOKEN, 403),
    ]
    for path, token, status in tries:
        with pytest.raises(InvalidStatus) as refused:
            async with visiting(ws, path, token):
                pass
        assert refused.value.response.status_code == status, path
    assert visits(ws) == []


async def test_a_student_speaks_for_themselves_only(ws: Workspace) -> None:
    """Eve's line hears nothing of ada's, and what she says of ada's visits is not believed."""
    name = ws.new(machine="web")
    url = f"{ws.service_url.replace('http', 'ws')}/api/line"
    await asyncio.to_thread(listed, ws, name)
    headers = {"Authorization": f"token {OTHER_TOKEN}"}
    async with (
        visiting(ws, f"{COURSE}/students/ada/terminals/{name}") as tom,
        websockets.connect(url, additional_headers=headers, proxy=None) as eve,
    ):
        await tom.see("root@web")
        id = visits(ws)[0]["id"]
        for said in (
            {"visit": id, "typing": "allowed"},
            {"output": id, "text": "lies"},
            {"end": id, "why": "evil"},
        ):
            await eve.send(json.dumps(said))
        await eve.send("nonsense")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(eve.recv(), 30)
        assert (visits(ws)[0]["typing"], tom.typing) == ("no", [])
        assert "lies" not in tom.shown
    with pytest.raises(InvalidStatus):
        async with websockets.connect(url, proxy=None):
            pass


async def test_a_student_who_tries_is_told_no_in_their_terminal(ws: Workspace) -> None:
    name = ws.new(visit=[COURSE, "eve", "web"])
    async with ws.open(name) as terminal:
        await terminal.see("it needs the role ta")
        await terminal.see("Press Enter to close")
    with ws.client as client:
        for wrong in ([], [COURSE, "ada"], [COURSE, "ada", 7], "ada"):
            assert client.post("/api/terminals", json={"visit": wrong}).status_code == 400
    until(lambda: name not in ws.terminals(), 60, "it goes on though nobody looks")
