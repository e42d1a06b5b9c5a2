"""Which machines a workspace has, as its spawner wrote it into `workspace.json`."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WORKSPACE = "workspace"
"""What the workspace itself is called where a machine's name could stand."""


class UnknownMachine(Exception):
    """No machine is called that. The message names those that there are."""


@dataclass(frozen=True)
class Machine:
    """One machine of the student. Its text, `course/lab/machine`, is how the service knows it."""

    course: str
    lab: str
    name: str
    title: str
    """How people call it: its name, and the lab's if another machine has the same name."""
    stem: str
    """What the names of its terminals begin with; Jupyter allows word characters in them, nothing else."""
    ports: tuple[int, ...] = ()
    default: bool = False

    def __str__(self) -> str:
        return f"{self.course}/{self.lab}/{self.name}"

    @property
    def host(self) -> str:
        """Its host name on the student's network and in the ssh configuration; no other machine has it."""
        return f"{self.name}.{self.lab}.{self.course}"


@dataclass(frozen=True)
class Topology:
    """All machines of a workspace, in the order in which they are offered: a lab's default one first."""

    user: str = ""
    service_url: str = ""
    machines: tuple[Machine, ...] = ()

    @property
    def default(self) -> Machine | None:
        """The machine that is meant when none is named."""
        return self.machines[0] if self.machines else None

    def find(self, text: str, course: str | None = None) -> Machine:
        """The machine called `text`: `web`, `webshop/web` or `linux-intro/webshop/web`.

        Of several, one in `course` is meant, else the first, as in `ssh web`. Raises UnknownMachine.
        """
        found = [m for m in self.machines if text in (m.name, f"{m.lab}/{m.name}", str(m))]
        for machine in [m for m in found if m.course == course] + found:
            return machine
        known = ", ".join([m.title for m in self.machines] + [WORKSPACE])
        raise UnknownMachine(f"There is no machine '{text[:80]}' here. Name one of these: {known}.")

    def of_course(self, folder: Path) -> str | None:
        """The course whose folder `folder` is or lies in, by the name of the folder."""
        courses = {m.course for m in self.machines}
        return next((part for part in reversed(folder.parts) if part in courses), None)

    def of_terminal(self, name: str) -> Machine | None:
        """The machine that a terminal called `name` is on: `web` and `web_2` are on `web`."""
        stems = {m.stem: m for m in self.machines}
        return stems.get(name) or stems.get(re.sub(r"_\d+\Z", "", name))

    def terminal_name(self, machine: Machine | None, taken: Iterable[str]) -> str:
        """A free name for one more terminal on `machine`, or on the workspace."""
        stem = machine.stem if machine else WORKSPACE
        name, count = stem, 1
        while name in taken or (count > 1 and self.of_terminal(name) is not machine):
            count += 1
            name = f"{stem}_{count}"
        return name


def etc() -> Path:
    """Where the spawner puts a workspace's files; `MACHINEROOM_ETC` says otherwise."""
    return Path(os.environ.get("MACHINEROOM_ETC", "/etc/machineroom"))


def read_topology() -> Topology:
    """What `workspace.json` says now. Without the file there are no machines: a workspace alone."""
    try:
        said = json.loads((etc() / "workspace.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Topology()
    found = []
    for course in said["courses"]:
        for lab in course["labs"]:
            new = [(course["id"], lab["id"], m, m["name"] == lab["default"]) for m in lab["machines"]]
            found += sorted(new, key=lambda entry: not entry[3])
    names = [machine["name"] for _, _, machine, _ in found]
    machines = []
    for course_id, lab_id, machine, default in found:
        name = machine["name"]
        alone = names.count(name) == 1
        machines.append(
            Machine(
                course=course_id,
                lab=lab_id,
                name=name,
                title=name if alone else f"{lab_id}/{name}",
                stem=name if alone else re.sub(r"\W", "_", f"{course_id}__{lab_id}__{name}"),
                ports=tuple(machine.get("ports", ())),
                default=default,
            )
        )
    url = os.environ.get("MACHINEROOM_SERVICE_URL") or said["service_url"]
    return Topology(said["user"], url.rstrip("/"), tuple(machines))
