"""A lab: the topology that an author describes in `lab.yml`.

>>> lab = Lab(id="webshop", machines={"web": {"image": "lab"}, "db": {"image": "lab-slim"}})
>>> lab.default, sorted(lab.machines)
('web', ['db', 'web'])
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from .content import Content, ContentError, read, text_of

MACHINE_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}\Z")
DRIVERS = ("docker", "openstack")
"""What machines can be made with; see `drivers.make_driver`."""

CLOUD_KEYS = ("flavor", "network", "floating_ip", "volume")

RESERVED = {"workspace", "localhost", "hub"}
"""Machine names that already mean something else inside a workspace."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(value: object) -> int:
    """Bytes from `256M`, `1.5G` or a plain number. Raises ValueError in words."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", str(value), re.IGNORECASE)
    if not match or float(match[1]) == 0:
        raise ValueError(f"'{value}' is not a size; write for example 256M or 2G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(value: object) -> float | None:
    """Seconds from `90s`, `30m`, `8h` or `2d`; None from `never`. Raises ValueError in words."""
    if value is None or str(value).strip().lower() == "never":
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", str(value), re.IGNORECASE)
    if not match or float(match[1]) == 0:
        raise ValueError(f"'{value}' is not a time; write for example 30m, 8h or 2d, or never")
    return float(match[1]) * _SECONDS[match[2].lower()]


Duration = Annotated[float | None, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(lambda n: n)]


class Limits(Content):
    """What one machine may use. A lab's machine overrides the course's `machine:` defaults."""

    memory: Size | None = Field(default=None, description="memory and swap together, in bytes")
    cpus: float | None = Field(default=None, gt=0, le=64, description="share of CPUs, 1 = one CPU")
    pids: int | None = Field(default=None, ge=16, le=32768, description="processes and threads")
    disk: Size | None = Field(default=None, description="what it writes beyond its image, in bytes")

    def over(self, defaults: "Limits") -> "Limits":
        """These limits, with `defaults` where nothing is said."""
        said = {k: v for k, v in self.model_dump().items() if v is not None}
        return Limits(**{**defaults.model_dump(), **said})


class MachineContent(Limits):
    """One machine of a lab, as its author wrote it."""

    image: str = Field(min_length=1)
    driver: str = "docker"
    ports: tuple[int, ...] = Field((), description="web ports offered in the launcher")
    setup: str | None = Field(None, description="a script beside lab.yml, run once as root")
    always_on: bool = Field(False, description="never suspended for being idle")
    capabilities: tuple[str, ...] = Field((), description="extra Linux capabilities: NET_ADMIN")
    flavor: str | None = Field(None, min_length=1, description="OpenStack only: how large the server is")
    network: str | None = Field(None, min_length=1, description="OpenStack only: the project's network")
    floating_ip: bool | None = Field(None, description="OpenStack only: false where fixed ones are routed")
    volume: Size | None = Field(None, description="OpenStack only")

    @model_validator(mode="after")
    def _keys_fit_the_driver(self) -> Self:
        if self.driver not in DRIVERS:
            near = difflib.get_close_matches(self.driver, DRIVERS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(DRIVERS)}"
            raise ValueError(f"driver: there is no driver '{self.driver}'{hint}")
        if self.driver == "openstack":
            if self.flavor is None:
                raise ValueError("flavor: a server needs one, such as m1.small (openstack flavor list)")
            if self.volume is not None:
                raise ValueError("volume: servers have no volumes yet; take a flavor with a larger disk")
            if self.capabilities:
                raise ValueError("capabilities: a server has them all; leave this key out")
        elif wrong := [key for key in CLOUD_KEYS if getattr(self, key) is not None]:
            raise ValueError(f"{wrong[0]}: only servers of a cloud have it; write driver: openstack")
        return self


class Lab(Content):
    """A topology: machines, the networks between them, and the machine that is meant by default."""

    id: str
    folder: Path = Path()
    machines: dict[str, MachineContent] = Field(min_length=1)
    networks: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    default: str = ""

    @model_validator(mode="before")
    @classmethod
    def _first_machine_is_default(cls, data: dict) -> dict:
        machines = data.get("machines")
        if not data.get("default") and isinstance(machines, dict) and machines:
            return {**data, "default": next(iter(machines))}
        return data

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name in self.machines:
            if not MACHINE_NAME.match(name):
                raise ValueError(
                    f"machine '{name}': names are lower-case letters, digits and _, "
                    "beginning with a letter (a terminal's name allows nothing else)"
                )
            if name in RESERVED:
                raise ValueError(f"machine '{name}': this name is taken by the workspace itself")
        if self.default not in self.machines:
            raise ValueError(f"default: there is no machine '{self.default}'")
        for network, members in self.networks.items():
            for member in members:
                if member not in self.machines:
                    raise ValueError(f"network '{network}': there is no machine '{member}'")
        if self.networks:
            joined = {member for members in self.networks.values() for member in members}
            for name in self.machines:
                if name not in joined:
                    raise ValueError(f"machine '{name}' is on none of the networks")
        return self

    def networks_of(self, machine: str) -> tuple[str, ...]:
        """The lab's networks that `machine` is on; `("",)`, the student's own, when none is named."""
        return tuple(n for n, members in self.networks.items() if machine in members) or ("",)

    def setup_script(self, machine: str) -> str | None:
        """The text of the machine's set-up script, or None. Raises ContentError if it is missing."""
        name = self.machines[machine].setup
        if name is None:
            return None
        try:
            return text_of(self.folder / name, self.folder)
        except ContentError as error:
            raise ContentError(f"{self.folder / 'lab.yml'}: machines.{machine}.setup: {error}") from None


def read_lab(folder: Path, within: Path | None = None) -> Lab:
    """The lab in `folder`, which holds `lab.yml` and its set-up scripts; no link leads out of `within`.

    Raises:
        ContentError: anything that an author has to mend.
    """
    lab = read(folder / "lab.yml", Lab, within=within, id=folder.name, folder=folder)
    for machine in lab.machines:
        lab.setup_script(machine)
    return lab
