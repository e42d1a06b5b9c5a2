"""Terminals on a real machine: what a student sees, and what an attacker does not get."""

import asyncio
import hashlib
import os
import re
from pathlib import Path

import httpx
import pytest
import websockets
from terminals.conftest import COURSE, Workspace, jupyter

PROMPT = r"root@web:[^#]*# "


async def test_a_new_terminal_is_a_root_shell_on_the_default_machine(ws: Workspace) -> None:
    name = ws.new()
    assert name == "web"
    async with ws.open(name) as terminal:
        await terminal.see(PROMPT)
        assert await terminal.run("hostname; id -un; tty") == "web\r\nroot\r\n/dev/pts/0\r\n"
        assert await terminal.run("echo $TERM $LANG") == "xterm-256color C.UTF-8\r\n"
        assert await terminal.run("printf 'Grüße 🦙' | wc -m") == "7\r\n"
        assert "\x1b[31m" in await terminal.run(r"printf '\033[31mred\033[m'")
        await terminal.resize(41, 123)
        await terminal.type("until [ \"$(stty size)\" = '41 123' ]; do sleep 0.1; done; echo resi''zed\n")
        await terminal.see("resized\r\n")
        await terminal.type("echo loop''ing; while :; do sleep 0.1; done\n")
        await terminal.see("looping")
        await terminal.type("\x03")
        await terminal.see(PROMPT)
        assert await terminal.run("echo $?") == "130\r\n"
        await terminal.type("exit\n")
        with pytest.raises(AssertionError, match="closed"):
            await terminal.see("never")


async def test_the_same_shell_with_its_scrollback_after_a_reload(ws: Workspace) -> None:
    name = ws.new(machine="web")
    async with ws.open(name) as terminal:
        await terminal.see(PROMPT)
        await terminal.run(r"before=reload; printf 'a question: \033[6n\033]11;?\007'")
    assert ws.new(machine="web", name=name) == name
    async with ws.open(name) as terminal, ws.open(name) as other:
        again = await terminal.see(r"(?s).*a question: ")
        assert again[0].startswith("\x1bc")
        assert "\x1b]0;web\x07" in again[0]
        assert "\x1b[6n" not in again[0]
        assert await terminal.run("echo still $before") == "still reload\r\n"
        await other.see("still reload")


async def test_a_machine_that_was_put_to_sleep_wakes_when_one_types(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="web")) as terminal:
        await terminal.see(PROMPT)
        await terminal.run("asleep=no")
        ws.driver.suspend(ws.spec.ref)
        try:
            with ws.client as client:
                assert client.get("/machineroom/machines").json()["machines"][0]["state"] == "suspended"
            assert await terminal.run("echo $asleep longer") == "no longer\r\n"
        finally:
            ws.driver.ensure(ws.spec)


async def test_the_workspaces_own_shell(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="workspace", cwd="/usr/share")) as terminal:
        await terminal.see("# ")
        assert await terminal.run("pwd") == "/usr/share\r\n"
        assert str(ws.etc) in await terminal.run("env")


@pytest.mark.parametrize(
    "machine", ["nope", "-oProxyCommand=touch /tmp/x", "web;id", "web -v", "../shop/web", "", 7, ["web"]]
)
def test_an_unknown_machine_is_refused_with_the_names_of_those_there_are(
    ws: Workspace, machine: object
) -> None:
    with ws.client as client:
        before = client.get("/api/terminals").json()
        answer = client.post("/api/terminals", json={"machine": machine})
        assert answer.status_code == 404
        assert "Name one of these: web, meta, workspace." in answer.json()["message"]
        assert client.get("/api/terminals").json() == before


@pytest.mark.parametrize("name", ["a/b", "a b", "-o", "", "x" * 101, 5])
def test_a_name_that_no_address_could_hold_is_refused(ws: Workspace, name: object) -> None:
    with ws.client as client:
        assert client.post("/api/terminals", json={"name": name}).status_code == 400


