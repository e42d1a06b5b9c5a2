"""Names of machines that no DNS knows, written into the workspace of whom they belong to.

Docker tells a workspace the addresses of the containers on its networks. Servers of a cloud are on none
of them, so their names stand in the workspace's /etc/hosts.
"""

import shlex
from collections.abc import Iterable
from typing import Any

import docker
from docker.errors import APIError, DockerException

from .base import Machine, MachineError
from .objects import LABEL, aliases, label_filter

_MARK = "# machineroom"


def lines(machines: Iterable[Machine]) -> dict[str, str]:
    """By its full name, each machine's line; only of those that have an address. Pure."""
    found = {}
    for machine in machines:
        if machine.address:
            *short, full = aliases(machine.ref)
            found[full] = f"{machine.address} {full} {' '.join(short)} {_MARK}"
    return found


def script(wanted: dict[str, str]) -> str:
    """Shell code that puts these lines in the place of older ones of the same names, and keeps the rest."""
    drop = " ".join(f"-e {shlex.quote(f' {name} ')}" for name in wanted)
    text = shlex.quote("\n".join(wanted.values()))
    return f"kept=$(grep -vF {drop} /etc/hosts); printf '%s\\n' \"$kept\" {text} >/etc/hosts"


def introduce(room: str, owner: str, machines: Iterable[Machine], client: Any = None) -> None:
    """Have the owner's workspace, if it runs, know the machines by name. Raises MachineError."""
    wanted = lines(machines)
    if not wanted:
        return
    try:
        api = (client or docker.from_env(timeout=30)).api
        for summary in api.containers(
            filters=label_filter({LABEL + "room": room, LABEL + "owner": owner}) | {"status": ["running"]}
        ):
            if LABEL + "machine" not in summary["Labels"]:
                _write(api, summary["Id"], wanted)
    except (APIError, DockerException, OSError) as error:
        raise MachineError(
            f"The workspace of {owner} does not know where {', '.join(wanted)} is ({error}). Restart it."
        ) from None


def _write(api: Any, workspace: str, wanted: dict[str, str]) -> None:
    made = api.exec_create(workspace, ["/bin/sh", "-c", script(wanted)], user="0:0", workdir="/")
    api.exec_start(made["Id"])
    if api.exec_inspect(made["Id"])["ExitCode"]:
        raise OSError("its /etc/hosts could not be written")
