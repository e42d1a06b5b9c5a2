"""From a course and a student to the full description of a machine. Pure: talks to nobody."""

from dataclasses import dataclass, field

from .course import Course
from .keys import host_key, student_key


@dataclass(frozen=True, order=True)
class MachineRef:
    """Which machine: whose, and which place in which lab. Its text is `owner/course/lab/machine`."""

    owner: str
    course: str
    lab: str
    machine: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.course}/{self.lab}/{self.machine}"


@dataclass(frozen=True)
class MachineSpec:
    """Everything a driver needs to make a machine, in no infrastructure's words.

    `memory` is in bytes and includes swap; `disk` is what the machine may write beyond its image, in
    bytes, 0 for anything; `cpus` in CPUs; `networks` are names within the lab,
    "" being the one network that all machines of a student share. `setup` is the text of a
    script that is run once, as root, before anybody gets the machine. A server of a cloud gets memory,
    CPUs and disk by its `flavor`, stands on the `cloud_network` ("" where the project has but one), and is
    reached by a floating IP, unless fixed ones are routed here.
    """

    ref: MachineRef
    image: str
    driver: str
    memory: int
    cpus: float
    pids: int
    networks: tuple[str, ...]
    disk: int = 0
    ports: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    flavor: str = ""
    cloud_network: str = ""
    floating_ip: bool = True
    setup: str | None = field(default=None, repr=False)
    authorized_key: str = field(default="", repr=False)
    host_key: str = field(default="", repr=False)


def machine_spec(course: Course, lab_id: str, machine: str, owner: str, secret: bytes) -> MachineSpec:
    """The description of `machine` of the course's lab `lab_id` for the student `owner`."""
    lab = course.labs[lab_id]
    content = lab.machines[machine]
    limits = course.limits(lab_id, machine)
    assert limits.memory is not None
    assert limits.cpus is not None
    assert limits.pids is not None
    assert limits.disk is not None
    ref = MachineRef(owner, course.id, lab_id, machine)
    return MachineSpec(
        ref=ref,
        image=content.image,
        driver=content.driver,
        memory=limits.memory,
        cpus=limits.cpus,
        pids=limits.pids,
        disk=limits.disk,
        networks=lab.networks_of(machine),
        ports=content.ports,
        capabilities=content.capabilities,
        flavor=content.flavor or "",
        cloud_network=content.network or "",
        floating_ip=content.floating_ip is not False,
        setup=lab.setup_script(machine),
        authorized_key=student_key(secret, owner).public,
        host_key=host_key(secret, owner, course.id, lab_id, machine).private,
    )


def lab_specs(course: Course, lab_id: str, owner: str, secret: bytes) -> list[MachineSpec]:
    """The descriptions of all machines of a lab for one student, in the author's order."""
    names = course.labs[lab_id].machines
    return [machine_spec(course, lab_id, name, owner, secret) for name in names]
