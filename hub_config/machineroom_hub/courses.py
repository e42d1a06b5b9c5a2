"""The courses of a room: add one, bring it up to date, list them, release an assignment.

A room works on a copy of its own: instructors write in it (notebooks, checks, the gradebook), so
an update takes over what the author changed and leaves alone what an instructor did.
"""

import base64
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machineroom_spawners.content import ContentError
from machineroom_spawners.course import COURSE_ID, COURSE_ID_RULE, Course, read_course
from machineroom_spawners.drivers.base import Progress, silent

from . import folders, nbgrader_box, service_api
from .images import read_manifests
from .proof import is_proven
from .room import SOURCE, Room
from .survey import files, require

AUTHORED = ("source", "checks", "labs", "images", "solutions")
"""The folders that come from a course's author; all else in a live folder is the instructors' own."""

STARTER = SOURCE / "course_material" / "starter"
"""What `new` makes."""

_GENERATE = """
cd "$HOME/courses/$1" || exit
nbgrader generate_assignment "$2" --force \\
    --CourseDirectory.course_id="$1" --CourseDirectory.root="$PWD" >&2 &&
tar -cz -C "release/$2" . | base64
"""


@dataclass(frozen=True)
class Added:
    """What came of adding a course: files taken over, and files that an instructor has changed as well.

    Of those in `kept` the author's version lies beside, as `NAME.new`.
    """

    course: Course
    new: bool
    taken: tuple[str, ...]
    kept: tuple[str, ...]


def add(room: Room, path: Path, *, update: bool = False) -> Added:
    """Copy the course in the folder `path` into the room; a course that is there only with `update`.

    Raises:
        ContentError: something that the author has to mend.
    """
    course = read_course(path)
    own = {manifest.parent.name for manifest in course.folder.glob("images/*/image.yml")}
    require(course, {*read_manifests(room), *own})
    live = room.courses / course.id
    if live.resolve() == course.folder:
        raise ContentError(f"{path} is the room's own copy; name the folder that the course came from")
    offered = _offered(course.folder)
    if not live.exists():
        _first_copy(course.folder, live, offered)
        _remember(room, course.id, offered)
        return Added(read_course(live), True, tuple(offered), ())
    if not update:
        return Added(read_course(live), False, (), ())
    taken, kept = _take_over(course.folder, live, offered, _remembered(room, course.id))
    _remember(room, course.id, offered)
    return Added(read_course(live), False, tuple(taken), tuple(kept))


def new(folder: Path) -> Course:
    """Make the folder of a course: a small one that is complete, to be changed into one's own.

    Raises:
        ContentError: there is something of that name already, or it cannot be a course's.
    """
    if not COURSE_ID.match(folder.name):
        raise ContentError(f"'{folder.name}' cannot be a course's name: {COURSE_ID_RULE}")
    try:
        folder.mkdir()
        above = folder.parent.stat()  # root makes it, for whoever called sudo
        os.chown(folder, above.st_uid, above.st_gid)
        for name in _offered(STARTER):
            folders.write(folder, name, (STARTER / name).read_bytes())
    except OSError as error:
        raise ContentError(f"{folder} cannot be made: {error.strerror}") from None
    return read_course(folder)


def get(room: Room, course_id: str) -> Course:
    """The room's course `course_id`, as it is now. Raises ContentError."""
    known = sorted(path.parent.name for path in room.courses.glob("*/course.yml"))
    if course_id not in known:
        raise ContentError(
            f"there is no course '{course_id}' here; there are: {', '.join(known) or 'none yet'}. "
            "Add one with ./machineroom course add PATH"
        )
    return read_course(room.courses / course_id)


