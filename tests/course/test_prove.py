"""A small course proven for real, and each way in which a course can fail to be."""

import io
import os
import signal
import threading

import pytest
from machineroom_hub import proof as proofs
from machineroom_hub.proof import Proof, is_proven, save
from machineroom_hub.prove import prove
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import read_course
from machineroom_spawners.drivers.base import Driver
from rich.console import Console

SECRET = b"s" * 32


def shown(proof: Proof) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(proofs.render(proof))
    return console.export_text()


def test_the_small_course_is_proven(mini, driver: Driver, runner):
    course, told = read_course(mini), []
    proof = prove(course, driver, runner, secret=SECRET, progress=lambda *step: told.append(step))
    assert proof.proven, shown(proof)
    assert [(p.name, p.earned) for p in proof.plays] == [("untouched", 0), ("solution", 3), ("wrong-open", 2)]
    assert told[-1][0] == 100
    assert proof.as_json()["proven"] is True
    assert driver.machines() == []

    assert not is_proven(course)
    save(course, proof)
    assert is_proven(course)
    (mini / "solutions/hello/greeting/solution.sh").write_text("#!/bin/sh\n")
    assert not is_proven(course)


def test_each_thing_that_is_not_proven_is_told(mini, driver: Driver, runner):
    folder = mini / "solutions/hello/greeting"
    (folder / "wrong-but-right.sh").write_text((folder / "solution.sh").read_text())
    (folder / "wrong-breaks.sh").write_text("#!/bin/sh\necho oh no >&2\nexit 3\n")
    (folder / "solution.sh").write_text("#!/bin/sh\n# after: greeting\n")
    (folder / "wrong-open.db.sh").write_text("#!/bin/sh\n")
    (mini / "checks/hello/test_more.py").write_text(
        "import pytest\n"
        "@pytest.mark.task('greeting')\n"
        "def test_free(machine): assert machine.file('/srv').exists, 'no /srv'\n"
        "@pytest.mark.task('greeting')\n"
        "@pytest.mark.points(0)\n"
        "def test_mistaken(machine): assert machine.file('/srv/greetings/hello').exists or 1 / 0, 'none'\n"
    )
    course = read_course(mini)
    proof = prove(course, driver, runner, secret=SECRET)
    assert not proof.proven
    said = {play.name: play.problem for play in proof.plays}
    assert "came to no verdict" in said["untouched"]
    assert "ZeroDivisionError" in said["untouched"]
    assert "leads in a circle" in said["solution"]
    assert said["wrong-but-right"] == "this wrong solution earns all 4 points"
    assert said["wrong-breaks"] == "its script ended with 3 on box: oh no"
    assert any("has no machine 'db'" in problem for problem in proof.problems)
    assert any("worth 3 points here and 4 in the checks" in problem for problem in proof.problems)
    text = shown(proof)
    assert "not proven" in text
    assert "wrong-but-right: this wrong solution earns all 4 points" in text
    save(course, proof)
    assert not is_proven(course)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (
            "machine.run('echo x | tee /srv/trace /srv/own/trace'); assert greets(machine)",
            "its checks change the machine: box:/srv, box:/srv/trace. Let them only look",
        ),
        (
            "assert greets(machine) and machine.run('mkdir /tmp/asked').rc == 0",
            "the check test_it said 'passed', and 'failed' when it was asked again in another order",
        ),
    ],
)
def test_checks_that_change_the_machine_or_their_mind_are_told(
    mini, driver: Driver, runner, check: str, told: str
):
    (mini / "checks/hello/test_greeting.py").unlink()
    (mini / "checks/hello/test_more.py").write_text(
        "import pytest\n"
        "def greets(machine): return machine.file('/srv/greetings/hello').exists\n"
        "@pytest.mark.task('greeting')\n@pytest.mark.points(3)\n@pytest.mark.changes('/srv/own')\n"
        f"def test_it(machine): {check}\n"
    )
    (mini / "labs/box/box.sh").write_text("#!/bin/sh\nmkdir /srv/greetings /srv/own\n")
    proof = prove(read_course(mini), driver, runner, secret=SECRET)
    (solution,) = [play for play in proof.plays if play.name == "solution"]
    assert solution.problem.startswith(told), solution
    assert solution.earned == 3
    assert 0 < solution.checking < 10
    assert driver.machines() == []


def test_missing_solutions_are_told_and_free_points_too(mini, driver: Driver, runner):
    folder = mini / "solutions/hello/greeting"
    for path in folder.iterdir():
        path.unlink()
    (mini / "labs/box/box.sh").write_text("mkdir /srv/greetings; echo hello > /srv/greetings/hello\n")
    proof = prove(read_course(mini), driver, runner, secret=SECRET)
    assert [play.problem for play in proof.plays] == [
        "a machine that nobody touched earns 2 (test_says_hello)"
    ]
    assert len([p for p in proof.problems if "there is no solution.sh" in p or "no wrong-" in p]) == 2


def test_a_set_up_that_fails_is_told_with_its_words(mini, driver: Driver, runner):
    (mini / "labs/box/box.sh").write_text("echo the disk is on fire; exit 7\n")
    proof = prove(read_course(mini), driver, runner, secret=SECRET)
    assert all("the disk is on fire" in play.problem for play in proof.plays)
    assert driver.machines() == []


def test_an_unknown_task_is_refused(mini, driver: Driver, runner):
    with pytest.raises(ContentError, match="has no task 'greting'; it has: greeting"):
        prove(read_course(mini), driver, runner, secret=SECRET, tasks=["greting"])


def test_an_interrupt_leaves_no_machine(mini, driver: Driver, runner):
    (mini / "solutions/hello/greeting/solution.sh").write_text("#!/bin/sh\nexec sleep 120\n")
    course = read_course(mini)
    pressed = threading.Event()

    def interrupt(percent: int, message: str) -> None:
        if percent and not pressed.is_set():  # some plays are done, the endless one is not
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        prove(course, driver, runner, secret=SECRET, progress=interrupt)
    assert driver.machines() == []
