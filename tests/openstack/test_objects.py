"""What a cloud is sent and what is made of what it says, without one."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machineroom_spawners.content import ContentError
from machineroom_spawners.drivers.base import State
from machineroom_spawners.drivers.openstack import objects, userdata, words
from machineroom_spawners.keys import host_key, service_key, student_key
from machineroom_spawners.lab import Lab, read_lab
from machineroom_spawners.spec import MachineRef, MachineSpec

ROOM = "abc123"
REF = MachineRef("Zoë O'Brien", "cloud", "first", "web_1")
SECRET = b"s" * 32
SPEC = MachineSpec(REF, "debian", "openstack", 1 << 28, 1.0, 128, ("",), ports=(80,), flavor="tiny")


def server(status: str = "ACTIVE", task: str | None = None, **metadata: str) -> dict[str, Any]:
    """A server as Nova tells of one."""
    sent = objects.server(SPEC, ROOM, "image-id", "flavor-id", "port-id", "203.0.113.7", "#!/bin/sh\n")
    labelled = {key: value for key, value in sent["metadata"].items() if key != objects.MAKING}
    return {
        "id": "server-id",
        "name": sent["name"],
        "status": status,
        "OS-EXT-STS:task_state": task,
        "created": "2026-11-21T16:00:00Z",
        "metadata": {**labelled, **metadata},
    }


def test_a_server_carries_what_is_needed_to_find_it_again() -> None:
    body = objects.server(SPEC, ROOM, "image-id", "flavor-id", "port-id", "203.0.113.7", "#!/bin/sh\n")
    assert body["hostname"] == "web-1", "host names hold no underscore"
    assert body["networks"] == [{"port": "port-id"}]
    assert base64.b64decode(body["user_data"]) == b"#!/bin/sh\n"
    assert "key_name" not in body, "key pairs belong to one account, and are few"
    assert all(len(value) <= 255 for value in body["metadata"].values())
    found = objects.machine(server())
    assert (found.ref, found.image, found.address) == (REF, "debian", "203.0.113.7")
    assert (found.driver, found.id, found.created.year) == ("openstack", "server-id", 2026)


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("ACTIVE", State.RUNNING),
        ("PAUSED", State.SUSPENDED),
        ("SUSPENDED", State.SUSPENDED),
        ("SHUTOFF", State.STOPPED),
        ("SHELVED_OFFLOADED", State.STOPPED),
        ("BUILD", State.CREATING),
        ("ERROR", State.BROKEN),
        ("SOMETHING_NEW", State.BROKEN),
    ],
)
def test_each_status_means_a_state(status: str, wanted: State) -> None:
    assert objects.state(server(status)) is wanted
    assert objects.state(server(status, **{objects.MAKING: "yes"})) is State.CREATING


def test_only_what_carries_the_rooms_mark_is_ours() -> None:
    assert objects.is_ours(server(), ROOM)
    assert not objects.is_ours(server(), "ffffff")
    assert not objects.is_ours({"status": "ACTIVE"}, ROOM)
    assert not objects.is_ours(server("SOFT_DELETED"), ROOM)
    assert objects.is_leaving(server(task="deleting"))
    assert objects.is_busy(server(task="suspending"))
    assert not objects.is_busy(server())


def test_the_door_is_open_for_ssh_and_the_labs_ports_only() -> None:
    rules = objects.door_rules("group", (443, 80, 22), "198.51.100.0/24")
    assert [rule["port_range_min"] for rule in rules] == [22, 80, 443]
    assert {rule["remote_ip_prefix"] for rule in rules} == {"198.51.100.0/24"}
    assert {rule["direction"] for rule in rules} == {"ingress"}
    assert objects.door_rules("group", (), "2001:db8::/32")[0]["ethertype"] == "IPv6"
    assert objects.door_name(ROOM, (80, 22)) == objects.door_name(ROOM, (80,)) != objects.door_name(ROOM, ())
    assert {rule["remote_group_id"] for rule in objects.peer_rules("mine")} == {"mine"}


def test_a_snapshot_is_known_by_its_properties() -> None:
    image = {
        **objects.labels(ROOM, REF),
        objects.LABEL + "snapshot": "before",
        "id": "image-id",
        "status": "active",
        "created_at": "2026-11-21T16:00:00Z",
        "size": 5,
    }
    found = objects.snapshot(image)
    assert (found.ref, found.name, found.size) == (REF, "before", 5)
    assert objects.is_snapshot(image, ROOM)
    assert not objects.is_snapshot({**image, "status": "saving"}, ROOM)
    assert not objects.is_snapshot({"status": "active", objects.LABEL + "room": ROOM}, ROOM)


# What the server does with its user data


@pytest.fixture
def play(tmp_path: Path) -> Callable[[str], Path]:
    """Runs user data in a folder that stands for the root of a machine's files."""

    def run(script: str) -> Path:
        for place in (
            "/root/.ssh",
            "/etc/ssh",
            "/etc/dropbear",
            "/var/lib/machineroom",
            "/run/systemd/system",
        ):
            script = script.replace(place, f"{tmp_path}{place}")
        subprocess.run(["sh", "-c", script], check=True)
        return tmp_path

    for folder in ("etc/ssh", "etc/dropbear"):
        (tmp_path / folder).mkdir(parents=True)
    return run


