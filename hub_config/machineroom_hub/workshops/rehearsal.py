"""A workshop played through by nobody: synthetic guests join, solve the tasks with the solutions, and leave.

They take the way that people take: the join page, the hub's login, JupyterLab's page, the checks. What
was made for them is removed when they are done, or when the rehearsal is broken off.
"""

import math
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from machineroom_spawners.course import Course, read_course
from machineroom_spawners.drivers import make_driver
from machineroom_spawners.drivers.base import MachineError, Progress
from machineroom_spawners.spec import MachineRef

from .. import service_api
from ..host import HostError
from ..hub_api import HubApi
from ..interrupts import undisturbed
from ..room import Room
from ..service.models import now
from ..service_api import ServiceError
from ..solutions import PlayError, Script, Solutions, perform
from ..survey import Task
from . import capacity, codes, plan
from .models import Phase, Workshop

SEAT_SECONDS = 120.0
"""How long one seat may take to get ready, beside the others."""
IN_SECONDS = 300.0
"""How long a guest may take from the code to JupyterLab."""


@dataclass
class Part:
    """One guest's: seconds from the code to JupyterLab, seconds of each check, and what went wrong."""

    seat: str = ""
    joined: float | None = None
    checks: list[float] = field(default_factory=list)
    solved: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rehearsal:
    """What came of it. Times are in seconds; `memory` is by how much the host's free memory shrank for each
    seat, in bytes; `room_for` is how many seats the host can hold, by `capacity`'s more careful sum."""

    course: str
    seats: int
    tasks: int
    ready: list[float]
    parts: list[Part]
    memory: int
    counted: int
    room_for: int

    @property
    def problems(self) -> list[str]:
        """Everything that went wrong, once."""
        late = [f"{self.seats - len(self.ready)} seats did not get ready"] * (len(self.ready) < self.seats)
        return list(dict.fromkeys([*late, *(p for part in self.parts for p in part.problems)]))

    def as_json(self) -> dict[str, Any]:
        """Everything, for scripts."""
        joined = [part.joined for part in self.parts if part.joined is not None]
        checks = [seconds for part in self.parts for seconds in part.checks]
        return {
            **asdict(self),
            "ready": _spread(self.ready),
            "joined": _spread(joined),
            "checks": _spread(checks),
            "solved": sum(part.solved for part in self.parts),
            "problems": self.problems,
        }


def rehearse(room: Room, course_id: str, seats: int, told: Progress) -> Rehearsal:
    """Play a workshop of so many seats; it takes a minute or several. Raises HostError, ServiceError, …"""
    HubApi(room).wait_until_ready(10)
    course = read_course(room.courses / course_id)
    tasks = _tasks(room, course)
    if not tasks:
        raise HostError(
            f"{course_id} has no released assignment with checks: ./machineroom course release {course_id} …"
        )
    _, free = capacity.memory()
    begins = now()
    host = capacity.measure(room, course_id, seats, begins, begins + timedelta(hours=1))
    workshop = plan.create(
        room, course_id, seats, begins, begins + timedelta(hours=4), begins + timedelta(hours=4)
    )
    try:
        ready = _ready(room, workshop, told)
        parts = [Part() for _ in range(seats)]
        players = [_Player(room, course, workshop, tasks, part, n) for n, part in enumerate(parts, 1)]
        with ThreadPoolExecutor(seats) as pool:
            told(40, f"{seats} guests join")
            list(pool.map(_Player.join, players))
            told(55, f"{seats} guests solve {len(tasks)} tasks each")
            list(pool.map(_Player.solve, players))
        _, left = capacity.memory()
        memory = max(0, free - left) // seats
        return Rehearsal(course_id, seats, len(tasks), ready, parts, memory, host.need.memory, host.room_for)
    finally:
        with undisturbed():
            told(90, "Everything is removed")
            _remove(room, workshop)


def _tasks(room: Room, course: Course) -> list[Task]:
    """The tasks that guests would see, in order."""
    released = {
        a["name"]
        for a in service_api.call(room, "GET", f"courses/{course.id}/assignments").json()
        if a["released"]
    }
    return [
        Task(task["assignment"], task["task"], task["title"], task["points"])
        for task in service_api.call(room, "GET", f"courses/{course.id}/tasks").json()
        if task["assignment"] in released and course.assignment(task["assignment"]).lab
    ]


