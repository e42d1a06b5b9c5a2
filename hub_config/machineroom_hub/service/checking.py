"""Runs checks against a student's machines, and keeps the verdicts with their evidence.

The check files are first copied out of the course folder, which graders can write to, into a
folder named by their content. What is run is then exactly what the digest in the verdict says,
even if somebody saves a file meanwhile, and a link planted among the checks leads nowhere.
"""

import functools
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machineroom_checks.runner import CheckRunner
from machineroom_spawners.course import Assignment, Course
from machineroom_spawners.drivers.base import Driver, Machine, MachineError, State
from machineroom_spawners.spec import MachineRef, machine_spec

from ..room import Room
from .models import Verdict, iso, now
from .sessions import Lease, SessionPool

Report = dict[str, Any]
TIMEOUT = 60.0
"""For all checks of one run together, in seconds."""
_MAX_FILES = 500
_MAX_BYTES = 8 << 20


class ChecksBroken(Exception):
    """The check files cannot be used; the message is for the course's graders."""


@dataclass(frozen=True)
class CheckFiles:
    """An assignment's check files as they were at one moment: a copy, and the digest that names it."""

    folder: Path
    digest: str


def copy_checks(course: Course, assignment: str, cache: Path) -> CheckFiles:
    """A private copy of the assignment's check files. Raises ChecksBroken."""
    files: dict[str, bytes] = {}
    try:
        handle = os.open(course.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for step in ("checks", assignment):
                inner = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = inner
            _read_tree(handle, "", files)
        finally:
            os.close(handle)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ChecksBroken(f"checks/{assignment}: cannot be read (links are not followed): {error}") from None
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{len(name)}:{name}:{len(files[name])}:".encode() + files[name])
    found = CheckFiles(cache / digest.hexdigest(), digest.hexdigest())
    if not found.folder.is_dir():
        part = cache / f"{found.digest}.{os.urandom(4).hex()}.part"
        for name, content in files.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        part.mkdir(parents=True, exist_ok=True)
        try:
            part.rename(found.folder)
        except OSError:  # another thread was first, with the same content
            shutil.rmtree(part)
    return found


def _read_tree(handle: int, prefix: str, files: dict[str, bytes]) -> None:
    for name in sorted(os.listdir(handle)):
        if name.startswith((".", "__pycache__")):
            continue
        inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
        try:
            kind = os.fstat(inner).st_mode
            if stat.S_ISDIR(kind):
                _read_tree(inner, f"{prefix}{name}/", files)
            elif stat.S_ISREG(kind):
                with os.fdopen(inner, "rb", closefd=False) as file:
                    files[prefix + name] = file.read(_MAX_BYTES + 1)
            else:
                raise ChecksBroken(f"{prefix}{name} among the checks is neither a file nor a folder")
        finally:
            os.close(inner)
        if len(files) > _MAX_FILES or sum(map(len, files.values())) > _MAX_BYTES:
            raise ChecksBroken(
                f"the check files are more than {_MAX_FILES} or larger than {_MAX_BYTES >> 20} MiB"
            )


class Checks:
    """The checks of all courses: what tasks there are, and what a student's machines are worth."""

    def __init__(self, room: Room, driver: Callable[[str], Driver], sessions: SessionPool) -> None:
        self._room, self._driver, self._sessions = room, driver, sessions
        self._runner = CheckRunner()
        # kept, so that a regrade can tell what a correction changes from what a copy of a machine lacks
        self._cache = room.state / "service" / "checks"
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in self._cache.glob("*.part"):
            shutil.rmtree(part)
        self._collect = functools.lru_cache(maxsize=256)(self._collected)

    def close(self) -> None:
        """End the processes that run checks."""
        self._runner.close()

    def _collected(self, files: CheckFiles) -> list[dict[str, Any]]:
        if not any(path.name.startswith("test_") for path in files.folder.rglob("*.py")):
            return []
        try:
            return self._runner.collect(files.folder)
        except Exception as error:
            raise ChecksBroken(f"the check files cannot be collected: {error}") from error

    def files(self, course: Course, assignment: str) -> CheckFiles:
        """The check files of an assignment as they are now. Blocks. Raises ChecksBroken."""
        return copy_checks(course, assignment, self._cache)

    def earlier(self, digest: str) -> CheckFiles | None:
        """The check files that had this digest, if they were kept."""
        folder = self._cache / digest
        return CheckFiles(folder, digest) if digest and folder.is_dir() else None

    def forget(self, needed: set[str]) -> None:
        """Remove the check files that no verdict of `needed` is of. Blocks."""
        for folder in self._cache.iterdir():
            if folder.name not in needed:
                shutil.rmtree(folder)

    def tasks(self, course: Course, assignment: str) -> list[dict[str, Any]]:
        """The tasks of an assignment, collected anew only when a check file has changed. Blocks."""
        return self._collect(self.files(course, assignment))

    def run(
        self,
        course: Course,
        assignment: Assignment,
        owner: str,
        tasks: Sequence[str] | None,
        only: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        files: CheckFiles | None = None,
    ) -> tuple[str, list[Report]]:
        """The digest of the check files, and one report per task, on the owner's machines now. Blocks.

        `only` says which checks are run; a task that has none of them has no report. `files` are
        checks as they were earlier.
        A machine that cannot be reached gives reports of outcome `error`. Raises ChecksBroken when
        the fault is not the student's.
        """
        files = files or self.files(course, assignment.name)
        if not self._collect(files):
            return files.digest, []
        if assignment.lab is None:
            raise ChecksBroken(f"assignment {assignment.name} has checks, but course.yml names no lab for it")
        lab = course.labs[assignment.lab]
        leases: list[Lease] = []
        machines = {
            name: functools.partial(self._open, course, MachineRef(owner, course.id, lab.id, name), leases)
            for name in lab.machines
        }
        drivers = {content.driver for content in lab.machines.values()}
        try:
            there = [m for name in drivers for m in self._driver(name).machines(owner, course.id)]
        except MachineError as error:
            raise ChecksBroken(str(error)) from error
        addresses = {m.ref.machine: m.address for m in there if m.ref.lab == lab.id and m.address}
        try:
            reports = self._runner.run(
                files.folder,
                *(tasks, machines, lab.default),
                addresses=addresses,
                timeout=TIMEOUT,
                only=only,
            )
        except Exception as error:
            raise ChecksBroken(f"the checks of {assignment.name} cannot be run: {error}") from error
        finally:
            for lease in leases:
                lease.close()
        moment = iso(now())
        known = {"course": course.id, "assignment": assignment.name, "time": moment}
        return files.digest, [{**known, **report} for report in reports]

    def _open(self, course: Course, ref: MachineRef, leases: list[Lease]) -> Lease:
        """A session on a machine, which is brought to run if it only sleeps."""
        driver = self._driver(course.labs[ref.lab].machines[ref.machine].driver)
        machine = self._awake(driver.poll(ref), course, ref)
        lease = self._sessions.lease(ref, machine.id, lambda: driver.open_session(ref))
        leases.append(lease)
        return lease

    def _awake(self, machine: Machine | None, course: Course, ref: MachineRef) -> Machine:
        driver = self._driver(course.labs[ref.lab].machines[ref.machine].driver)
        if machine is None:
            raise MachineError(
                f"machine {ref.machine} does not exist yet: open a terminal on it, then check again"
            )
        if machine.state == State.SUSPENDED:
            return driver.resume(ref)
        if machine.state == State.STOPPED:
            return driver.ensure(machine_spec(course, ref.lab, ref.machine, ref.owner, self._room.secret))
        return machine


def verdicts(
    reports: Sequence[Report], digest: str, student: str, by: str, submission: str | None
) -> list[Verdict]:
    """Reports, with their evidence, as verdicts that can be kept."""
    return [
        Verdict(
            submission=submission,
            course=report["course"],
            assignment=report["assignment"],
            task=report["task"],
            student=student,
            time=now(),
            points=report["points"],
            earned=report["earned"],
            checks=digest,
            report=report,
            by=by,
        )
        for report in reports
    ]


def for_student(report: Report) -> Report:
    """A report without its evidence."""
    shown = [{k: v for k, v in check.items() if k != "evidence"} for check in report["checks"]]
    return {**report, "checks": shown}
