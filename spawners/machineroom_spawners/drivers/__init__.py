"""Drivers: what makes machines. `base` is the interface, each other module or package one infrastructure."""

from pathlib import Path
from typing import Any

from .base import Driver, MachineError


def make_driver(
    name: str, room_id: str, *, secret: bytes = b"", clouds: Path | None = None, **settings: Any
) -> Driver:
    """The driver that `lab.yml` calls `name`, for an installation.

    `secret` is the installation's, and `clouds` the clouds.yaml that says how its cloud is reached;
    `settings` are the Docker driver's traits.

    Raises:
        MachineError: there is no such driver.
    """
    if name == "docker":
        from .docker import DockerDriver  # its client library is loaded only where it is used

        return DockerDriver(room_id=room_id, **settings)
    if name == "openstack" and secret and clouds:
        try:
            from .openstack.driver import OpenStackDriver  # as above; this one takes seconds
        except ModuleNotFoundError as error:
            raise MachineError(
                f"Machines of a cloud need the Python package {error.name}, which this environment lacks. "
                "./machineroom up brings it."
            ) from None
        return OpenStackDriver(room_id, secret, clouds)
    raise MachineError(
        f"There is no driver '{name}' here; machines can be made with: docker, openstack. Mend lab.yml."
    )
