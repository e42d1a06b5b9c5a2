"""Prove a course: play every task on real machines, and see that the checks tell right from wrong.

For each task an untouched machine must earn nothing, the solution everything, and each wrong
solution less than everything. On the solution, checks must say the same when they are asked again in
another order, and leave no trace that they do not own up to. Solutions are scripts in
`solutions/<assignment>/<task>/`:

    solution.sh          runs as root on the lab's default machine; solution.db.sh, after it, on `db`
    wrong-NAME.sh        what people try; wrong-NAME.db.sh likewise

A line `# after: TASK …` in the first one has the solutions of other tasks played before it.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from machineroom_checks.runner import CheckRunner, ChecksError
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import Course
from machineroom_spawners.drivers.base import Driver, MachineError, Progress, State, silent
from machineroom_spawners.lab import Lab
from machineroom_spawners.spec import MachineRef, lab_specs

from .footprints import Footprints
from .interrupts import undisturbed
from .proof import Play, Proof, extent, in_order
from .solutions import SCRIPT, PlayError, Script, Solutions, perform
from .survey import Task, digest, survey

OWNER = "prove:"
"""What the owner of a machine that is made for a proof begins with; no user's name holds a colon."""

CHECK_SECONDS = 240.0
"""How long the checks of one play may take together."""


def prove(
    course: Course,
    driver: Driver,
    runner: CheckRunner,
    *,
    secret: bytes,
    tasks: Sequence[str] | None = None,
    progress: Progress = silent,
    machines: int = 3,
) -> Proof:
    """Play `tasks`, or all, each on fresh machines of its own, with `machines` plays at once.

    Whatever happens, an interrupt included, the machines are removed before this returns.

    Raises:
        ContentError: a name in `tasks` is no task of the course.
    """
    began = time.monotonic()
    seen = survey(course, runner)
    for name in tasks or ():
        if name not in {task.name for task in seen.tasks}:
            known = ", ".join(task.name for task in seen.tasks) or "none that can be read"
            raise ContentError(f"course {course.id} has no task '{name}'; it has: {known}")
    chosen = tuple(task for task in seen.tasks if tasks is None or task.name in tasks)
    stage = _Stage(course, driver, runner, secret, seen.tasks)
    problems = [*seen.problems, *stage.problems(chosen)]
    plays = stage.play(chosen, machines, progress)
    return Proof(
        course=course.id,
        digest=digest(course),
        time=datetime.now(UTC),
        seconds=round(time.monotonic() - began, 1),
        whole=tasks is None,
        tasks=chosen,
        plays=tuple(sorted(plays, key=lambda play: in_order(chosen, play))),
        problems=tuple(problems),
    )