async def test_who_is_not_logged_in_or_comes_from_another_site_gets_no_terminal(ws: Workspace) -> None:
    name = ws.new(machine="workspace")
    url = f"{ws.url.replace('http', 'ws')}/terminals/websocket/{name}"
    for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": f"token={ws.token}"}):
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(url, additional_headers=headers, proxy=None)
    cookies = "; ".join(f"{name}={value}" for name, value in ws.cookies().items())
    evil = websockets.Origin("http://evil.example")
    with pytest.raises(websockets.InvalidStatus, match="403"):
        await websockets.connect(url, additional_headers={"Cookie": cookies}, origin=evil, proxy=None)
    own = websockets.Origin(ws.url.removesuffix("/user/ada"))
    await (
        await websockets.connect(url, additional_headers={"Cookie": cookies}, origin=own, proxy=None)
    ).close()


def test_who_is_not_logged_in_gets_nothing_done(ws: Workspace) -> None:
    for path in ("/api/terminals", "/machineroom/machines", f"/machineroom/machines/{COURSE}/shop/web/reset"):
        assert httpx.post(ws.url + path, trust_env=False).status_code == 403


async def test_a_program_that_does_not_read_silences_no_other_terminal(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="workspace")) as stuck, ws.open(ws.new(machine="workspace")) as other:
        await stuck.see("# ")
        await stuck.type("stty raw -echo; echo rea''dy; exec sleep 1000\n")
        await stuck.see("ready")
        for _ in range(4):
            await stuck.type("x" * 100_000)
        await other.see("# ")
        assert await other.run("echo fine") == "fine\r\n"
    with ws.client as client:
        for terminal in client.get("/api/terminals").json():
            assert client.delete(f"/api/terminals/{terminal['name']}").status_code == 204


async def test_a_reader_that_stalls_does_not_fill_the_servers_memory(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="workspace")) as terminal:
        server = int(re.sub(r"\D", "", await terminal.run("echo $PPID")))
        before = resident(server)
        await terminal.type("head -c 60000000 /dev/zero | tr '\\0' x\r")
        for _ in range(20):  # nothing is read meanwhile; stock's server takes in all that it can
            await asyncio.sleep(0.1)
            assert resident(server) - before < 20_000_000
        received = 0
        while received < 60_000_000:  # and nothing is lost
            received += (await terminal.read()).count("x")


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_what_is_pasted_arrives_whole(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="workspace")) as terminal:
        await terminal.see("# ")
        await terminal.type("stty raw -echo; echo rea''dy; head -c 1000000 | sha256sum; stty sane\n")
        await terminal.see("ready")
        text = "".join(f"line {n} 🦙\n" for n in range(100_000))[:1_000_000]
        data = text.encode()[:1_000_000]
        for start in range(0, len(text), 50_000):
            await terminal.type(text[start : start + 50_000])
        await terminal.see(hashlib.sha256(data).hexdigest())


async def test_a_stopped_machine_is_started(ws: Workspace) -> None:
    ws.driver.stop(ws.spec.ref)
    async with ws.open(ws.new(machine="web")) as terminal:
        await terminal.see("web is stopped.")
        await terminal.see(r"\d+ %  Machine web")
        ws.driver.ensure(ws.spec)
        ws.address()
        await terminal.see(PROMPT)


async def test_a_reset_under_a_live_shell(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="web")) as terminal:
        await terminal.see(PROMPT)
        await terminal.run("touch /root/before")
        ws.driver.reset(ws.spec)
        ws.address()
        await terminal.see("The connection to web was lost")
        await terminal.see(PROMPT)
        assert "No such file" in await terminal.run("ls /root/before")


