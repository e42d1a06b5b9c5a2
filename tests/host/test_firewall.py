"""The rules as text, and as iptables really takes them."""

import subprocess

from machineroom_hub.host import firewall
from machineroom_hub.room import Room


def test_a_machine_reaches_nothing_of_the_host_and_a_workspace_only_hub_and_service(room: Room) -> None:
    inward, _ = firewall.chains(room)
    student, hub = f"ms{room.id}+", f"mh{room.id}+"
    verdicts = {(rule[1], rule[5] if "--dport" in rule else "*"): rule[-1] for rule in inward.rules[1:]}
    assert verdicts == {
        (hub, str(room.hub_port)): "RETURN",
        (hub, str(room.service_port)): "RETURN",
        (hub, "*"): "DROP",
        (student, "*"): "DROP",
    }


def test_nothing_is_forwarded_to_metadata_or_between_our_bridges(room: Room) -> None:
    _, forward = firewall.chains(room)
    assert all(rule[-1] == "DROP" for rule in forward.rules)
    assert ("-i", f"ms{room.id}+", "-d", "169.254.0.0/16", "-j", "DROP") in forward.rules
    assert ("-i", f"ms{room.id}+", "-o", f"mh{room.id}+", "-j", "DROP") in forward.rules


def test_a_cloud_is_reached_by_workspaces_and_reaches_nothing_itself(room: Room) -> None:
    inward, forward = firewall.cloud_chains(room)
    cloud, hub, student = f"mc{room.id}+", f"mh{room.id}+", f"ms{room.id}+"
    assert inward.rules[-1] == ("-i", cloud, "-j", "DROP")
    opened = [rule for rule in forward.rules if rule[-1] == "ACCEPT"]
    assert opened[0] == ("-i", hub, "-o", cloud, "-j", "ACCEPT")
    assert [rule[:4] for rule in opened[1:]] == [("-i", cloud, "-o", hub)]
    assert "RELATED,ESTABLISHED" in opened[1]
    closed = [rule for rule in forward.rules if rule[-1] == "DROP"]
    assert {(rule[1], rule[3]) for rule in closed} == {
        (cloud, "169.254.0.0/16"),
        (cloud, hub),
        (cloud, student),
        (student, cloud),
    }


def test_applying_twice_leaves_one_jump_and_removing_leaves_nothing(room: Room) -> None:
    def rules() -> str:
        return subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout

    try:
        firewall.apply(room)
        firewall.apply(room)
        assert firewall.in_place(room)
        assert rules().count(f"-A INPUT -j MR-{room.id}-IN") == 1
        subprocess.run(["iptables", "-F", f"MR-{room.id}-IN"], check=True)
        assert not firewall.in_place(room)
        firewall.apply_cloud(room)
        firewall.apply_cloud(room)
        assert rules().count(f"-A DOCKER-USER -j MR-{room.id}-CFW") == 1
    finally:
        firewall.remove(room)
        firewall.remove_cloud(room)
    firewall.remove(room)
    firewall.remove_cloud(room)
    assert room.id not in rules()
