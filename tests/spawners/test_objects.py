"""What the Docker driver sends to the engine, without an engine."""

import io
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from machineroom_spawners.drivers import objects
from machineroom_spawners.drivers.base import MachineError, State
from machineroom_spawners.spec import MachineRef, MachineSpec

SpecFactory = Callable[..., MachineSpec]


def image(**labels: str) -> dict[str, Any]:
    said = {f"machineroom.{key.replace('_', '-')}": value for key, value in labels.items()}
    return {"Id": "sha256:0", "Size": 1000, "Config": {"Labels": said}}


def container(spec: MachineSpec, init: str = "tini") -> dict[str, Any]:
    return objects.container(spec, "abcdef", image(init=init), spec.image, "/tools")


def test_limits_are_told_to_the_engine_and_swap_counts_as_memory(spec: SpecFactory) -> None:
    host = container(spec(memory=64 << 20, cpus=0.25, pids=50))["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 64 << 20
    assert (host["NanoCpus"], host["PidsLimit"]) == (250_000_000, 50)
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/tools", "Target": "/.machineroom", "ReadOnly": True}
    ]
    assert "no-new-privileges" not in host.get("SecurityOpt", [])


def test_only_systemd_gets_the_runtime(spec: SpecFactory) -> None:
    slim, full = container(spec()), container(spec(), "systemd")
    assert "Runtime" not in slim["HostConfig"]
    assert full["HostConfig"]["Runtime"] == "machineroom"
    assert full["StopSignal"] == "SIGRTMIN+3"
    assert "container=docker" in full["Env"]
    assert full["HostConfig"]["CgroupnsMode"] == "private"


def test_an_image_that_does_not_say_how_it_boots_is_refused(spec: SpecFactory) -> None:
    with pytest.raises(MachineError, match=r"image 'lab-slim' has no label machineroom\.init"):
        objects.container(spec(), "abcdef", image(), "lab-slim", "/tools")


@pytest.mark.parametrize("name", ["NET_ADMIN", "CAP_NET_ADMIN"])
def test_a_lab_gets_the_capabilities_that_it_asks_for(spec: SpecFactory, name: str) -> None:
    host = container(spec(capabilities=(name,)))["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert "NET_ADMIN" in host["CapAdd"]
    assert "MKNOD" not in host["CapAdd"]
    assert "NET_ADMIN" not in container(spec())["HostConfig"]["CapAdd"]


def test_labels_name_the_machine_and_lead_back_to_it(spec: SpecFactory) -> None:
    wanted = spec("web", owner="Zoë O'Brien")
    labelled = container(wanted)["Labels"]
    assert objects.ref_of(labelled) == wanted.ref
    assert (labelled["machineroom.room"], labelled["machineroom.lab-image-size"]) == ("abcdef", "1000")


def test_names_of_different_machines_differ() -> None:
    refs = [MachineRef("ada", "a-b", "c", "m"), MachineRef("ada", "a", "b-c", "m")]
    assert len({objects.container_name("abcdef", ref) for ref in refs}) == 2
    assert len({objects.network_name("abcdef", ref, "front") for ref in refs}) == 2
    assert len({objects.network_name("abcdef", ref, "") for ref in refs}) == 1
    assert objects.container_name("abcdef", refs[0]) == "mr-abcdef-m-ada.a-b.c.m"


def test_keys_are_put_where_sshd_looks_for_them_and_belong_to_root(spec: SpecFactory) -> None:
    wanted = spec(setup="echo hi")
    with tarfile.open(fileobj=io.BytesIO(objects.files(wanted))) as tar:
        members = {m.name: m for m in tar.getmembers()}
        assert {name: oct(m.mode) for name, m in members.items()} == {
            "root/.ssh": "0o700",
            "root/.ssh/authorized_keys": "0o600",
            "etc/ssh/ssh_host_ed25519_key": "0o600",
            "etc/ssh/ssh_host_ed25519_key.pub": "0o644",
            "var/lib/machineroom-setup": "0o700",
        }
        assert {(m.uid, m.gid) for m in members.values()} == {(0, 0)}
        public = tar.extractfile("etc/ssh/ssh_host_ed25519_key.pub")
        assert public
        assert public.read().startswith(b"ssh-ed25519 AAAA")


@pytest.mark.parametrize(
    ("said", "name", "state", "address"),
    [
        ("running", "/mr-x", State.RUNNING, "10.0.0.2"),
        ("paused", "/mr-x", State.SUSPENDED, ""),
        ("exited", "/mr-x", State.STOPPED, ""),
        ("dead", "/mr-x", State.BROKEN, ""),
        ("running", "/mr-x-making", State.CREATING, ""),
    ],
)
def test_a_listed_container_is_a_machine(said: str, name: str, state: State, address: str) -> None:
    labelled = {**objects.labels("abcdef", MachineRef("a", "b", "c", "d")), "machineroom.image": "lab"}
    machine = objects.machine(
        {
            "Id": "1",
            "Names": [name],
            "State": said,
            "Created": 0,
            "Labels": labelled,
            "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.2"}}},
        }
    )
    assert (machine.state, machine.address, machine.image) == (state, address, "lab")
    assert machine.created == datetime(1970, 1, 1, tzinfo=UTC)


def test_subnets_avoid_what_is_taken_and_wrap_around() -> None:
    every = list(objects.free_subnets("10.213.0.0/24", [], "ada"))
    assert len(set(every)) == 16
    assert list(objects.free_subnets("10.213.0.0/24", [], "zoe")) != every
    free = list(objects.free_subnets("10.213.0.0/24", ["10.213.0.0/25", "10.213.0.192/26"], "ada"))
    assert sorted(free) == ["10.213.0.128/28", "10.213.0.144/28", "10.213.0.160/28", "10.213.0.176/28"]
    assert list(islice(objects.free_subnets("10.213.0.0/24", ["10.0.0.0/8"], "ada"), 1)) == []
