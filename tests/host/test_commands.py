"""The command line as a newcomer calls it: README's way to a course of one's own, and every mistake."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest
from installation import SOURCE, Installation
from local import free_room_port, until
from machineroom_hub.cli.__main__ import main
from machineroom_hub.cli.common import driver
from machineroom_hub.room import Room
from machineroom_spawners.drivers.base import Result
from machineroom_spawners.spec import MachineRef

pytestmark = pytest.mark.timeout(900)  # an installation, brought up four times, on a host that may be busy

BOX = "lin/my-course/box/box"


@dataclass
class Said:
    """What a command answered: its exit status, and what it said where."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`call("machine", "list", state=…)`: a command in this process, which saves a second of imports."""

    def run(*words: str, state: Path | None = None) -> Said:
        where = ["--state", str(state)] if state else []
        monkeypatch.setattr(sys, "argv", ["machineroom", *words, *where])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Said(code, out, err)

    return run


@pytest.fixture(scope="module")
def own(engine: docker.DockerClient) -> Iterator[Installation]:
    """An installation without demo, whose first `up` was broken off at several moments."""
    state = Path(tempfile.mkdtemp(prefix="machineroom-test-"))
    state.chmod(0o711)
    port = free_room_port()
    here = Installation(Room(state), f"http://127.0.0.1:{port}", {})
    up = ("up", "--no-demo", "--port", str(port))
    try:
        for moment in ("✓ Host", "✓ Proxy: ", "✓ Network"):
            break_off(here, up, moment)
        here.command(*up)
        yield here
    finally:
        here.command("down", "--purge", "--yes")
        assert not state.exists()


