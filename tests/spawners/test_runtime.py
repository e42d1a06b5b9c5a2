"""The OCI runtime: how it edits a container's configuration, and how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from machineroom_spawners import runtime


def spec(**linux: Any) -> dict[str, Any]:
    return {
        "mounts": [
            {"destination": "/proc", "type": "proc"},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["nosuid", "ro"]},
        ],
        "linux": {"cgroupsPath": "/docker/1234", "namespaces": [{"type": "cgroup"}], **linux},
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(spec()))
    return folder


def test_on_cgroup_v2_the_containers_own_tree_loses_ro(bundle: Path, tmp_path: Path) -> None:
    wanted = spec(uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}])
    (bundle / "config.json").write_text(json.dumps(wanted))
    (tmp_path / "cgroup.controllers").touch()
    runtime.prepare(bundle, tmp_path)
    edited = json.loads((bundle / "config.json").read_text())
    assert edited["mounts"][1]["options"] == ["nosuid", "rw"]
    assert edited["mounts"][0] == spec()["mounts"][0]


def test_on_cgroup_v2_nobody_gets_the_hosts_tree() -> None:
    with pytest.raises(ValueError, match="no cgroup namespace"):
        runtime.edit_v2(spec(namespaces=[]), delegates=True)
    with pytest.raises(ValueError, match="lift its own limits; run: mount -o remount,nsdelegate"):
        runtime.edit_v2(spec(), delegates=False)
    runtime.edit_v2(spec(), delegates=True)


def test_on_cgroup_v1_the_containers_part_is_made_and_mounted(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "cgroup.procs").touch()
    runtime.prepare(bundle, tmp_path)
    own = tmp_path / "systemd" / "docker" / "1234"
    assert own.is_dir()
    mount = json.loads((bundle / "config.json").read_text())["mounts"][-1]
    assert (mount["source"], mount["destination"]) == (str(own), "/sys/fs/cgroup/systemd")
    assert "rw" in mount["options"]
    assert [p.name for p in bundle.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("/docker/12", "docker/12"),
        ("system.slice:docker:12", "system.slice/docker-12.scope"),
        (":docker:12", "system.slice/docker-12.scope"),
        ("a-b.slice:docker:12", "a.slice/a-b.slice/docker-12.scope"),
    ],
)
def test_a_cgroups_place(said: str, path: str) -> None:
    assert runtime.cgroup_path(said) == Path(path)


@pytest.mark.parametrize("said", ["/", "", "/docker/../../etc"])
def test_a_place_outside_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="no place for a container's cgroup"):
        runtime.cgroup_path(said)


def test_it_is_runc_in_everything_else_and_needs_nothing_but_python() -> None:
    command = [sys.executable, "-ISE", runtime.__file__, "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.startswith("runc version")


@pytest.mark.parametrize("wrong", ["no config", "no runc"])
def test_errors_are_written_where_the_engine_reads_them(bundle: Path, tmp_path: Path, wrong: str) -> None:
    arguments = ["--log", str(tmp_path / "log.json"), "--log-format", "json"]
    arguments += ["create", "--bundle", "/nowhere", "1"] if wrong == "no config" else ["state", "1"]
    environment = {**os.environ, "PATH": "/nowhere"} if wrong == "no runc" else dict(os.environ)
    command = [sys.executable, "-ISE", runtime.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    said = json.loads((tmp_path / "log.json").read_text())
    assert said["level"] == "error"
    assert said["msg"] == done.stderr.strip()
    assert ("cannot be made writable" if wrong == "no config" else "runc cannot be run") in said["msg"]