async def test_a_machine_that_goes_down_is_noticed(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="web")) as terminal:
        await terminal.see(PROMPT)
        await asyncio.to_thread(ws.driver.stop, ws.spec.ref)
        await terminal.see("The connection to web was lost", seconds=60)
        await terminal.see("web is stopped", seconds=60)
        await terminal.see("Press Enter to start web")
        await terminal.type("\r")
        await terminal.see(PROMPT)
    assert ws.on_machine("hostname") == "web\n"


async def test_the_console_takes_the_place_of_a_broken_ssh(ws: Workspace) -> None:
    ws.on_machine("mv /root/.ssh/authorized_keys /root/.ssh/away")
    async with ws.open(ws.new(machine="web")) as terminal:
        await terminal.see("web runs, but its ssh does not work .*Permission denied")
        await terminal.see("choose “Reset”")
        await terminal.see("# ")
        await terminal.resize(33, 99)
        await terminal.type("hostname; mv /root/.ssh/away /root/.ssh/authorized_keys\n")
        await terminal.see(r"\rweb\r\n")
        await terminal.type("until stty size | grep '33 99'; do sleep 0.1; done; exit\n")
        await terminal.see("33 99.*\r\n")
    async with ws.open(ws.new(machine="web")) as terminal:
        await terminal.see(PROMPT)