def break_off(here: Installation, words: Sequence[str], moment: str) -> None:
    """Press Ctrl-C in a command once it has printed `moment`: all of its processes get it, as they would."""
    command = [str(SOURCE / "machineroom"), *words, "--state", str(here.room.state)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        said = ""
        while not said.splitlines()[-1:] or not said.splitlines()[-1].startswith(moment):
            line = process.stdout.readline()
            assert line, said
            said += line
        os.killpg(process.pid, signal.SIGINT)
        said += process.stdout.read()
    assert process.returncode == 130, said
    assert said.endswith("machineroom: broken off; ./machineroom up goes on where it was\n")
    assert "Traceback" not in said


def readme_commands() -> list[list[str]]:
    """The commands of README's way to a course of one's own, in order, as words."""
    section = (SOURCE / "README.md").read_text().split("## A course of your own")[1].split("\n## ")[0]
    lines = re.findall(r"^    \./machineroom (.+)$", section, re.MULTILINE)
    return [line.partition("#")[0].split() for line in lines]


@pytest.fixture(scope="module")
def readme(own: Installation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """README's commands carried out as they stand there: what each said, by its first words."""
    said = {}
    workplace = tmp_path_factory.mktemp("workplace")
    here = {**os.environ, "MACHINEROOM_STATE": str(own.room.state)}
    for words in readme_commands():
        command = [str(SOURCE / "machineroom"), *words]
        done = subprocess.run(
            command, cwd=workplace, env=here, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said[" ".join(words[:2])] = done.stdout
    return said


@pytest.fixture(scope="module")
def lin(own: Installation, readme: dict[str, str]) -> str:
    """The student of README's course, with a machine. Lin's token."""
    token = own.command("token", "lin").stdout.strip()
    with api(own, token) as lins:
        made = lins.post(f"machines/{BOX}/ensure")
    assert "done" in json.loads(made.text.splitlines()[-1]), made.text
    return token


def api(here: Installation, token: str) -> httpx.Client:
    """The service's API for whoever has the token."""
    return httpx.Client(
        base_url=f"{here.url}/services/machineroom/api/",
        headers={"Authorization": f"token {token}"},
        timeout=60,
        trust_env=False,
    )


def test_readme_leads_to_a_course_of_ones_own(own: Installation, readme: dict[str, str], lin: str) -> None:
    assert "my-course: 3 plays of 1 task" in readme["course prove"]
    assert ": proven" in readme["course prove"]
    assert own.url in readme["up --course"]
    assert "hello of my-course can be fetched" in readme["course release"]
    assert re.fullmatch(r"lin: password [a-z0-9-]{14}\nlin is student of my-course\n", readme["accounts add"])
    with api(own, lin) as lins:
        (hello,) = lins.get("courses/my-course/assignments").json()
        assert hello["released"]
        (task,) = lins.get("courses/my-course/tasks?assignment=hello").json()
        report = lins.post("courses/my-course/checks", json={"task": task["task"]}).json()
    assert (report["earned"], report["points"]) == (0, 3)
    assert report["checks"][0]["observed"] == "there is no /srv/greetings/hello"


def test_no_demo_means_none(own: Installation, readme: dict[str, str], call: Call) -> None:
    state = own.room.state
    assert json.loads(call("accounts", "--json", state=state).out) == []
    refused = call("accounts", state=state)
    assert refused.code == 1
    assert "no demo accounts. ./machineroom accounts list shows the others" in refused.err
    listed = json.loads(call("course", "list", "--json", state=state).out)
    assert [(c["id"], c["proven"]) for c in listed] == [("my-course", True)]


def test_status_doctor_and_logs_of_what_runs(own: Installation, call: Call) -> None:
    state = own.room.state
    status = call("status", state=state)
    assert (status.code, status.out.count("running ")) == (0, 4)
    assert json.loads(call("status", "--json", state=state).out)["url"] == f"{own.url}/"
    assert "✓ firewall rules" in call("doctor", state=state).out
    assert len(own.command("logs", "service", "-n", "2").stdout.splitlines()) == 2
    assert "there are: hub, proxy, service" in call("logs", "../secret", state=state).err


def test_a_machines_life_from_the_command_line(own: Installation, lin: str, call: Call) -> None:
    state = own.room.state

    def does(*words: str) -> str:
        said = call("machine", *words, state=state)
        assert said.code == 0, said.err
        return said.out

    def refuses(*words: str) -> str:
        said = call("machine", *words, state=state)
        assert (said.code, said.out) == (1, "")
        return said.err

    assert [line.split()[:3] for line in does("list").splitlines()[1:]] == [[BOX, "running", "lab-slim"]]
    assert does("suspend", "lin/box") == f"{BOX} is suspended\n"
    assert does("resume", "lin") == f"{BOX} is running\n"
    assert does("stop", "lin/my-course/box") == f"{BOX} is stopped\n"
    assert "Start it" in refuses("resume", "lin")
    assert does("start", "lin") == f"{BOX} is running\n"

    session = driver(own.room).open_session(machine_ref())
    session.run("echo precious > /root/work")
    session.close()
    assert "beyond its image" in does("snapshot", "lin", "before")
    again = refuses("snapshot", "lin", "before")
    assert "has a snapshot 'before' already" in again
    assert "--replace" in again
    does("snapshot", "lin", "before", "--replace")
    assert [s["name"] for s in json.loads(does("snapshots", "lin", "--json"))] == ["before"]

    assert "say so with --yes" in refuses("reset", "lin")
    assert does("reset", "lin", "--yes") == f"{BOX} is clean and running\n"
    assert on_machine(own, "ls /root/work").rc != 0
    assert "it has: before" in refuses("restore", "lin", "after", "--yes")
    does("restore", "lin", "before", "--yes")
    assert on_machine(own, "cat /root/work").stdout == b"precious\n"
    assert "has no snapshot 'after'" in refuses("forget", "lin", "after", "--yes")
    does("forget", "lin", "before", "--yes")
    assert does("snapshots", "lin") == f"{BOX} has no snapshots.\n"


def machine_ref() -> MachineRef:
    return MachineRef(*BOX.split("/"))


def on_machine(here: Installation, command: str) -> Result:
    session = driver(here.room).open_session(machine_ref())
    try:
        return session.run(command)
    finally:
        session.close()


@pytest.mark.usefixtures("lin")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("machine stop ln/box", "there is no machine 'ln/box'. Did you mean lin?"),
        ("machine stop lin/bix", f"there is no machine 'lin/bix'. lin has:\n    {BOX}"),
        ("machine reset nobody --yes", "and nobody has none: ./machineroom machine list"),
        ("machine list --course nope", "there is no course 'nope'; there are: my-course"),
        ("machine list --owner eve", "there is no account 'eve': ./machineroom accounts list"),
        ("machine console lin", "a console needs a terminal; for one command: docker exec mr-"),
        ("accounts list --course nope", "there is no course 'nope'"),
        ("accounts add Eve", "'Eve' cannot be a user name"),
        ("accounts add eve --course nope", "there is no course 'nope'"),
        ("token eve", "there is no account 'eve'"),
        ("course release nope hello", "there is no course 'nope' here; there are: my-course"),
        ("course release my-course nope", "has no assignment 'nope'; it has: hello"),
        ("course prove tests", "course.yml: there is no such file"),
        ("image build nope", "there is no image 'nope'"),
        ("logs nope", "there is no log of 'nope'; there are: hub, proxy, service"),
        ("up --course tests", "tests/course.yml: there is no such file"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(own: Installation, call: Call, words: str, says: str) -> None:
    said = call(*words.split(), state=own.room.state)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("machineroom: ")
    assert says in said.err


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("My", "'My' cannot be a course's name: 2 to 40 lower-case letters"),
        ("here", "/here cannot be made: File exists"),
        ("no/where", "/no/where cannot be made: No such file"),
    ],
)
def test_a_new_course_replaces_nothing(call: Call, tmp_path: Path, folder: str, says: str) -> None:
    (tmp_path / "here").mkdir()
    assert says in call("course", "new", str(tmp_path / folder)).err
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


@pytest.mark.parametrize(
    "words", ["down", "logs", "token ada", "accounts list", "accounts add ada", "machine list", "course list"]
)
def test_a_state_directory_without_installation_is_told_and_not_made(
    call: Call, tmp_path: Path, words: str
) -> None:
    said = call(*words.split(), state=tmp_path / "typo")
    assert said.code == 1
    assert f"there is no installation in {tmp_path / 'typo'}: ./machineroom up makes it" in said.err
    assert not (tmp_path / "typo").exists()


def test_up_begins_nothing_where_it_cannot_go_on(own: Installation, call: Call, tmp_path: Path) -> None:
    taken = call("up", "--port", str(own.room.port), state=tmp_path / "new")
    assert f"port {own.room.port} (the public port) is taken" in taken.err
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    here = call("up", "--port", str(free_room_port()), state=tmp_path / "file")
    assert f"{tmp_path / 'file'} cannot be the state directory" in here.err
    assert call("up", "--port", "65500", state=tmp_path / "new").code == 2


def test_up_again_changes_nothing_and_down_twice_is_no_error(own: Installation, lin: str, call: Call) -> None:
    state = own.room.state
    before = {pid.name: pid.read_text() for pid in (own.room.run).glob("*.pid")}
    own.command("up")
    assert {pid.name: pid.read_text() for pid in (own.room.run).glob("*.pid")} == before
    for _ in range(2):
        assert "All work is kept" in call("down", state=state).out
    assert call("status", state=state).code == 1
    own.command("up")
    assert call("status", state=state).code == 0


def test_the_console_is_a_terminal_on_the_machine(own: Installation, lin: str) -> None:
    own.command("machine", "start", "lin")
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 90))
    command = [str(SOURCE / "machineroom"), "machine", "console", "lin", "--state", str(own.room.state)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = b""

        def printed(text: bytes) -> bool:
            nonlocal seen
            if select.select([mine], [], [], 0)[0]:
                seen += os.read(mine, 4096)
            return text in seen

        until(lambda: printed(b"# "), 60, lambda: f"no prompt in {seen!r}")
        os.write(mine, b"stty size; hostname; echo en''d\r")
        until(lambda: printed(b"end"), 60, lambda: f"no end in {seen!r}")
        assert b"30 90\r\nbox\r\n" in seen
        os.write(mine, b"\x1d")
        assert process.wait(60) == 0
    os.close(mine)


def test_help_names_the_command_that_one_types(call: Call, tmp_path: Path) -> None:
    said = subprocess.run(
        [str(SOURCE / "machineroom"), "machine", "reset", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage: ./machineroom machine reset" in said.stdout
    assert "[default: (/var/lib/machineroom)]" in " ".join(said.stdout.split())