def listing(room: Room) -> list[dict[str, Any]]:
    """Every course: `{"id", "title", "assignments", "machines", "proven", "problem"}`."""
    found = []
    for path in sorted(room.courses.glob("*/course.yml")):
        row: dict[str, Any] = {"id": path.parent.name, "title": "", "assignments": [], "machines": 0}
        try:
            course = read_course(path.parent)
        except ContentError as error:  # one broken course does not hide the others
            found.append({**row, "proven": False, "problem": str(error)})
            continue
        row["title"] = course.title
        row["assignments"] = [assignment.name for assignment in course.assignments]
        row["machines"] = sum(len(lab.machines) for lab in course.labs.values())
        found.append({**row, "proven": is_proven(course), "problem": ""})
    return found


def release(
    room: Room, course_id: str, assignment: str, *, unproven: bool = False, progress: Progress = silent
) -> None:
    """Make the students' version of an assignment with nbgrader, and hand it to the service.

    Raises:
        ContentError: no such assignment, nbgrader refuses the notebooks, or the course is not proven.
        NbgraderError, ServiceError: the engine or the service does not play its part.
    """
    course = get(room, course_id)
    course.assignment(assignment)
    checked = any(course.checks(each.name).is_dir() for each in course.assignments)
    if checked and not unproven and not is_proven(course):
        raise ContentError(
            f"course {course_id} is not proven as it is now: run ./machineroom course prove "
            f"{course.folder}, or release it all the same with --unproven"
        )
    progress(10, f"nbgrader makes the students' version of {assignment}")
    archive = generate(room, course, assignment)
    progress(80, "Handing it to the service")
    service_api.call(room, "PUT", f"courses/{course_id}/assignments/{assignment}/release", content=archive)
    progress(100, f"{assignment} is released")


def is_released(room: Room, course_id: str, assignment: str) -> bool:
    """Whether students can fetch the assignment now. Raises ServiceError."""
    found = service_api.call(room, "GET", f"courses/{course_id}/assignments").json()
    return any(each["name"] == assignment and each["released"] for each in found)


def generate(room: Room, course: Course, assignment: str) -> bytes:
    """The students' version of an assignment, a gzipped tar, made by nbgrader."""
    command = ["sh", "-c", _GENERATE, "sh", course.id, assignment]
    return base64.b64decode(nbgrader_box.run(room, course, assignment, command))


def _offered(folder: Path) -> dict[str, str]:
    """The author's files, by name below `folder`, with their SHA-256."""
    top = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    found = [*(path for path in top if not path.is_symlink()), *files(folder, AUTHORED)]
    return {path.relative_to(folder).as_posix(): _sha256(path.read_bytes()) for path in found}


def _first_copy(source: Path, live: Path, offered: dict[str, str]) -> None:
    live.parent.mkdir(parents=True, exist_ok=True)
    part = live.with_name(f".{live.name}.part")
    if part.exists():  # of an `add` that was killed
        shutil.rmtree(part)
    part.mkdir(mode=0o750)
    for name in offered:
        folders.write(part, name, (source / name).read_bytes())
    part.rename(live)


def _take_over(
    source: Path, live: Path, offered: dict[str, str], before: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Bring `live` up to date with the author's files: names of those taken over, and of those kept."""
    taken, kept = [], []
    for name in sorted({*offered, *before}):
        now = folders.read(live, name)
        theirs = _sha256(now) if now is not None else None
        new, old = offered.get(name), before.get(name)
        if new in (theirs, old):
            continue
        if theirs == old and new is None:
            folders.remove(live, name)
            taken.append(name)
        elif theirs == old:
            folders.write(live, name, (source / name).read_bytes())
            taken.append(name)
        else:
            if new is not None:
                folders.write(live, f"{name}.new", (source / name).read_bytes())
            kept.append(name)
    return taken, kept


def _record(room: Room, course_id: str) -> Path:
    return room.courses / f"{course_id}.json"


def _remember(room: Room, course_id: str, offered: dict[str, str]) -> None:
    """Note the author's files as they are now, for the next update."""
    path = _record(room, course_id)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(offered, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def _remembered(room: Room, course_id: str) -> dict[str, str]:
    try:
        return json.loads(_record(room, course_id).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
