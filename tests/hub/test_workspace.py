"""What a workspace is made of, without an engine."""

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from machineroom_spawners import workspace
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import read_course
from machineroom_spawners.ownership import give
from machineroom_spawners.workspace import Seat

from .conftest import COURSE, PAIR, SINGLE

SECRET = b"s" * 32


def seat(folder: Path, role: str) -> Seat:
    for lab, text in {"single": SINGLE, "pair": PAIR}.items():
        (folder / "labs" / lab).mkdir(parents=True)
        (folder / "labs" / lab / "lab.yml").write_text(text)
    (folder / "course.yml").write_text(COURSE)
    return Seat(read_course(folder), role)


def test_the_description_is_what_the_architecture_says(tmp_path: Path) -> None:
    found = workspace.description("ada", "http://10.214.0.1:8083", [seat(tmp_path / "linux", "student")])
    assert found == {
        "user": "ada",
        "service_url": "http://10.214.0.1:8083",
        "courses": [
            {
                "id": "linux",
                "title": "Linux, first steps",
                "role": "student",
                "labs": [
                    {
                        "id": "single",
                        "default": "box",
                        "machines": [{"name": "box", "image": "lab-slim", "ports": []}],
                    },
                    {
                        "id": "pair",
                        "default": "web",
                        "machines": [
                            {"name": "web", "image": "lab-slim", "ports": [80]},
                            {"name": "db", "image": "lab-slim", "ports": []},
                        ],
                    },
                ],
            }
        ],
    }


def test_the_lab_of_the_first_assignment_is_ready(tmp_path: Path) -> None:
    assert workspace.first_lab(seat(tmp_path / "linux", "student").course) == "single"


def test_ssh_itself_reads_the_configuration(tmp_path: Path) -> None:
    seats = [seat(tmp_path / "linux", "student"), seat(tmp_path / "web", "student")]
    config = tmp_path / "config"
    config.write_text(workspace.ssh_config(seats))

    def told(host: str) -> dict[str, str]:
        done = subprocess.run(
            ["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=True
        )
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    assert told("box")["hostname"] == "box.single.linux", "the first course's"
    assert told("db.pair")["hostname"] == "db.pair.linux"
    assert told("db.pair.web")["hostname"] == "db.pair.web", "the full name is always clear"
    assert told("db.pair.web")["user"] == "root"
    assert told("box")["stricthostkeychecking"] in ("yes", "true")
    assert told("box")["identityfile"] == "/etc/machineroom/ssh/id_ed25519"


def test_the_files_are_the_users_own_and_nobody_elses(tmp_path: Path) -> None:
    seats = [seat(tmp_path / "linux", "student")]
    with tarfile.open(fileobj=io.BytesIO(workspace.files("ada", "http://x", seats, SECRET))) as tar:
        modes = {m.name: (oct(m.mode), m.uid, m.gid) for m in tar}
        about = tar.extractfile("etc/machineroom/workspace.json")
        assert about is not None
        assert json.load(about)["user"] == "ada"
        hosts = tar.extractfile("etc/machineroom/ssh/known_hosts")
        assert hosts is not None
        lines = hosts.read().decode().splitlines()
    assert modes == {
        "etc/machineroom": ("0o755", 0, 0),
        "etc/machineroom/ssh": ("0o700", 1000, 1000),
        "etc/machineroom/workspace.json": ("0o644", 0, 0),
        "etc/machineroom/ssh/config": ("0o600", 1000, 1000),
        "etc/machineroom/ssh/id_ed25519": ("0o600", 1000, 1000),
        "etc/machineroom/ssh/known_hosts": ("0o600", 1000, 1000),
    }
    assert [line.split()[0] for line in lines] == ["box.single.linux", "web.pair.linux", "db.pair.linux"]


def test_only_graders_get_the_live_course(tmp_path: Path) -> None:
    student, ta = seat(tmp_path / "linux", "student"), seat(tmp_path / "web", "ta")
    found = workspace.binds("home", [student, ta])
    assert found == {
        "home": {"bind": "/home/jovyan", "mode": "rw"},
        str(tmp_path / "web"): {"bind": "/home/jovyan/courses/web", "mode": "rw"},
    }


@pytest.mark.parametrize(
    ("info", "uid"),
    [
        ({"DockerRootDir": "/var/lib/docker/100000.100000", "SecurityOptions": ["name=userns"]}, 101000),
        ({"DockerRootDir": "/var/lib/docker", "SecurityOptions": ["name=seccomp"]}, 1000),
        ({"DockerRootDir": "/srv/100.100", "SecurityOptions": ["name=seccomp"]}, 1000),
        ({"DockerRootDir": "/var/lib/docker", "SecurityOptions": None}, 1000),
    ],
)
def test_the_hosts_user_behind_a_containers(info: dict, uid: int) -> None:
    assert workspace.host_uid(info) == uid


def test_giving_a_folder_away_follows_no_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("root's")
    inside = tmp_path / "course" / "deep"
    inside.mkdir(parents=True)
    (inside / "file").write_text("x")
    (inside / "link").symlink_to(outside)
    (inside / "up").symlink_to(tmp_path)
    give(tmp_path / "course", 54321)
    assert (inside / "file").stat().st_uid == 54321
    assert inside.stat().st_uid == 54321
    assert outside.stat().st_uid != 54321
    assert tmp_path.stat().st_uid != 54321


@pytest.mark.parametrize("way", ["../../../secret", "link.sh"])
def test_a_setup_script_is_a_file_of_its_lab(tmp_path: Path, way: str) -> None:
    (tmp_path / "secret").write_text("the room's")
    lab = tmp_path / "linux" / "labs" / "single"
    seat(tmp_path / "linux", "ta")
    (lab / "link.sh").symlink_to(tmp_path / "secret")
    (lab / "lab.yml").write_text(f"machines: {{box: {{image: lab-slim, setup: {way}}}}}")
    with pytest.raises(ContentError, match="leads out of"):
        read_course(tmp_path / "linux")
