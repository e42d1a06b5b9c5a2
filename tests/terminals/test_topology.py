"""Which machine is meant."""

import json
from pathlib import Path
from typing import Any

import pytest
from machineroom_terminals.topology import Topology, UnknownMachine, read_topology


def lab(id: str, default: str, *names: str) -> dict[str, Any]:
    return {
        "id": id,
        "default": default,
        "machines": [{"name": n, "image": "lab", "ports": []} for n in names],
    }


@pytest.fixture
def topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Topology:
    monkeypatch.setenv("MACHINEROOM_ETC", str(tmp_path))
    monkeypatch.delenv("MACHINEROOM_SERVICE_URL", raising=False)
    courses = [
        {"id": "linux", "labs": [lab("box", "box", "box"), lab("shop", "web", "db", "web")]},
        {"id": "nets", "labs": [lab("lan", "r1", "r1", "web", "web_2"), lab("wan", "r9", "r9")]},
    ]
    said = {"user": "ada", "service_url": "http://10.0.0.1:8083/services/machineroom", "courses": courses}
    (tmp_path / "workspace.json").write_text(json.dumps(said))
    return read_topology()


def test_a_labs_default_machine_comes_first(topology: Topology) -> None:
    names = ["box", "web", "db", "r1", "web", "web_2", "r9"]
    assert [m.name for m in topology.machines] == names
    assert str(topology.default) == "linux/box/box"


def test_a_workspace_without_courses_has_no_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINEROOM_ETC", str(tmp_path))
    assert read_topology().default is None


@pytest.mark.parametrize(
    ("text", "course", "found"),
    [
        ("db", None, "linux/shop/db"),
        ("web", None, "linux/shop/web"),
        ("web", "nets", "nets/lan/web"),
        ("box", "nets", "linux/box/box"),
        ("lan/web", None, "nets/lan/web"),
        ("nets/lan/web", "linux", "nets/lan/web"),
    ],
)
def test_find(topology: Topology, text: str, course: str | None, found: str) -> None:
    assert str(topology.find(text, course)) == found


@pytest.mark.parametrize("text", ["", "we", "shop/", "nets/shop/web", "-oProxyCommand=id", "../web", "web\n"])
def test_anything_else_is_no_machine(topology: Topology, text: str) -> None:
    with pytest.raises(UnknownMachine, match=r"Name one of these: box, shop/web, db, r1, lan/web"):
        topology.find(text)


def test_the_course_of_a_folder(topology: Topology) -> None:
    assert topology.of_course(Path("/home/jovyan/courses/nets/source")) == "nets"
    assert topology.of_course(Path("/home/jovyan/linux/nets")) == "nets"
    assert topology.of_course(Path("/home/jovyan/elsewhere")) is None


def test_a_terminals_name_tells_its_machine(topology: Topology) -> None:
    taken: list[str] = []
    for machine in [*topology.machines, *topology.machines, None, None]:
        name = topology.terminal_name(machine, taken)
        assert name not in taken
        assert name.isidentifier()
        assert topology.of_terminal(name) is machine
        taken.append(name)
    assert {"box", "box_2", "db_2", "workspace", "workspace_2", "linux__shop__web"} <= set(taken)


def test_a_second_terminal_does_not_take_another_machines_name(topology: Topology) -> None:
    r1, other = topology.find("r1"), topology.find("web_2")
    assert other.stem == "web_2"
    assert topology.terminal_name(topology.find("lan/web"), []) == "nets__lan__web"
    assert topology.terminal_name(r1, ["r1", "r1_2"]) == "r1_3"
