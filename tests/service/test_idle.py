"""Idle machines: real ones, looked at as the service does, with a clock that the test turns."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import pytest
from classroom import Classroom
from machineroom_hub.room import Room
from machineroom_hub.service import idle
from machineroom_hub.service.core import Service
from machineroom_hub.service.models import now
from machineroom_spawners.course import read_course
from machineroom_spawners.drivers.base import State
from machineroom_spawners.spec import MachineRef, machine_spec

HOUR = timedelta(hours=1)
COURSE = """
title: Idle
idle: {suspend: 1h, stop: 8h, keep: 2h}
assignments: [{name: one, lab: pair}]
"""
LAB = "machines: {box: {image: lab-slim}, server: {image: lab-slim, always_on: true}}"


class Place:
    """A service without its API, two machines of ada's, and the looks at them."""

    def __init__(self, room: Room) -> None:
        self.service = Service(room, "http://127.0.0.1:1/hub/api")
        self.service.watch = idle.Watch(self.service)
        self.driver = self.service.driver()
        course = read_course(room.courses / "nap")
        for name in ("box", "server"):
            self.driver.ensure(machine_spec(course, "pair", name, "ada", room.secret))

    def state(self, machine: str = "box") -> State:
        found = self.driver.poll(MachineRef("ada", "nap", "pair", machine))
        assert found
        return found.state

    def run(self, command: str) -> None:
        session = self.driver.open_session(MachineRef("ada", "nap", "pair", "box"))
        try:
            session.run(command)
        finally:
            session.close()

    async def looks(self, moments: list[timedelta], between: Callable[[], Awaitable[None]]) -> None:
        """Look at these moments from now on; something happens between one and the next."""
        start = now()
        for moment in moments:
            await self.service.watch.look(start + moment)
            await between()


@pytest.fixture(scope="module")
def made(room: Room) -> Iterator[Place]:
    folder = room.courses / "nap"
    (folder / "labs" / "pair").mkdir(parents=True)
    (folder / "course.yml").write_text(COURSE)
    (folder / "labs" / "pair" / "lab.yml").write_text(LAB)
    made = Place(room)
    yield made
    asyncio.run(made.service.close())


@pytest.fixture
def place(made: Place) -> Place:
    """Everything awake, and nobody kept so."""
    course = read_course(made.service.room.courses / "nap")
    made.driver.ensure(machine_spec(course, "pair", "box", "ada", made.service.room.secret))
    made.service.watch = idle.Watch(made.service)
    ref = MachineRef("ada", "nap", "pair", "box")
    asyncio.run(made.service.write(lambda session: idle.keep(session, ref, None)))
    machine = made.driver.poll(ref)
    assert machine
    before, deadline = made.driver.usage(machine), time.monotonic() + 60
    while True:  # until what a start leaves to be done is done
        time.sleep(2)
        after = made.driver.usage(machine)
        assert before
        assert after
        if not idle.busy(before, after):
            return made
        assert time.monotonic() < deadline, (before, after)
        before = after


async def quiet() -> None:
    """What an idle machine does for itself."""
    await asyncio.sleep(1)


def test_what_is_idle_sleeps_and_is_stopped_in_the_end(place: Place) -> None:
    asyncio.run(place.looks([0 * HOUR, 0.9 * HOUR], quiet))
    assert place.state() is State.RUNNING
    asyncio.run(place.looks([0 * HOUR, 1.1 * HOUR, 5 * HOUR], quiet))
    assert place.state() is State.SUSPENDED
    assert place.state("server") is State.RUNNING, "always_on"
    asyncio.run(place.looks([20 * HOUR], quiet))
    assert place.state() is State.STOPPED


def test_what_computes_is_left_alone(place: Place) -> None:
    async def work() -> None:
        await asyncio.to_thread(place.run, "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done")

    asyncio.run(place.looks([0 * HOUR, 0.9 * HOUR, 1.8 * HOUR], work))
    assert place.state() is State.RUNNING


def test_what_is_talked_to_over_the_network_is_left_alone(place: Place) -> None:
    machine = place.driver.poll(MachineRef("ada", "nap", "pair", "box"))
    assert machine

    async def ask() -> None:
        for _ in range(20):
            _, writer = await asyncio.open_connection(machine.address, 22)
            writer.close()
            await writer.wait_closed()

    asyncio.run(place.looks([0 * HOUR, 0.9 * HOUR, 1.8 * HOUR], ask))
    assert place.state() is State.RUNNING


def test_who_types_is_there(place: Place) -> None:
    console = place.driver.console(MachineRef("ada", "nap", "pair", "box"))
    try:
        ref = MachineRef("ada", "nap", "pair", "box")
        machine = place.driver.poll(ref)
        assert machine
        first = place.driver.usage(machine)
        assert first
        deadline = time.monotonic() + 30
        while True:  # the kernel notes a terminal's use every eight seconds
            console.write(b":\r")
            after = place.driver.usage(machine)
            assert after
            if after.typed and after.typed > first.time:
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert idle.busy(first, after)
    finally:
        console.close()


def test_one_that_is_kept_awake_stays_so_until_then(place: Place) -> None:
    ref = MachineRef("ada", "nap", "pair", "box")
    until = now() + 3 * HOUR
    asyncio.run(place.service.write(lambda session: idle.keep(session, ref, until)))
    asyncio.run(place.looks([0 * HOUR, 1.1 * HOUR, 2.9 * HOUR], quiet))
    assert place.state() is State.RUNNING
    asyncio.run(place.looks([3.1 * HOUR], quiet))
    assert place.state() is State.SUSPENDED


def test_what_sleep_saves_is_counted(place: Place) -> None:
    async def slept() -> float:
        [row] = [r for r in await place.service.read(lambda s: idle.rows(s, "nap")) if r.machine == "box"]
        return row.slept

    before = asyncio.run(slept())
    asyncio.run(place.looks([0 * HOUR, 1.1 * HOUR], quiet))
    assert place.state() is State.SUSPENDED
    place.driver.resume(MachineRef("ada", "nap", "pair", "box"))
    asyncio.run(place.looks([2.1 * HOUR], quiet))
    assert 3500 < asyncio.run(slept()) - before < 3700
    assert place.state() is State.RUNNING, "one that was woken has a whole hour again"


def test_who_may_keep_what_awake(school: Classroom) -> None:
    place = "machines/ada/demo/pair/box/keep"
    assert school["ada"].put(place, json={"hours": 2}).status_code == 200
    refused = school["ada"].put(place, json={"hours": 100})
    assert (refused.status_code, "24 hours at most" in refused.text) == (403, True)
    assert school["tom"].put(place, json={"hours": 100}).status_code == 200
    for hours in (0, -1, 10_000, "x"):
        assert school["ada"].put(place, json={"hours": hours}).status_code == 422
    for stranger in ("ben", "eve", "tim"):
        assert school[stranger].put(place, json={"hours": 1}).status_code == 403
        assert school[stranger].delete(place).status_code == 403
    assert school["ada"].get("courses/demo/sleep").status_code == 403
    assert school["tom"].get("courses/demo/sleep").status_code == 200
    assert school["ada"].delete(place).status_code == 204