def _ready(room: Room, workshop: Workshop, told: Progress) -> list[float]:
    """After how many seconds each seat was ready."""
    began = time.monotonic()
    times: dict[str, float] = {}
    while len(times) < workshop.seats and time.monotonic() - began < SEAT_SECONDS * workshop.seats:
        for seat in plan.people(room, workshop.id)[0]:
            if seat.ready:
                times.setdefault(seat.name, time.monotonic() - began)
        told(40 * len(times) // workshop.seats, f"{len(times)} of {workshop.seats} seats are ready")
        time.sleep(0.5)
    return sorted(times.values())


def _remove(room: Room, workshop: Workshop) -> None:
    plan.end(room, workshop.id, timedelta())
    deadline = time.monotonic() + 60 + 20 * workshop.seats
    while plan.get(room, workshop.id).phase is not Phase.REMOVED:
        if time.monotonic() > deadline:
            raise HostError(
                f"{workshop.id} is ended, but not removed yet: ./machineroom logs service says why"
            )
        time.sleep(0.5)


class _Player:
    """One synthetic guest. What goes wrong is written into `part`, and raised nowhere."""

    def __init__(
        self, room: Room, course: Course, workshop: Workshop, tasks: Sequence[Task], part: Part, number: int
    ) -> None:
        self._room, self._course, self._workshop = room, course, workshop
        self._tasks, self._part, self._number = tasks, part, number
        self._solutions = Solutions(course, tasks)

    def join(self) -> None:
        """From the code to JupyterLab's page."""
        try:
            with _browser(self._room) as browser:
                self._part.seat = self._join(browser)
        except (httpx.HTTPError, HostError) as error:
            self._part.problems.append(f"guest {self._number} did not get in: {error}")

    def _join(self, browser: httpx.Client) -> str:
        code = codes.code(self._room, self._workshop.id)
        page = browser.get("/hub/join", params={"code": code})
        form = dict(re.findall(r'name="(_xsrf)" value="([^"]+)"', page.text)[:1])
        began = time.monotonic()
        answer = browser.post("/hub/join", data={**form, "name": f"Synthetic {self._number}", "code": code})
        while time.monotonic() - began < IN_SECONDS:
            found = re.match(r"/user/([^/]+)/lab", answer.url.path)
            if found and answer.status_code == 200:
                self._part.joined = time.monotonic() - began
                return found[1]
            if answer.status_code >= 400 and answer.status_code != 503:
                raise HostError(f"{answer.url.path} answered {answer.status_code}")
            time.sleep(0.5)
            answer = browser.get("/hub/spawn")
        raise HostError(f"there was no JupyterLab after {IN_SECONDS:.0f} s")

    def solve(self) -> None:
        """Every task, one after the other on the same machines, as a diligent student does."""
        if not self._part.seat:
            return
        done: list[Script] = []
        try:
            token = HubApi(self._room).token(self._part.seat, "rehearsal", 3600)
        except HostError as error:
            self._part.problems.append(f"{self._part.seat}: {error}")
            return
        for task in self._tasks:
            try:
                self._solve(task, done, token)
                self._part.solved += 1
            except (MachineError, PlayError, ServiceError, HostError, httpx.HTTPError) as error:
                self._part.problems.append(f"{task.assignment}/{task.name}: {error}")

    def _solve(self, task: Task, done: list[Script], token: str) -> None:
        lab, seat, course = self._solutions.lab(task), self._part.seat, self._course.id
        solution = self._solutions.scripts(task).get("solution")
        if solution is None:
            raise PlayError("there is no solution.sh")
        refs = {name: MachineRef(seat, course, lab.id, name) for name in lab.machines}
        for name in refs:
            service_api.follow(
                self._room, f"machines/{seat}/{course}/{lab.id}/{name}/ensure", lambda *_: None
            )
        driver = make_driver(lab.machines[lab.default].driver, self._room.id)
        for script in self._solutions.in_order(task, solution):
            if script not in done:
                perform(driver, refs, script)
                done.append(script)
        began = time.monotonic()
        answer = httpx.post(
            f"{self._room.local_url}/services/machineroom/api/courses/{course}/checks",
            headers={"Authorization": f"token {token}", **self._room.host_header},
            json={"task": task.name, "assignment": task.assignment},
            timeout=300,
            trust_env=False,
        )
        self._part.checks.append(time.monotonic() - began)
        report = answer.json()
        if answer.is_error:
            raise HostError(str(report.get("detail", answer.status_code)))
        if report["earned"] < report["points"]:
            unmet = "; ".join(c["observed"] or c["name"] for c in report["checks"] if not c["earned"])
            raise PlayError(f"its solution earns {report['earned']:g} of {report['points']:g} ({unmet})")


class _Here(httpx.HTTPTransport):
    """Finds every host name of the room at its proxy, on this host."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self._port = room.port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The header `Host` says what the address did."""
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return super().handle_request(request)


def _browser(room: Room) -> httpx.Client:
    return httpx.Client(
        base_url=room.url, transport=_Here(room), follow_redirects=True, timeout=120, trust_env=False
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    """p50 and p95, as the smallest value that so many do not pass; nothing of nothing."""
    ordered = sorted(values)
    return {
        f"p{share}": round(ordered[math.ceil(len(ordered) * share / 100) - 1], 2)
        for share in (50, 95)
        if ordered
    }
