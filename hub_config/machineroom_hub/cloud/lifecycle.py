"""The cloud's life: up, stopped, up again, gone. Each step does only what is not done yet."""

import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from tarfile import open as open_tar
from tempfile import TemporaryFile
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from machineroom_spawners import names

from ..host import HostError, firewall, network
from ..room import Room
from . import objects

Tell = Callable[[int, str], None]
"""Told how far it is in percent, and a sentence."""

MEMORY_WANTED = 5 << 30
PATIENCE = 20 * 60
"""Seconds that a first boot may take on a host that has other things to do."""


class CloudError(HostError):
    """The cloud could not be brought up or asked: what happened, and what to do next."""


def up(client: docker.DockerClient, room: Room, tell: Tell) -> Path:
    """Bring the cloud up from its image, which is built; the file with the logins.

    Raises:
        CloudError: it did not come up; what is done so far is kept, and the next call goes on.
    """
    container = _find(client, room)
    if container is None or container.status != "running":
        _refuse_too_little_memory()
    name, subnet = network.ensure_cloud_network(client, room)
    place = objects.Place(subnet)
    firewall.apply_cloud(room)
    _make_devices(room, _root_of(client))
    if container is None:
        tell(0, "Making its container")
        container = _create(client, room, name, place)
    if container.status != "running":
        tell(0, "Starting")
        _start(container)
    elif not _is_ready(container):
        # systemd does it again where it failed, and takes no notice where it is still at it
        _ask(container, "systemctl", "start", "--no-block", objects.UNIT)
    _follow(container, tell)
    return _fetch_logins(container, room)


def is_outdated(client: docker.DockerClient, room: Room) -> bool:
    """Whether the cloud was made of an older image than the room has now. It goes on as it is."""
    container = _find(client, room)
    return (
        container is not None
        and container.attrs["Image"] != client.images.get(names.image(room.id, objects.IMAGE)).id
    )


def stop(client: docker.DockerClient, room: Room) -> bool:
    """Stop the cloud; servers and data are kept. Whether there was one that ran."""
    container = _find(client, room)
    if container is None or container.status != "running":
        return False
    container.stop(timeout=60)
    return True


def purge(client: docker.DockerClient, room: Room) -> None:
    """Remove the cloud with everything in it: container, network, rules, logins. Idempotent."""
    container = _find(client, room)
    if container is not None:
        container.remove(force=True, v=True)
    for each in client.networks.list(names=[objects.container_name(room)]):
        if each.name == objects.container_name(room):
            each.remove()
    firewall.remove_cloud(room)
    shutil.rmtree(objects.folder(room), ignore_errors=True)


def health(client: docker.DockerClient, room: Room) -> list[dict[str, str]] | None:
    """What each service says of itself: `{"service", "state", "detail"}`; None where there is no cloud.

    Raises:
        CloudError: it cannot be asked.
    """
    container = _find(client, room)
    if container is None:
        return None
    if container.status != "running":
        return [{"service": "cloud", "state": "stopped", "detail": "./machineroom cloud up starts it"}]
    if not _is_ready(container):
        percent, sentence = _progress(container)
        words = {"service": "cloud", "state": "starting", "detail": f"{percent} %: {sentence}"}
        if percent < 0:
            words |= {"state": "failed", "detail": f"{sentence}; ./machineroom cloud up tries again"}
        return [words]
    code, output = _ask(container, "env", f"PYTHONPATH={objects.CODE}", "python3", "-m", "aio.health")
    if code:
        raise CloudError(
            f"the cloud cannot be asked how it is: {output[-300:]}; "
            "./machineroom cloud down, then cloud up, starts it anew"
        )
    return list(json.loads(output.splitlines()[-1]))  # libraries may have warned before


def _find(client: docker.DockerClient, room: Room) -> Container | None:
    try:
        return client.containers.get(objects.container_name(room))
    except NotFound:
        return None


