"""What the cloud's container is, as text."""

from ipaddress import IPv4Network

from machineroom_hub.cloud import objects
from machineroom_hub.room import Room

PLACE = objects.Place(IPv4Network("10.214.16.0/20"))


def test_floating_addresses_are_a_part_of_the_network_that_nothing_else_is_in() -> None:
    assert str(PLACE.address) == "10.214.16.2"
    assert str(PLACE.floating) == "10.214.28.0/22"
    assert PLACE.address not in PLACE.floating
    assert PLACE.subnet[1] not in PLACE.floating


def test_its_container_is_not_privileged(room: Room) -> None:
    host = objects.container(room, "net", PLACE)["HostConfig"]
    assert not host.get("Privileged")
    assert host["CapDrop"] == ["ALL"]
    assert not {"SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "MKNOD"} & set(host["CapAdd"])
    assert "UsernsMode" not in host  # root in it is nobody on the host, where the engine has user namespaces
    assert all("seccomp" not in option for option in host["SecurityOpt"])
    assert {mount["Target"] for mount in host["Mounts"]} == {"/dev/net/tun", "/dev/kvm"}


def test_its_container_is_no_machine_of_anybodys(room: Room) -> None:
    labels = objects.container(room, "net", PLACE)["Labels"]
    assert labels["machineroom.room"] == room.id
    assert not {"machineroom.owner", "machineroom.machine"} & set(labels)
