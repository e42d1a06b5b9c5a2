"""Each part is killed in the middle of each thing that people do; then all of it is as it should be."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar

import docker
import httpx
import pytest
from docker.models.containers import Container
from faults.conftest import LAB, MACHINE, PROGRAMS, World
from faults.people import CUT, detail, notebooks, until

PARTS = (*PROGRAMS, "workspace", "machine")


class Act:
    """Something that takes a while, done by ana."""

    spared: ClassVar[tuple[str, ...]] = ()
    """Parts that have nothing to do with it."""

    def __init__(self, world: World) -> None:
        self.world, self.person = world, world["ana"]

    def prepare(self) -> None:
        """Bring things to where it can be done."""
        self.world.at_work("ana")

    def perform(self) -> Any:
        """Do it. What it is worth, or an exception of `CUT`."""
        raise NotImplementedError

    def under_way(self) -> Any:
        """Whether it is being done at this moment."""
        raise NotImplementedError

    def over(self, going: Future[Any]) -> bool:
        """Whether it is not being done any more."""
        return going.done()

    def victim(self, part: str) -> None:
        """Kill a part."""
        self.world.kill(part, "ana")

    def told(self, part: str, answer: Any) -> None:
        """What was answered, if anybody was left to answer."""

    def again(self) -> None:
        """Done once more, or gone on with, it comes to its end."""
        raise NotImplementedError


class Spawn(Act):
    """Start the server; the machine is made anew beside it."""

    def prepare(self) -> None:
        server = f"/hub/api/users/{self.person.name}/server"
        until(lambda: self.person.http.delete(server).status_code in (204, 400, 404), "ana's stop")
        until(lambda: not self.person.model, "ana's stop")
        self.world.driver.delete(self.world.ref("ana"))

    def perform(self) -> None:
        self.person.ask_for_server()

    def under_way(self) -> bool:
        try:
            self.begun = self.world.workspace("ana")
        except docker.errors.NotFound:
            return False
        machine = [name for name in self.world.containers("ana") if "-m-" in name]
        return bool(machine) and self.begun.status == "running"

    def over(self, going: Future[Any]) -> bool:
        return bool(self.person.model.get("ready"))

    killed = ""

    def victim(self, part: str) -> None:
        self.killed = part
        if part in ("machine", "workspace"):
            kind = "-m-" if part == "machine" else "-w-"
            name = next(name for name in self.world.containers("ana") if kind in name)
            until(lambda: _killed(self.world.engine.containers.get(name)), f"{name} dies")
        else:
            super().victim(part)

    def again(self) -> None:
        self.world.at_work("ana")
        if self.killed == "hub":
            assert self.world.workspace("ana").id == self.begun.id, "a start that went on was not taken up"


class Shell(Act):
    """Work in a terminal."""

    name = ""

    def prepare(self) -> None:
        super().prepare()
        self.name = self.person.new_terminal()
        with self.person.terminal(self.name) as terminal:
            self.shell = terminal.run("echo $$").strip()

    def perform(self) -> str:
        with self.person.terminal(self.name) as terminal:
            terminal.type("echo under''way; sleep 100\n")
            with suppress(*CUT):
                terminal.see("underway")
                self.seen = True
                for _ in range(24):
                    with suppress(AssertionError):
                        return terminal.see(r"(?s)connection to .* was lost.*Enter to start", 5)[0]
                    if self.killed in ("hub", "service"):
                        break  # it goes on, as it should: seen by `again`
        return ""

    seen = False

    def under_way(self) -> bool:
        return self.seen

    def told(self, part: str, answer: Any) -> None:
        if part == "machine":
            assert answer, "the student was not told that the machine is gone"

    def again(self) -> None:
        until(self.person.has_server, "ana's server")
        known = [t["name"] for t in self.person.http.get("/user/ana/api/terminals").json()]
        assert self.name in known, "the terminal did not come back"
        stopped = self.world.machine("ana").status != "running"
        with self.person.terminal(self.name) as terminal:
            if self.killed == "workspace":
                terminal.see("Your server was restarted: this is a new shell")
            elif stopped:
                terminal.type("\n")
                terminal.see(r"is ready")
            else:
                terminal.type("\x03")
            now = terminal.run("echo $$").strip()
        if self.killed not in ("workspace", "machine"):
            assert now == self.shell, "the shell did not outlive what it has nothing to do with"

    killed = ""

    def victim(self, part: str) -> None:
        self.killed = part
        super().victim(part)


class Check(Act):
    """Click on "Check"; the checks take a while."""

    spared = ("workspace",)

    def prepare(self) -> None:
        super().prepare()
        self.on_machine("touch /root/slow; rm -f /root/checking")

    def on_machine(self, command: str) -> str:
        return self.world.run(self.world.machine("ana"), command)

    def perform(self) -> httpx.Response:
        return self.person.check()

    def under_way(self) -> bool:
        return "yes" in self.on_machine("test -e /root/checking && echo yes")

    def told(self, part: str, answer: Any) -> None:
        if part == "machine" and isinstance(answer, httpx.Response):
            assert answer.status_code == 200, answer.text
            [report] = answer.json()
            said = [c["observed"] for c in report["checks"] if c["outcome"] == "error"]
            assert said, report
            assert all("machine" in sentence or "box" in sentence for sentence in said), said

    def again(self) -> None:
        self.world.at_work("ana")
        self.on_machine("rm -f /root/slow /root/checking")
        answer = until(lambda: ok(self.person.check()), "ana's check")
        assert [c["outcome"] for c in answer.json()[0]["checks"]] == ["failed", "failed", "passed"]


class Submit(Check):
    """Submit, whose checks take a while."""

    _numbers = itertools.count()

    def prepare(self) -> None:
        super().prepare()
        self.work, self.key = notebooks("hello"), f"the click number {next(self._numbers)}"
        self.before = self.person.submitted()

    def perform(self) -> httpx.Response:
        return self.person.submit(self.work, self.key)

    def told(self, part: str, answer: Any) -> None:
        if isinstance(answer, httpx.Response) and answer.is_error:
            assert detail(answer)

    def again(self) -> None:
        self.world.at_work("ana")
        self.on_machine("rm -f /root/slow /root/checking")
        until(lambda: self.person.submit(self.work, self.key).status_code == 201, "ana's submission")
        new = [id for id in self.person.submitted() if id not in self.before]
        assert new == [self.person.receipts[self.key]["id"]], "a click on Submit is one submission"
        assert self.person.call("GET", f"submissions/{new[0]}").content == self.work


class Reset(Act):
    """Have the machine replaced by a clean one."""

    spared = ("hub", "workspace")

    def prepare(self) -> None:
        super().prepare()
        self.world.run(self.world.machine("ana"), "echo mine > /root/mine")

    def perform(self) -> dict[str, Any]:
        return self.person.act("reset", f"{LAB}/{MACHINE}")

    def under_way(self) -> bool:
        making = [name for name in self.world.containers("ana") if name.endswith("-making")]
        return bool(making) and _status(self.world, making[0]) == "running"

    def victim(self, part: str) -> None:
        if part == "machine":
            name = self.world.machine("ana").name + "-making"
            with suppress(docker.errors.NotFound):
                self.world.engine.containers.get(name).kill()
        else:
            super().victim(part)

    def told(self, part: str, answer: Any) -> None:
        if part == "machine":
            assert "done" in answer or "box" in answer["error"], answer

    def again(self) -> None:
        self.world.at_work("ana")
        kept = self.world.run(self.world.machine("ana"), "cat /root/mine")
        assert kept == "mine\n" or "No such file" in kept, "it is the old machine or a clean one"
        done = until(lambda: self.person.act("reset", f"{LAB}/{MACHINE}").get("done"), "ana's reset")
        assert done["state"] == "running"
        assert "No such file" in self.world.run(self.world.machine("ana"), "cat /root/mine")


def _killed(container: Container) -> bool:
    """Kill it, once it runs."""
    try:
        container.kill()
    except docker.errors.NotFound:
        return True
    except docker.errors.APIError:  # it does not run yet
        return False
    return True


def _status(world: World, name: str) -> str:
    try:
        return str(world.engine.containers.get(name).status)
    except docker.errors.NotFound:
        return ""


def ok(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 200 else None


ACTS = {act.__name__.lower(): act for act in (Spawn, Shell, Check, Submit, Reset)}
TABLE = [(name, part) for name, act in ACTS.items() for part in PARTS if part not in act.spared]


@pytest.fixture
def quiet(world: World) -> Iterator[None]:
    """Nothing slow is left on ana's machine for who comes next."""
    yield
    with suppress(docker.errors.NotFound, docker.errors.APIError):
        world.run(world.machine("ana"), "rm -f /root/slow /root/checking")


@pytest.mark.parametrize(("act", "part"), TABLE)
def test_it_comes_to_its_end_and_nothing_is_lost(world: World, quiet: None, act: str, part: str) -> None:
    scene = ACTS[act](world)
    scene.prepare()
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(scene.perform)
        until(lambda: scene.under_way() or scene.over(going), f"{act} begins")
        assert not scene.over(going), f"{act} was over before {part} could be killed: {going}"
        scene.victim(part)
        scene.told(part, _outcome(going))
    until(world.whole, f"hub, proxy and service are back after {part} was killed")
    scene.again()
    world.all_is_well(scene.person.name)


def _outcome(going: Future[Any]) -> Any:
    try:
        return going.result(120)
    except CUT as error:
        return error
