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
    finally:
        firewall.remove(room)
    firewall.remove(room)
    assert room.id not in rules()