def test_user_data_lets_student_and_service_in_and_pins_the_host_key(play: Callable[[str], Path]) -> None:
    student, service = student_key(SECRET, "ada").public, service_key(SECRET).public
    pinned = host_key(SECRET, "ada", "cloud", "first", "web")
    root = play(userdata.script("one", student, service, pinned.private))
    authorized = root / "root/.ssh/authorized_keys"
    assert authorized.read_text() == f"{student}\n{service}\n"
    assert authorized.stat().st_mode & 0o77 == 0
    private = root / "etc/ssh/ssh_host_ed25519_key"
    assert private.stat().st_mode & 0o77 == 0
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(private)], capture_output=True, text=True, check=True
    )
    assert derived.stdout.split()[:2] == pinned.public.split()[:2]
    assert private.with_suffix(".pub").read_text() == f"{pinned.public}\n"

    authorized.write_text("mine\n")
    play(userdata.script("one", student, service, pinned.private))
    assert authorized.read_text() == "mine\n", "what a student changes stays, whenever the server starts"
    play(userdata.script("two", "", service, pinned.private))
    assert authorized.read_text() == f"mine\n{service}\n", "a copy keeps the keys that it had"
    assert (root / "etc/dropbear/dropbear_ed25519_host_key").read_bytes() == userdata.dropbear(pinned.private)


def test_dropbears_key_is_the_same_key() -> None:
    pinned = host_key(SECRET, "ada", "cloud", "first", "web")
    kept = userdata.dropbear(pinned.private)
    assert kept[:15] == b"\0\0\0\x0bssh-ed25519"
    assert kept[15:19] == (64).to_bytes(4, "big")
    assert kept[-32:] == base64.b64decode(pinned.public.split()[1])[-32:]


# Words


@pytest.mark.parametrize(
    ("service", "status", "body", "says"),
    [
        (
            "compute",
            403,
            '{"forbidden": {"code": 403, "message": "Quota exceeded for instances: Requested 1, '
            'but already used 10 of 10 instances"}}',
            r"quota does not allow it: Quota exceeded for instances: .*10 of 10 instances\. Delete machines",
        ),
        (
            "network",
            409,
            '{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: '
            '[\'floatingip\'].", "detail": ""}}',
            r"quota does not allow it: .*floatingip.*Delete machines",
        ),
        (
            "compute",
            403,
            '{"forbidden": {"message": "Policy does not allow it"}}',
            r"needs the role 'member'",
        ),
        ("image", 500, "<html><body><h1>500</h1> Oops </body></html>", r"Glance failed \(500: 500 Oops\)"),
        ("network", 400, '{"message": "Bad", "code": 400}', r"Neutron refused \(400\): Bad"),
        ("compute", 401, "", r"refuses our credentials.*clouds\.yaml"),
        ("compute", 429, "", r"Try again in a minute"),
        ("compute", 502, "", r"Nova failed \(502: without a word\)"),
    ],
)
def test_a_refusal_says_what_to_do(service: str, status: int, body: str, says: str) -> None:
    assert re.search(says, words.refusal(service, status, body))


def test_a_server_in_error_says_why() -> None:
    none = {"fault": {"message": "No valid host was found. There are not enough hosts available."}}
    assert "Take a smaller flavor" in words.fault(none)
    assert words.fault({"fault": {"message": "Build aborted."}}).endswith("could not make it: Build aborted")
    assert "does not say why" in words.fault({})


def test_what_the_cloud_does_not_have_is_said_with_what_was_meant() -> None:
    assert "did you mean 'debian-13'?" in words.unknown("image", "debian13", ["debian-13", "tiny"])
    assert "it has: a, b." in words.unknown("flavor", "zzz", ["b", "a"])


# lab.yml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("driver: opnstack", r"lab\.yml:2: machines\.box.*no driver 'opnstack'; did you mean 'openstack'\?"),
        ("driver: openstack", r"flavor: a server needs one"),
        ("flavor: tiny", r"flavor: only servers of a cloud have it; write driver: openstack"),
        ("driver: openstack\n    flavor: tiny\n    volume: 10G", r"volume: servers have no volumes yet"),
        ("driver: openstack\n    flavour: tiny", r"unknown key; did you mean 'flavor'\?"),
        ("driver: openstack\n    flavor: tiny\n    capabilities: [NET_ADMIN]", r"a server has them all"),
    ],
)
def test_mistakes_in_a_lab_are_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "lab.yml").write_text(f"machines:\n  box:\n    image: debian\n    {text}\n")
    with pytest.raises(ContentError, match=says):
        read_lab(tmp_path)


def test_a_lab_may_mix_drivers() -> None:
    cloud = {
        "driver": "openstack",
        "image": "debian",
        "flavor": "tiny",
        "network": "students",
        "floating_ip": False,
    }
    lab = Lab(id="mixed", machines={"box": {"image": "lab"}, "cloud": cloud})
    assert [machine.driver for machine in lab.machines.values()] == ["docker", "openstack"]


def test_who_has_no_cloud_never_loads_its_library() -> None:
    load = (
        "import machineroom_hub.service.app, machineroom_hub.cli.app, machineroom_spawners.spawner, sys; "
        "assert not {'openstack', 'keystoneauth1'} & set(sys.modules), 'it takes seconds'"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", load], check=True, env={**os.environ, "PYTHONPATH": paths})