def _create(client: docker.DockerClient, room: Room, name: str, place: objects.Place) -> Container:
    spec = objects.container(room, name, place)
    try:
        made = client.api.create_container_from_config(spec, objects.container_name(room))["Id"]
        dns = objects.name_servers(Path("/etc/resolv.conf").read_text())
        client.api.put_archive(made, "/", objects.settings(place, dns))
    except APIError as error:
        raise CloudError(f"the engine does not make the cloud's container: {error.explanation}") from None
    return client.containers.get(made)


def _start(container: Container) -> None:
    try:
        container.start()
    except APIError as error:
        raise CloudError(
            f"the engine does not start the cloud's container: {error.explanation}. This host does not let "
            "containers have the powers that a cloud needs (docs/openstack.md, 'On which hosts it runs')"
        ) from None


def _root_of(client: docker.DockerClient) -> int:
    """Which user of the host is root in a container: an engine's data folder is called after that one."""
    user = Path(str(client.info()["DockerRootDir"])).name.partition(".")[0]
    return int(user) if user.isdigit() else 0


def _make_devices(room: Room, owner: int) -> None:
    for device, (major, minor) in objects.DEVICES.items():
        file = objects.device_file(room, device)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        try:
            if not file.exists():
                os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(major, minor))
            os.chown(file, owner, owner)
        except PermissionError:
            raise CloudError(
                f"{file} cannot be made: this host does not let us make device files, so no cloud runs on it"
            ) from None
    if os.statvfs(room.state).f_flag & os.ST_NODEV:
        raise CloudError(
            f"{room.state} is on a file system mounted 'nodev': the cloud's own device files do not work "
            "there. Mount it without, or name another folder with --state"
        )


def _refuse_too_little_memory() -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    if free < MEMORY_WANTED:
        raise CloudError(
            f"an OpenStack needs {MEMORY_WANTED / 2**30:.0f} GiB of memory, {free / 2**30:.1f} are free: "
            "stop machines (./machineroom machine suspend) or take a bigger host"
        )


def _follow(container: Container, tell: Tell) -> None:
    """Tell what its boot tells, until it is ready."""
    deadline = time.monotonic() + PATIENCE
    while not _is_ready(container):
        percent, sentence = _progress(container)
        if percent < 0:
            raise CloudError(
                f"the cloud did not come up: {sentence}\nNext: ./machineroom cloud up goes on where it was; "
                f"docker exec {container.name} journalctl -u {objects.UNIT} has it all"
            )
        tell(min(percent, 99), sentence)
        container.reload()
        if container.status != "running":
            raise CloudError(f"the cloud's container ended: docker logs {container.name} may say why")
        if time.monotonic() > deadline:
            raise CloudError(
                f"the cloud is not up after {PATIENCE // 60} minutes, at: {sentence}\n"
                "Next: ./machineroom cloud up waits on; docker stats says whether it does anything"
            )
        time.sleep(1)
    tell(100, "ready")


def _is_ready(container: Container) -> bool:
    return _ask(container, "test", "-e", objects.READY)[0] == 0


def _progress(container: Container) -> tuple[int, str]:
    code, output = _ask(container, "tail", "-n", "1", objects.PROGRESS)
    percent, _, sentence = output.strip().partition(" ")
    return (0, "Starting") if code or not sentence else (int(percent), sentence)


def _ask(container: Container, *command: str) -> tuple[int, str]:
    """A command's exit code, and all that it printed."""
    code, output = container.exec_run(list(command))
    said: Any = output  # its type allows for a stream, which we do not ask for
    return int(code or 0), said.decode(errors="replace")


def _fetch_logins(container: Container, room: Room) -> Path:
    stream, _ = container.get_archive(objects.LOGINS)
    target = objects.clouds_file(room)
    part = target.with_suffix(".part")
    with TemporaryFile() as file:
        for chunk in stream:
            file.write(chunk)
        file.seek(0)
        with open_tar(fileobj=file) as tar:
            member: Any = tar.extractfile(tar.getmembers()[0])
            part.touch(mode=0o600)
            part.write_bytes(member.read())
    part.replace(target)
    return target
