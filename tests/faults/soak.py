"""A class at work while parts are killed at random.

    ./machineroom test tests/faults/soak.py -s --students 40 --minutes 30

It is no part of the suite: it takes as long as it is told. The seed is printed; what each student does
and what is killed when follow from it, as far as the machine's own pace allows.
"""

import random
import secrets
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median
from xmlrpc.client import Fault

import docker
import pytest
from faults.conftest import COURSE, LAB, MACHINE, PROGRAMS, World
from faults.people import CUT, Person, notebooks, until
from machineroom_hub import accounts

PATIENCE = 300
"""Seconds within which whatever a student wants has to succeed, through all that happens."""


class Pupil:
    """A student who does one thing after another, and tries again what was cut short."""

    def __init__(self, world: World, person: Person, seed: int) -> None:
        self.world, self.person, self.random = world, person, random.Random(seed)
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.cuts: Counter[str] = Counter()
        self.terminal = ""

    def work(self, end: float) -> None:
        acts = {self.log_in: 2, self.type: 6, self.check: 5, self.submit: 3, self.reset: 1, self.leave: 1}
        while time.monotonic() < end:
            [act] = self.random.choices(list(acts), list(acts.values()))
            began = time.monotonic()
            until(lambda act=act: self._tried(act), f"{self.person.name}: {act.__name__}", PATIENCE)  # type: ignore[misc]
            self.took[act.__name__].append(time.monotonic() - began)
            time.sleep(self.random.uniform(0.5, 3))

    def _tried(self, act: "object") -> bool:
        try:
            return bool(act())  # type: ignore[operator]
        except (*CUT, AssertionError) as error:
            self.cuts[f"{act.__name__}: {type(error).__name__}"] += 1  # type: ignore[attr-defined]
            time.sleep(1)
            return False

    def log_in(self) -> bool:
        self.person.log_in()
        self.person.http.cookies.clear()
        return True

    def there(self) -> bool:
        """Whether notebook and machine are there; they are asked for if not."""
        return self.person.has_server() and "done" in self.person.act("ensure", f"{LAB}/{MACHINE}")

    def type(self) -> bool:
        if not self.there():
            return False
        known = [t["name"] for t in self.person.http.get(f"/user/{self.person.name}/api/terminals").json()]
        if self.terminal not in known:
            self.terminal = self.person.new_terminal()
        with self.person.terminal(self.terminal) as terminal:
            terminal.type("\n")  # to start the machine, should that be what it waits for
            return "hostname: box" in terminal.run("echo hostname: $(hostname)", 20)

    def check(self) -> bool:
        return self.there() and self.person.check().status_code == 200

    def submit(self) -> bool:
        work, key = notebooks("hello"), secrets.token_hex(8)

        def sent() -> bool:
            return self._tried(lambda: self.person.submit(work, key).status_code == 201)

        until(sent, f"{self.person.name} submits", PATIENCE)
        return True

    def reset(self) -> bool:
        return "done" in self.person.act("reset", f"{LAB}/{MACHINE}")

    def leave(self) -> bool:
        return self.person.http.delete(f"/hub/api/users/{self.person.name}/server").status_code in (
            202,
            204,
            400,
        )


class Reaper:
    """Kills parts at random."""

    def __init__(self, world: World, pupils: list[Pupil], seed: int, every: float) -> None:
        self.world, self.pupils, self.every = world, pupils, every
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()

    def work(self, end: float) -> None:
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.5, 1.5) * self.every)
            part = self.random.choice([*PROGRAMS, "workspace", "machine"])
            name = self.random.choice(self.pupils).person.name
            with suppress(docker.errors.NotFound, docker.errors.APIError, Fault):  # it is dead already
                self.world.kill(part, name)
                self.killed[part] += 1
                print(f"{end - time.monotonic():6.0f} s left: killed {part} {name}", flush=True)


class Scales:
    """The memory of each of our programs, from its start to its end."""

    def __init__(self, world: World) -> None:
        self.world, self.seen = world, defaultdict[tuple[str, int], list[float]](list)

    def work(self, done: threading.Event) -> None:
        while not done.wait(5):
            for name, pid in self.world.pids().items():
                with suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                    private = sum(int(line.split()[1]) for line in lines if line.startswith("Private"))
                    self.seen[name, pid].append(private / 1024)

    def told(self) -> list[str]:
        return [
            f"{name:8} {pid:7}  {len(mb) * 5:5} s  {mb[0]:6.0f} MB at first, "
            f"{median(mb):6.0f} in the middle, {max(mb):6.0f} at most, {mb[-1]:6.0f} at last"
            for (name, pid), mb in self.seen.items()
            if mb
        ]


@pytest.mark.timeout(0)
def test_soak(world: World, pytestconfig: pytest.Config) -> None:
    students, minutes = pytestconfig.getoption("students"), pytestconfig.getoption("minutes")
    seed = pytestconfig.getoption("seed") or secrets.randbelow(10**6)
    print(f"\n{students} students, {minutes:g} minutes, seed {seed}")
    room = world.installation.room
    pupils = []
    for number in range(students):
        name = f"soak{number}"
        accounts.add(room, name, password=f"the password of {name}")
        accounts.enrol(room, name, COURSE, "student")
        person = world.person(name)
        pupils.append(Pupil(world, person, seed + number + 1))
    reaper, scales, done = Reaper(world, pupils, seed, 20), Scales(world), threading.Event()
    end = time.monotonic() + 60 * minutes
    with ThreadPoolExecutor(students + 2) as pool:
        weighed = pool.submit(scales.work, done)
        at_work = [pool.submit(pupil.work, end) for pupil in pupils]
        reaped = pool.submit(reaper.work, end)
        problems = [repr(error) for error in (future.exception() for future in [*at_work, reaped]) if error]
        done.set()
        weighed.result()
    took, cuts = defaultdict[str, list[float]](list), Counter[str]()
    for pupil in pupils:
        cuts.update(pupil.cuts)
        for act, seconds in pupil.took.items():
            took[act] += seconds
    for act, seconds in sorted(took.items()):
        print(
            f"{act:8} {len(seconds):5} times, median {median(seconds):5.1f} s, longest {max(seconds):5.1f} s"
        )
    print("killed:", dict(reaper.killed))
    print("cut short and tried again:", dict(cuts.most_common()))
    print(*scales.told(), sep="\n")
    assert not problems, problems
    until(world.whole, "hub, proxy and service")
    for pupil in pupils:
        world.all_is_well(pupil.person.name)
        kept = [receipt["id"] for receipt in pupil.person.receipts.values()]
        assert sorted(kept) == sorted(pupil.person.submitted()), f"{pupil.person.name}: lost or doubled"
    handed_in = sum(len(pupil.person.receipts) for pupil in pupils)
    print(f"{handed_in} submissions, none lost, none doubled")
    for (name, pid), mb in scales.seen.items():
        if len(mb) > 24:  # two minutes: what it takes at its start is not growth
            assert mb[-1] < 1.5 * median(mb[12:24]) + 30, f"{name} ({pid}) grows: {mb}"