class _Stage:
    """Where a course is played: makes machines, performs scripts, asks the runner, clears up."""

    def __init__(
        self, course: Course, driver: Driver, runner: CheckRunner, secret: bytes, tasks: Sequence[Task]
    ) -> None:
        self._course = course
        self._driver = driver
        self._runner = runner
        self._secret = secret
        self._tasks = {task.name: task for task in tasks}
        self._solutions = Solutions(course, tasks)
        self._numbers = count(1)
        self._closed = False

    def problems(self, chosen: Sequence[Task]) -> Iterator[str]:
        """Scripts that are missing, misnamed, or speak of what is not there."""
        known = {(task.assignment, task.name) for task in self._tasks.values()}
        root = self._course.folder / "solutions"
        for folder in sorted(root.glob("*/*/")):
            if (folder.parent.name, folder.name) not in known:
                yield f"{folder}: there is no such task; rename the folder, or remove it."
        for task in chosen:
            folder = root / task.assignment / task.name
            scripts, lab = self._solutions.scripts(task), self._solutions.lab(task)
            if "solution" not in scripts:
                yield f"{folder}: there is no solution.sh, so nothing shows that the task can be done."
            if len(scripts) < 2:
                yield f"{folder}: there is no wrong-….sh, so nothing shows that a wrong solution is seen."
            for path in sorted(folder.glob("*")):
                match = SCRIPT.match(path.name)
                if not match:
                    yield f"{path}: call it solution.sh, wrong-NAME.sh, or with .MACHINE before .sh."
                elif match["machine"] and match["machine"] not in lab.machines:
                    yield f"{path}: the lab {lab.id} has no machine '{match['machine']}'."
            for name in {other for script in scripts.values() for other in script.after}:
                if name not in self._tasks:
                    yield f"{folder}: '# after: {name}': the course has no such task."

    def play(self, chosen: Sequence[Task], at_once: int, progress: Progress) -> list[Play]:
        """Play everything, several plays at once."""
        for ref in leftovers(self._driver, self._course.id):
            self._driver.delete(ref)
        jobs = self._jobs(chosen)
        total = sum(len(tasks) for tasks, _, _ in jobs)
        plays: list[Play] = []
        progress(0, extent(range(total), chosen))
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="prove")
        try:
            waiting: set[Future[list[Play]]] = {pool.submit(self._job, *job) for job in jobs}
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for play in (play for future in done for play in future.result()):
                    plays.append(play)
                    told = f"{play.task}: {play.name} earned {play.earned:g} of {play.points:g}"
                    progress(100 * len(plays) // total, told)
        finally:
            with undisturbed():
                self._closed = True  # after an interrupt no play begins
                pool.shutdown(wait=False, cancel_futures=True)
                self._clear()  # plays that go on lose their machines, and end
                pool.shutdown()
                self._clear()
        return plays

    def _jobs(self, chosen: Sequence[Task]) -> list[tuple[list[Task], str, Script | None]]:
        """What to play: the tasks of an assignment untouched, together; each script by itself.

        Labs of several machines take longest, so they come first.
        """
        jobs: list[tuple[list[Task], str, Script | None]] = []
        for assignment in dict.fromkeys(task.assignment for task in chosen):
            together = [task for task in chosen if task.assignment == assignment]
            jobs += [
                ([task], name, script)
                for task in together
                for name, script in self._solutions.scripts(task).items()
            ]
            jobs.append((together, "untouched", None))
        return sorted(jobs, key=lambda job: -len(self._solutions.lab(job[0][0]).machines))

    def _job(self, tasks: list[Task], name: str, script: Script | None) -> list[Play]:
        began = time.monotonic()
        lab = self._solutions.lab(tasks[0])
        reports: dict[str, dict[str, Any]] = {}
        problem = ""
        try:
            with self._machines(lab) as refs:
                if script:
                    for text in self._solutions.in_order(tasks[0], script):
                        perform(self._driver, refs, text)
                if name == "solution":
                    reports, problem = self._check_closely(lab, refs, tasks[0])
                else:
                    reports = self._check(lab, refs, tasks)
        except (MachineError, ChecksError, PlayError, ContentError) as error:
            problem = str(error)
        seconds = round((time.monotonic() - began) / len(tasks), 1)
        return [_verdict(task, name, reports.get(task.name), problem, seconds) for task in tasks]

    def _check_closely(
        self, lab: Lab, refs: dict[str, MachineRef], task: Task
    ) -> tuple[dict[str, dict[str, Any]], str]:
        """The report of a task, and what is wrong with its checks: they change something, or their mind."""
        with Footprints(self._driver, refs) as footprints:
            reports = self._check(lab, refs, [task])
            changed = footprints.found(task.changes)
        if changed:
            return reports, (
                f"its checks change the machine: {', '.join(changed)}. Let them only look, or own up to it: "
                '@pytest.mark.changes("/path")'
            )
        order = random.Random(task.name)  # noqa: S311 - the same each time, so that what is found is found again
        first, again = (
            {check["name"]: check["outcome"] for check in report[task.name]["checks"]}
            for report in (reports, self._check(lab, refs, [task], order))
        )
        for name, outcome in first.items():
            if again.get(name) != outcome:
                return reports, (
                    f"the check {name} said '{outcome}', and '{again.get(name)}' when it was asked again in "
                    "another order; let it stand by itself, and wait for what takes time"
                )
        return reports, ""

    def _check(
        self,
        lab: Lab,
        refs: dict[str, MachineRef],
        tasks: list[Task],
        shuffle: random.Random | None = None,
    ) -> dict[str, dict[str, Any]]:
        found = {name: self._driver.poll(ref) for name, ref in refs.items()}
        reports = self._runner.run(
            self._course.checks(tasks[0].assignment),
            [task.name for task in tasks],
            {name: lambda ref=ref: self._driver.open_session(ref) for name, ref in refs.items()},  # type: ignore[misc]
            lab.default,
            addresses={name: machine.address for name, machine in found.items() if machine},
            timeout=CHECK_SECONDS,
            shuffle=shuffle,
        )
        return {report["task"]: report for report in reports}

    @contextmanager
    def _machines(self, lab: Lab) -> Iterator[dict[str, MachineRef]]:
        """Fresh machines of a lab, of an owner of their own, for as long as they are needed."""
        if self._closed:
            raise PlayError("the proof was interrupted")
        owner = f"{OWNER}{os.getpid()}:{next(self._numbers)}"
        specs = lab_specs(self._course, lab.id, owner, self._secret)
        try:
            for spec in specs:
                if spec.driver != self._driver.name:
                    raise PlayError(f"machine {spec.ref.machine} needs the driver {spec.driver}")
                if self._driver.ensure(spec).state is not State.RUNNING:
                    raise PlayError(f"machine {spec.ref.machine} did not come up; look at its set-up script")
            yield {spec.ref.machine: spec.ref for spec in specs}
        finally:
            for spec in specs:
                self._driver.delete(spec.ref)

    def _clear(self) -> None:
        """Remove the machines of this proof."""
        for machine in self._driver.machines(course=self._course.id):
            if _process(machine.ref) == str(os.getpid()):
                with suppress(MachineError):
                    self._driver.delete(machine.ref)


def leftovers(driver: Driver, course: str | None = None) -> list[MachineRef]:
    """The machines of proofs whose process is gone."""
    refs = [machine.ref for machine in driver.machines(course=course)]
    return [ref for ref in refs if (pid := _process(ref)) and not Path(f"/proc/{pid}").exists()]


def _process(ref: MachineRef) -> str:
    """The process whose proof a machine is part of; "" for everybody else's."""
    return ref.owner.removeprefix(OWNER).partition(":")[0] if ref.owner.startswith(OWNER) else ""


def _verdict(task: Task, name: str, report: dict[str, Any] | None, problem: str, seconds: float) -> Play:
    """Whether a play went as it should."""
    earned = float(report["earned"]) if report else 0.0
    if report and not problem:
        for check in report["checks"]:
            if check["outcome"] in ("error", "timeout"):
                mistake = (check["evidence"] or [{}])[-1].get("stderr", "").strip().splitlines()
                said = f"{check['observed']} {mistake[-1] if mistake else ''}".strip()
                problem = f"the check {check['name']} came to no verdict: {said}"
                break
        else:
            unmet = "; ".join(f"{c['name']}: {c['observed']}" for c in report["checks"] if not c["earned"])
            met = ", ".join(c["name"] for c in report["checks"] if c["earned"])
            if name == "untouched" and earned:
                problem = f"a machine that nobody touched earns {earned:g} ({met})"
            elif name == "solution" and earned < task.points:
                problem = f"the solution earns {earned:g} of {task.points:g} ({unmet})"
            elif name.startswith("wrong-") and earned >= task.points:
                problem = f"this wrong solution earns all {task.points:g} points"
    checking = round(sum(check["seconds"] for check in report["checks"]), 2) if report else 0.0
    return Play(task.assignment, task.name, name, task.points, earned, seconds, checking, problem)
