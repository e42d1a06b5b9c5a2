"""Drivers: what makes machines. `base` is the interface, each other module one infrastructure."""

from typing import Any

from .base import Driver, MachineError


def make_driver(name: str, room_id: str, **settings: Any) -> Driver:
    """The driver that `lab.yml` calls `name`, for an installation.

    Raises:
        MachineError: there is no such driver.
    """
    if name == "docker":
        from .docker import DockerDriver  # its client library is loaded only where it is used

        return DockerDriver(room_id=room_id, **settings)
    raise MachineError(f"There is no driver '{name}' yet; machines can be made with: docker. Mend lab.yml.")