async def test_without_a_service_it_says_what_is_wrong_and_tries_again(ws: Workspace, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    said = (
        (ws.etc / "workspace.json")
        .read_text()
        .replace(ws.service_url, "http://127.0.0.1:9/services/machineroom")
    )
    (etc / "workspace.json").write_text(said)
    (etc / "ssh").symlink_to(ws.etc / "ssh")
    with jupyter(tmp_path, etc) as (url, token, hosts):
        alone = Workspace(url, token, etc, hosts, "", ws.driver, ws.spec, ws.engine)
        async with alone.open(alone.new(machine="web")) as terminal:
            await terminal.see(r"web does not answer \(.*\)\. The Machineroom service does not answer")
            await terminal.see("Press Enter to try again")
            alone.address()
            await terminal.type("\r")
            await terminal.see(PROMPT)
        with alone.client as client:
            assert client.get("/machineroom/machines").json()["machines"][0]["state"] is None


async def test_open_terminals_are_there_again_when_the_server_is(ws: Workspace, tmp_path: Path) -> None:
    kept, closed, server = ws.spec.ref.machine, "web_2", (tmp_path, ws.etc)
    with jupyter(*server) as (url, token, hosts):
        here = Workspace(url, token, ws.etc, hosts, ws.service_url, ws.driver, ws.spec, ws.engine)
        here.address()
        assert [here.new(machine="web") for _ in range(2)] == [kept, closed]
        async with here.open(kept) as terminal:
            await terminal.see(PROMPT)
        with here.client as client:
            assert client.delete(f"/api/terminals/{closed}").status_code == 204
    with jupyter(*server) as (url, token, hosts):
        here = Workspace(url, token, ws.etc, hosts, ws.service_url, ws.driver, ws.spec, ws.engine)
        here.address()
        with here.client as client:
            assert [one["name"] for one in client.get("/api/terminals").json()] == [kept]
        async with here.open(kept) as terminal:
            await terminal.see("Your server was restarted: this is a new shell")
            await terminal.see(PROMPT)


async def test_the_console_is_to_be_had_for_the_asking(ws: Workspace) -> None:
    async with ws.open(ws.new(machine="web", console=True)) as terminal:
        await terminal.see("This is the console of web: it works without ssh")
        await terminal.see(PROMPT)
        await terminal.type("echo con''sole $(tty)\n")
        await terminal.see("console /dev/")


async def test_a_workspace_without_machines_gives_its_own_shell(ws: Workspace, tmp_path: Path) -> None:
    with jupyter(tmp_path, tmp_path / "nothing") as (url, token, hosts):
        grader = Workspace(url, token, tmp_path, hosts, "", ws.driver, ws.spec, ws.engine)
        async with grader.open(grader.new()) as terminal:
            await terminal.see("# ")
            assert await terminal.run("echo $0") == "/bin/bash\r\n"


def test_machines_and_what_can_be_done_to_them(ws: Workspace) -> None:
    with ws.client as client:
        for terminal in client.get("/api/terminals").json():  # one that comes back would wake the machine
            client.delete(f"/api/terminals/{terminal['name']}")
        web, meta = client.get("/machineroom/machines").json()["machines"]
        assert (web["id"], web["state"], web["ports"], web["default"]) == (
            f"{COURSE}/shop/web",
            "running",
            [8000],
            True,
        )
        assert (meta["title"], meta["state"]) == ("meta", "missing")
        place = "/machineroom/machines/" + web["id"]
        with client.stream("POST", place + "/reset", timeout=120) as answer:
            assert answer.headers["content-type"] == "application/x-ndjson"
            lines = list(answer.iter_lines())
        assert '"percent"' in lines[0]
        assert '"done"' in lines[-1]
        assert client.post(place + "/suspend").status_code == 200
        assert client.get("/machineroom/machines").json()["machines"][0]["state"] == "suspended"
        assert client.post(place + "/resume").status_code == 200
        assert client.post(place + "/delete").status_code == 404
        unknown = client.post(f"/machineroom/machines/{COURSE}/shop/other/reset")
        assert (unknown.status_code, "no machine" in unknown.text) == (404, True)


def test_what_the_panels_ask_is_relayed_to_the_service_and_nothing_else(ws: Workspace) -> None:
    with ws.client as client:
        assert client.post(f"/machineroom/machines/{COURSE}/shop/web/ensure").status_code == 200
        web = client.get("/machineroom/machines").json()["machines"][0]
        assert web["address"] == ws.address()
        assert 0 < web["usage"]["memory"] < web["usage"]["memory_limit"]
        [lab] = client.get(f"/machineroom/courses/{COURSE}/labs").json()
        assert [machine["machine"] for machine in lab["machines"]] == ["meta", "web"]
        assert client.get(f"/machineroom/courses/{COURSE}/assignments").json() == []
        refused = client.get("/machineroom/courses/another-course/labs")
        assert (refused.status_code, "may not do this" in refused.text) == (403, True)
        place = f"/machineroom/machines/{COURSE}/shop/web/snapshots"
        assert '"done"' in client.put(f"{place}/my work").text
        [snapshot] = client.get(place).json()
        assert snapshot["name"] == "my work"
        assert '"done"' in client.post(f"{place}/my work").text
        assert client.delete(f"{place}/my work").status_code == 204
        assert client.get(place).json() == []
        for method, path in (
            ("DELETE", f"machines/{COURSE}/shop/web/reset"),
            ("POST", f"courses/{COURSE}/labs"),
            ("PUT", f"courses/{COURSE}/assignments/one/submissions"),
            ("GET", f"courses/{COURSE}/audit"),
            ("POST", f"courses/{COURSE}/score"),
            ("GET", "openapi.json"),
            ("POST", "machines/..%2Feve/shop/web/reset"),
        ):
            assert client.request(method, f"/machineroom/{path}").status_code in (404, 405), path


def test_a_students_cookie_alone_changes_nothing(ws: Workspace) -> None:
    """The pages of the machines have our origin: what they send without the secret is refused."""
    with httpx.Client(trust_env=False, cookies=ws.cookies()) as browser:
        assert browser.post(f"{ws.url}/api/terminals").status_code == 403
        for method, path in (
            ("POST", f"machines/{COURSE}/shop/web/reset"),
            ("POST", f"machines/{COURSE}/shop/web/snapshots/x"),
            ("PUT", f"machines/{COURSE}/shop/web/snapshots/x"),
            ("DELETE", f"machines/{COURSE}/shop/web/snapshots/x"),
            ("POST", f"courses/{COURSE}/checks"),
        ):
            assert browser.request(method, f"{ws.url}/machineroom/{path}").status_code == 403, path
