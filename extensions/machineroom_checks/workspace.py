"""The workspace that a notebook runs in: whose it is, its courses, and the service that belongs to it."""

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imported where they are used: every notebook imports this module
    from urllib.error import HTTPError

CHECK_SECONDS = 120.0
"""How long the service may take to answer: a minute of checks, and waiting for others."""


class NotPossible(Exception):
    """What was asked for cannot be done now: its text says why, and what to do next."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback, which would be about us and not about the reader."""
        return [f"{type(self).__name__}: {self}"]


def folder() -> Path:
    """Where the spawner describes the workspace; environment `MACHINEROOM_ETC` says otherwise."""
    return Path(os.environ.get("MACHINEROOM_ETC", "/etc/machineroom"))


def about() -> dict[str, Any]:
    """The content of `workspace.json`. Raises NotPossible."""
    try:
        return json.loads((folder() / "workspace.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NotPossible(
            "This notebook does not run in a Machineroom workspace, so it has no machines. "
            "Log in to your course's Machineroom and open the notebook there."
        ) from None


def place() -> tuple[str, str]:
    """Course and assignment of the notebook, by the folder it lies in; "" for what that does not tell."""
    courses = [course["id"] for course in about()["courses"]]
    here, home = Path.cwd(), Path.home()
    parts = here.relative_to(home).parts if here.is_relative_to(home) else ()
    if parts[:1] == ("courses",):
        # A grader's live course: ~/courses/COURSE/source/ASSIGNMENT, …/autograded/STUDENT/ASSIGNMENT.
        course, inside = parts[1] if len(parts) > 1 else "", parts[2:]
        depth = 2 if inside[:1] in {("submitted",), ("autograded",), ("feedback",)} else 1
        return (course if course in courses else ""), (inside[depth] if len(inside) > depth else "")
    if parts and parts[0] in courses:
        return parts[0], parts[1] if len(parts) > 1 else ""
    return (courses[0] if len(courses) == 1 else ""), ""


def course_or_say(course: str | None) -> tuple[str, str]:
    """The course that is meant, and the assignment if that is known. Raises NotPossible."""
    found, assignment = place()
    if course and course != found:
        return course, ""
    if not found:
        known = ", ".join(c["id"] for c in about()["courses"]) or "none"
        raise NotPossible(
            'It is not clear which course is meant: write it, as in check("task", course="…"). '
            f"Your courses: {known}."
        )
    return found, assignment


def wake(host: str) -> None:
    """Have the service resume the machine `machine.lab.course`, should it be asleep."""
    machine, lab, course = host.split(".")
    with contextlib.suppress(NotPossible):  # what it was wanted for will tell that it does not answer
        post(f"machines/{about()['user']}/{course}/{lab}/{machine}/resume", {})


def post(path: str, body: dict[str, Any]) -> Any:
    """What the service answers to a POST of `body` to the API's `path`. Raises NotPossible."""
    import urllib.error
    import urllib.request

    url = (os.environ.get("MACHINEROOM_SERVICE_URL") or about()["service_url"]).rstrip("/")
    token = os.environ.get("JUPYTERHUB_API_TOKEN")
    if not token:
        raise NotPossible(
            "You are not logged in here: JUPYTERHUB_API_TOKEN is missing. Open this notebook in the "
            "workspace that the hub starts for you."
        )
    request = urllib.request.Request(  # noqa: S310  # the spawner's address
        f"{url}/api/{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
    )
    # Never by way of a proxy that a workspace may have for the internet.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=CHECK_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise NotPossible(_refused(error)) from None
    except TimeoutError:
        raise NotPossible(
            f"The checks took longer than {CHECK_SECONDS:g} seconds. See in a terminal whether your machine "
            "answers; if it does not, reset it in the launcher, then check again."
        ) from None
    except (OSError, ValueError):
        raise NotPossible(
            "The Machineroom service does not answer; it may be restarting. Nothing of yours is lost: "
            "wait a minute, then check again."
        ) from None


def _refused(error: "HTTPError") -> str:
    if error.code == 401:
        return (
            "The service does not know your login any more. Stop your server and start it again "
            "(File, Hub Control Panel), then check again; your files stay."
        )
    try:
        detail = json.load(error)["detail"]
    except (OSError, ValueError, KeyError, TypeError):
        detail = None
    if isinstance(detail, str):
        return detail
    return f"The Machineroom service could not do it (status {error.code}). Wait a minute, then check again."
