"""Where the exchange's archives lie, and how they get there.

An archive is written aside, looked through and made durable; the rows of one transaction then
make it count. Whatever ends the service in the middle leaves either all of it or nothing:
a file that no row names is nobody's submission.
"""

from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse
from machineroom_spawners.names import slug

from .archives import MAX_BYTES, Upload, take
from .auth import Caller
from .core import Service
from .models import Submission

ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}}
}
ARCHIVE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"a gzipped tar of plain files and folders, at most {MAX_BYTES >> 20} MiB",
        "content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def incoming(service: Service) -> Path:
    """The folder of what has not arrived whole yet."""
    return service.room.state / "submissions" / "incoming"


def release_file(service: Service, course: str, assignment: str, sha256: str) -> Path:
    """Where a release lies."""
    return service.room.state / "service" / "releases" / course / assignment / f"{sha256}.tar.gz"


def submission_file(service: Service, found: Submission) -> Path:
    """Where what was submitted lies."""
    folder = service.room.state / "submissions" / found.course / found.assignment / slug(found.student)
    return folder / f"{found.id}.tar.gz"


def feedback_file(service: Service, found: Submission, sha256: str) -> Path:
    """Where feedback on a submission lies."""
    return submission_file(service, found).with_name(f"{found.id}.feedback.{sha256}.tar.gz")


def sweep(service: Service) -> None:
    """Remove what arrived only in part before the last end of the service."""
    folder = incoming(service)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    for part in folder.glob("*.part"):
        part.unlink()


class Arriving:
    """`async with` it: an archive that is arriving, forgotten at the end unless it was kept."""

    def __init__(self, service: Service, request: Request) -> None:
        self._coming = take(request.stream(), incoming(service))

    async def __aenter__(self) -> Upload:
        self._upload = await self._coming
        return self._upload

    async def __aexit__(self, *_: object) -> None:
        self._upload.discard()


async def submission_of(service: Service, caller: Caller, id: str) -> Submission:
    """A submission that the caller may see. To others it does not exist."""
    found = await service.read(lambda session: session.get(Submission, id))
    if found is None or not (
        caller.may("assist", found.course)
        or (caller.name == found.student and caller.may("learn", found.course))
    ):
        raise HTTPException(404, f"There is no submission {id} that {caller.name} may see.")
    return found


def download(path: Path, name: str) -> FileResponse:
    """An archive as a download."""
    return FileResponse(path, media_type="application/gzip", filename=name)
