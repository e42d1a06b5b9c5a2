"""What a workspace asks of the Machineroom service, with nothing but the standard library."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from .topology import Machine, Topology

ACTIONS = ("ensure", "reset", "suspend", "resume", "stop")


class ServiceError(Exception):
    """The service does not answer, or says no. The message is a sentence."""


def machine_url(topology: Topology, machine: Machine, action: str) -> str:
    """The address of an action, or of `console`, of a machine of this workspace."""
    path = "/".join(
        quote(part, safe="") for part in (topology.user, machine.course, machine.lab, machine.name, action)
    )
    return f"{topology.service_url}/api/machines/{path}"


def list_url(topology: Topology) -> str:
    """The address of the list of this workspace's machines."""
    return f"{topology.service_url}/api/machines?owner={quote(topology.user, safe='')}"


def credentials() -> dict[str, str]:
    """How the workspace shows who it is."""
    return {"Authorization": f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '')}"}


def detail(body: bytes, otherwise: str) -> str:
    """The sentence in an error that the service answered, or `otherwise`."""
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return otherwise


def states(found: list[dict[str, Any]]) -> dict[str, str]:
    """The state of each machine in the service's list, by `course/lab/machine`."""
    return {f"{m['course']}/{m['lab']}/{m['machine']}": m["state"] for m in found}


def state(topology: Topology, machine: Machine) -> str:
    """The state of a machine, "" when it does not exist. Raises ServiceError."""
    with _open(list_url(topology), "GET", timeout=5) as answer:
        return states(json.load(answer)).get(str(machine), "")


def ensure(topology: Topology, machine: Machine) -> Iterator[str]:
    """Have the machine made, started or resumed; yields what is being done. Raises ServiceError."""
    try:
        with _open(machine_url(topology, machine, "ensure"), "POST", timeout=300) as answer:
            for line in answer:
                step = json.loads(line)
                if "error" in step:
                    raise ServiceError(step["error"])
                if "done" in step:
                    return
                yield f"{step['percent']:3d} %  {step['message']}"
    except (OSError, ValueError) as error:
        raise ServiceError(f"The Machineroom service broke off: {error}.") from None
    raise ServiceError("The Machineroom service broke off.")


def _open(url: str, method: str, timeout: float) -> Any:
    request = urllib.request.Request(url, headers=credentials(), method=method)  # noqa: S310
    try:
        # The service is on our own network: no proxy that the environment names is meant for it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise ServiceError(detail(error.read(), f"The Machineroom service said: {error}.")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceError(f"The Machineroom service does not answer ({reason}).") from None
