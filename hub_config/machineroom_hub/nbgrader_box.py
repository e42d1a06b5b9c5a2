"""nbgrader on a course of this room, in a container that is thrown away: no network, and nobody's token."""

import io
import tarfile
from collections.abc import Mapping, Sequence

import docker
import httpx
from docker.errors import DockerException, ImageNotFound
from machineroom_spawners import names
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import Course
from machineroom_spawners.ownership import give
from machineroom_spawners.workspace import host_uid

from .room import Room

SECONDS = 300
"""How long it may take."""


class NbgraderError(Exception):
    """nbgrader could not be run at all: what happened, and what to do next."""


def run(
    room: Room, course: Course, what: str, command: Sequence[str], files: Mapping[str, bytes] | None = None
) -> bytes:
    """What `command` prints in the workspace's image, where the course's folder is `~/courses/<course>`.

    `files` are laid into `/tmp` first; `what` says in an error what was to be made.

    Raises:
        ContentError: the command failed; the message has its last words.
        NbgraderError: the engine did not play its part.
    """
    try:
        client = docker.from_env(timeout=SECONDS)
        give(course.folder, host_uid(client.info()))
        container = client.containers.create(
            names.image(room.id, "workspace"),
            list(command),
            volumes={str(course.folder): {"bind": f"/home/jovyan/courses/{course.id}", "mode": "rw"}},
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="1g",
            pids_limit=256,
            labels={"machineroom.room": room.id},
        )
    except ImageNotFound:
        raise NbgraderError("there is no workspace image: run ./machineroom image build workspace") from None
    except DockerException as error:
        raise NbgraderError(f"the Docker engine cannot run nbgrader: {error}") from None
    try:
        if files:
            container.put_archive("/tmp", _tar(files))  # noqa: S108  # of the container
        container.start()
        code = container.wait(timeout=SECONDS)["StatusCode"]
        said = container.logs(stdout=False).decode(errors="replace").strip()
        printed: bytes = container.logs(stderr=False)
    except (DockerException, httpx.HTTPError, OSError) as error:
        raise NbgraderError(f"nbgrader did not come to an end: {error}") from None
    finally:
        container.remove(force=True, v=True)
    if code or not printed:
        last = "\n".join(said.splitlines()[-8:])
        raise ContentError(f"nbgrader cannot make {what} of {course.id}:\n{last}")
    return printed


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()
