"""Machines through the API, on the real engine: made, reset, switched, listed; and their consoles."""

import json
from collections.abc import Iterator

import docker
import pytest
from classroom import PREFIX, Classroom
from machineroom_spawners.names import image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

BOX = "machines/ada/demo/pair/box"


def act(school: Classroom, who: str, path: str) -> list[dict[str, object]]:
    """The lines of a long action."""
    with school[who].stream("POST", path) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("application/x-ndjson")
        return [json.loads(line) for line in reply.iter_lines()]


@pytest.fixture(scope="module")
def box(school: Classroom) -> dict[str, object]:
    """Ada's box, made through the API."""
    lines = act(school, "ada", f"{BOX}/ensure")
    assert len(lines) > 1, "no progress was told"
    percents = [line["percent"] for line in lines[:-1]]
    assert percents == sorted(percents)  # type: ignore[type-var]
    assert all(line["message"] for line in lines[:-1])
    done = lines[-1].get("done")
    assert isinstance(done, dict), lines
    return done


def shell(engine: docker.DockerClient, school: Classroom, command: str) -> str:
    """Run a command on ada's machine, past the API."""
    return str(school.container(engine, "ada").exec_run(["sh", "-c", command]).output.decode())


def test_a_machine_is_made_with_its_set_up(
    school: Classroom, engine: docker.DockerClient, box: dict[str, object]
) -> None:
    assert (box["owner"], box["machine"], box["state"], box["driver"]) == ("ada", "box", "running", "docker")
    assert "lesson" in shell(engine, school, "ls /srv")
    assert [m["machine"] for m in school["ada"].get("machines").json()] == ["box"]
    assert school["ada"].get("machines").json()[0] == box


def test_what_a_machine_uses_is_told_to_whom_it_concerns(school: Classroom, box: dict[str, object]) -> None:
    [seen] = school["ada"].get("machines?usage=true").json()
    usage = seen.pop("usage")
    assert seen == box
    assert 0 < usage["memory"] < usage["memory_limit"] == 64 << 20
    assert 0 < usage["processes"] < usage["process_limit"] == 64
    assert usage["cpus"] == 1.0
    assert usage["cpu_seconds"] > 0
    assert usage["started"] <= usage["time"]
    assert usage["ports"] == []
    assert school["ben"].get("machines?owner=ada&usage=true").json() == []


def test_a_lab_is_described_as_its_author_wrote_it(school: Classroom) -> None:
    [lab] = school["ada"].get("courses/demo/labs").json()
    assert (lab["lab"], lab["default"], lab["networks"]) == ("pair", "box", {})
    assert [(m["machine"], m["memory"], m["cpus"], m["pids"]) for m in lab["machines"]] == [
        ("box", 64 << 20, 1.0, 64),
        ("db", 64 << 20, 1.0, 64),
    ]


@pytest.mark.usefixtures("box")
def test_each_sees_the_machines_that_concern_them(school: Classroom) -> None:
    assert school["ben"].get("machines").json() == []
    assert school["ben"].get("machines?owner=ada").json() == []
    assert school["tim"].get("machines?owner=ada").json() == []
    assert len(school["tom"].get("machines?owner=ada").json()) == 1
    everybodys = school["tom"].get("machines?course=demo").json()
    assert [m["machine"] for m in everybodys if m["owner"] == "ada"] == ["box"]


def test_a_running_workspace_is_joined_to_a_machine_made_on_demand(
    school: Classroom, engine: docker.DockerClient
) -> None:
    labels = {"machineroom.room": school.room.id, "machineroom.owner": "eve"}
    slim = image(school.room.id, "lab-slim")
    workspace = engine.containers.create(slim, ["sleep", "600"], labels=labels)
    assert "done" in act(school, "eve", "machines/eve/other/single/box/ensure")[-1]
    workspace.reload()
    networks = set(workspace.attrs["NetworkSettings"]["Networks"])
    [machine] = engine.containers.list(filters={"label": [f"{k}={v}" for k, v in labels.items()]})
    assert set(machine.attrs["NetworkSettings"]["Networks"]) <= networks


@pytest.mark.usefixtures("box")
def test_suspend_resume_stop_and_start_again(school: Classroom, engine: docker.DockerClient) -> None:
    shell(engine, school, "touch /srv/mine")
    for action, state in (
        ("suspend", "suspended"),
        ("resume", "running"),
        ("stop", "stopped"),
        ("ensure", "running"),
    ):
        done = act(school, "ada", f"{BOX}/{action}")[-1]["done"]
        assert isinstance(done, dict)
        assert done["state"] == state
        assert school["ada"].get("machines").json()[0]["state"] == state
    assert "mine" in shell(engine, school, "ls /srv")


