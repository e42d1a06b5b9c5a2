"""A lab of one container and one server, on a whole installation: terminals, checks, Submit, reset."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml
from faults.people import Person, notebooks, until
from installation import SOURCE, Installation, new_installation
from machineroom_hub.hub_api import HubApi

pytest.importorskip("keystoneauth1", reason="the environment has no openstacksdk")

from machineroom_spawners.drivers.openstack.driver import OpenStackDriver
from machineroom_spawners.spec import MachineRef

from .conftest import login

pytestmark = [pytest.mark.openstack, pytest.mark.timeout(900)]

LAB = """
machines:
  box: {image: lab-slim, setup: box.sh}
  cloud: {driver: openstack, image: tiny, flavor: tiny, setup: cloud.sh}
"""
CHECK = '''

@pytest.mark.task("both")
def test_both_machines_have_it(machines):
    """Both machines have a file /srv/both"""
    for name in ("box", "cloud"):
        assert machines[name].file("/srv/both").exists, f"there is no /srv/both on {name}"
'''


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest course, with a server beside its container."""
    folder = tmp_path_factory.mktemp("courses") / "mixed-lab"
    shutil.copytree(SOURCE / "course_material" / "starter", folder)
    (folder / "labs/box/lab.yml").write_text(LAB)
    (folder / "labs/box/cloud.sh").write_text("#!/bin/sh\nmkdir -p /srv; echo set up >/srv/set-up\n")
    with (folder / "checks/hello/test_greeting.py").open("a") as file:
        file.write(CHECK)
    return folder


@pytest.fixture(scope="module")
def here(cloud: Path, course: Path) -> Iterator[Installation]:
    """An installation of its own, with the course and the login; purged at the end, with its servers."""
    with new_installation("--no-demo", "--course", str(course)) as made:
        made.room.clouds.parent.mkdir(mode=0o700, exist_ok=True)
        made.room.clouds.write_text(yaml.safe_dump(login(cloud)))
        made.room.clouds.chmod(0o600)
        made.command("course", "release", "mixed-lab", "hello", "--unproven")
        made.command("accounts", "add", "mia", "--course", "mixed-lab")
        yield made


@pytest.fixture(scope="module")
def mia(here: Installation) -> Person:
    """A student of the course, whose server runs."""
    hub = HubApi(here.room)
    person = Person(here.url, "mia", "", "mixed-lab", "hello")
    person.use(until(lambda: hub.token("mia", "openstack tests", 3600), "no token"))
    until(person.has_server, "no server", 300)
    return person


def test_a_terminal_is_roots_on_the_server(mia: Person) -> None:
    with mia.terminal(mia.new_terminal("cloud")) as terminal:
        assert terminal.run("hostname; id -u; cat /srv/set-up", 120).split() == ["cloud", "0", "set", "up"]
    listed = mia.call("GET", "machines").json()
    assert {(m["machine"], m["driver"], m["state"]) for m in listed} == {
        ("box", "docker", "running"),
        ("cloud", "openstack", "running"),
    }


def test_one_check_file_is_over_both_and_submit_takes_both(mia: Person, here: Installation) -> None:
    def earned() -> dict[str, float]:
        answer = mia.check()
        assert answer.status_code == 200, answer.text
        return {report["task"]: report["earned"] for report in answer.json()}

    assert earned()["both"] == 0
    for machine in ("box", "cloud"):
        with mia.terminal(mia.new_terminal(machine)) as terminal:
            terminal.run("mkdir -p /srv; touch /srv/both; sync", 120)
    assert earned()["both"] == 1
    answer = mia.submit(notebooks("hello"), "once")
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert [machine["machine"] for machine in receipt["machines"]] == ["box", "cloud"]
    assert {r["task"]: r["earned"] for r in receipt["checks"]}["both"] == 1

    room = here.room
    driver = OpenStackDriver(room.id, room.secret, room.clouds)
    assert [s.ref.owner for s in driver.snapshots()] == [f"submission:{receipt['id']}"]


def test_a_reset_server_is_clean_and_known_by_the_same_name(mia: Person) -> None:
    done = mia.act("reset", "box/cloud")
    assert done["done"]["state"] == "running", done
    with mia.terminal(mia.new_terminal("cloud")) as terminal:
        assert terminal.run("ls /srv", 120).split() == ["set-up"]


def test_no_workspace_has_anything_of_the_credentials(
    mia: Person, here: Installation, engine: docker.DockerClient
) -> None:
    room = here.room
    auth = yaml.safe_load(room.clouds.read_text())["clouds"]["machineroom"]["auth"]
    secrets = [value for key, value in auth.items() if "password" in key or "secret" in key]
    assert secrets
    workspace = engine.containers.get(f"mr-{room.id}-w-mia")
    known = json.dumps(workspace.attrs) + workspace.exec_run(["env"]).output.decode()
    for secret in secrets:
        assert secret not in known
        found = workspace.exec_run(["grep", "-rlsF", secret, "/etc", "/home", "/tmp", "/opt/machineroom/etc"])
        assert found.output == b""
    assert "clouds.yaml" not in known
    with mia.terminal(mia.new_terminal("workspace")) as terminal:
        said = terminal.run(f"cat {room.clouds} 2>&1")
        assert "No such file" in said
    ref = MachineRef("mia", "mixed-lab", "box", "cloud")
    driver = OpenStackDriver(room.id, room.secret, room.clouds)
    with driver.open_session(ref) as session:
        for secret in secrets:
            assert session.run(f"grep -rlsF {secret} /etc /root /run /var /mnt").stdout == b""