@pytest.mark.usefixtures("box")
def test_a_grader_resets_a_students_machine_and_it_is_in_the_trail(
    school: Classroom, engine: docker.DockerClient
) -> None:
    shell(engine, school, "touch /srv/mine")
    assert act(school, "tom", f"{BOX}/reset")[-1]["done"]
    assert shell(engine, school, "ls /srv").split() == ["lesson"]
    newest = school["ina"].get("courses/demo/audit?limit=1").json()[0]
    assert (newest["actor"], newest["action"], newest["subject"]) == (
        "tom",
        "machine.reset",
        "ada/demo/pair/box",
    )


def test_what_cannot_be_done_is_said_in_the_last_line(school: Classroom) -> None:
    lines = act(school, "ben", "machines/ben/demo/pair/box/suspend")
    assert "ben/demo/pair/box" in str(lines[-1]["error"])


@pytest.mark.usefixtures("box")
def test_whoever_hangs_up_does_not_stop_the_action(school: Classroom, engine: docker.DockerClient) -> None:
    shell(engine, school, "touch /srv/mine")
    with school["ada"].stream("POST", f"{BOX}/reset") as reply:
        next(reply.iter_lines())
    done = act(school, "ada", f"{BOX}/ensure")[-1]["done"]  # waits for its turn
    assert isinstance(done, dict)
    assert done["state"] == "running"
    assert shell(engine, school, "ls /srv").split() == ["lesson"]


def open_console(school: Classroom, token: str | None, path: str = BOX, **headers: str) -> ClientConnection:
    query = f"&token={token}" if token else ""
    address = f"{school.service.replace('http', 'ws')}{PREFIX}/api/{path}/console?rows=40&cols=100{query}"
    return connect(address, additional_headers=headers)


@pytest.fixture
def terminal(school: Classroom, box: dict[str, object]) -> Iterator[ClientConnection]:
    with open_console(school, school.token("ada")) as connection:
        yield connection


def until(connection: ClientConnection, text: str) -> str:
    seen = b""
    while text.encode() not in seen:
        seen += connection.recv(timeout=20)  # type: ignore[operator]
    return seen.decode(errors="replace")


def test_the_console_is_a_terminal_of_the_right_size(terminal: ClientConnection) -> None:
    terminal.send(b"stty size; echo grue\xc3\x9fe; echo en''d\n")
    assert "40 100" in until(terminal, "end")
    terminal.send(json.dumps({"resize": [50, 120]}))
    for nonsense in ("{}", "[", json.dumps({"resize": [0, "x"]}), json.dumps({"resize": [1] * 9999})):
        terminal.send(nonsense)
    terminal.send(b"stty size; echo en''d\n")
    assert "50 120" in until(terminal, "end")


def test_the_console_ends_with_its_shell(terminal: ClientConnection) -> None:
    until(terminal, "#")
    terminal.send(b"exit\n")
    for _ in terminal:
        pass
    assert terminal.close_code == 1000


def test_a_flood_does_not_fill_our_memory(school: Classroom, terminal: ClientConnection) -> None:
    def memory() -> int:
        status = open(f"/proc/{school.pid('service')}/status").read()  # noqa: PTH123, SIM115
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    before = memory()
    terminal.send(b"yes | head -c 100000000; echo flood''ed\n")
    for _ in range(20):
        terminal.recv(timeout=20)
    assert memory() - before < 50
    terminal.send(b"\x03")


@pytest.mark.parametrize("who", ["ben", "eve", "tim", "stranger", None])
def test_no_console_for_others(school: Classroom, who: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_console(school, school.token(who) if who else None)
    assert refused.value.response.status_code == (403 if who else 401)
    assert b'{"detail":' in refused.value.response.body


def test_no_console_by_cookie(school: Classroom) -> None:
    with pytest.raises(InvalidStatus):
        open_console(school, None, Cookie=f"machineroom={school.token('ada')}")


def test_a_console_of_no_machine_says_so(school: Classroom) -> None:
    with (
        open_console(school, school.token("ben"), "machines/ben/demo/pair/box") as connection,
        pytest.raises(ConnectionClosed) as closed,
    ):
        connection.recv(timeout=20)
    assert "does not exist" in str(closed.value)
