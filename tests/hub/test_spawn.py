"""Starting a workspace for real: hub, proxy, engine and images are what students meet."""

import json
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import httpx
import pytest
from docker.models.containers import Container
from local import until
from machineroom_hub import accounts, auth
from machineroom_spawners import workspace
from machineroom_spawners.keys import host_key

from .conftest import PASSWORD, Hub

SSH = "ssh -F /etc/machineroom/ssh/config"


def start(hub: Hub, user: str) -> list[dict[str, Any]]:
    """Start the user's server and wait for it; the events of its progress."""
    hub.operator.post(f"/users/{user}/server").raise_for_status()
    events = []
    with hub.operator.stream("GET", f"/users/{user}/server/progress") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
                assert not events[-1].get("failed"), (events, hub.log.read_text()[-6000:])
                if events[-1].get("ready"):
                    break
    return events


def stop(hub: Hub, user: str) -> None:
    hub.operator.delete(f"/users/{user}/server").raise_for_status()
    until(lambda: not hub.model(user)["servers"], 30, f"{user}'s server still stops")


def container(engine: docker.DockerClient, hub: Hub, user: str) -> Container:
    return engine.containers.get(f"mr-{hub.room.id}-w-{user}")


def run(box: Container, command: str, user: str = "jovyan") -> tuple[int, str]:
    done = box.exec_run(["sh", "-c", command], user=user)
    return done.exit_code, done.output.decode()


def _address(machine: Container) -> str:
    return str(next(iter(machine.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"])


def alive(hub: Hub, user: str) -> bool:
    token = {"Authorization": f"token {hub.token(user)}"}
    return httpx.get(f"{hub.url}/user/{user}/api/status", headers=token, timeout=20).status_code == 200


@pytest.fixture(scope="module")
def ada(hub: Hub, engine: docker.DockerClient) -> Container:
    """Ada's workspace, running."""
    start(hub, "ada")
    return container(engine, hub, "ada")


def test_a_student_gets_notebook_and_machine(hub: Hub, ada: Container) -> None:
    assert alive(hub, "ada")
    assert run(ada, f"{SSH} box 'hostname; id -u'") == (0, "box\n0\n")
    assert run(ada, f"{SSH} box.single hostname")[0] == 0
    assert run(ada, f"{SSH} box.single.linux hostname")[0] == 0


def test_the_workspace_knows_where_it_is(hub: Hub, ada: Container) -> None:
    about = json.loads(run(ada, "cat /etc/machineroom/workspace.json")[1])
    assert about["user"] == "ada"
    assert about["courses"][0]["role"] == "student"
    assert [lab["id"] for lab in about["courses"][0]["labs"]] == ["single", "pair"]
    rc, listed = run(ada, "stat -c '%a %U %n' /etc/machineroom/workspace.json /etc/machineroom/ssh/*")
    assert rc == 0
    assert listed.splitlines() == [
        "644 root /etc/machineroom/workspace.json",
        "600 jovyan /etc/machineroom/ssh/config",
        "600 jovyan /etc/machineroom/ssh/id_ed25519",
        "600 jovyan /etc/machineroom/ssh/known_hosts",
    ]
    assert run(ada, "test -e /etc/machineroom/problems.txt")[0] == 1
    assert run(ada, "touch ~/mine && stat -c %U ~ ~/mine")[1] == "jovyan\njovyan\n"


def test_a_students_server_runs_without_a_database(hub: Hub, ada: Container) -> None:
    mapped = run(ada, "cat $(grep -la machineroom-workspace /proc/[0-9]*/cmdline | sed s/cmdline/maps/)")[1]
    assert "zmq" in mapped, "the server's own compiled modules are seen"
    assert "sqlalchemy" not in mapped


def test_the_host_key_is_pinned(hub: Hub, ada: Container) -> None:
    other = host_key(hub.room.secret, "eve", "linux", "single", "box").public
    forged = f"echo 'box.single.linux {other}' > /tmp/hosts"
    rc, said = run(ada, f"{forged}; {SSH} -o UserKnownHostsFile=/tmp/hosts box hostname")
    assert rc == 255
    assert "Host key verification failed" in said


def test_the_workspace_has_no_power(ada: Container) -> None:
    status = run(ada, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status")[1]
    fields = dict(line.split(":\t") for line in status.splitlines())
    assert {fields[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert run(ada, "id -u")[1] == "1000\n"
    limits = ada.attrs["HostConfig"]
    assert 0 < limits["PidsLimit"] <= 1024
    assert limits["Memory"] == limits["MemorySwap"] == 1 << 30
    assert run(ada, "ls /var/run/docker.sock")[0] != 0
    environment = run(ada, "env")[1]
    assert "DOCKER" not in environment
    assert run(ada, "test -e ~/courses")[0] == 1, "a student has no live course folder"


def test_the_workspaces_token_is_the_students(hub: Hub, ada: Container) -> None:
    token = run(ada, "cat /proc/1/environ | tr '\\0' '\\n' | grep ^JUPYTERHUB_API_TOKEN= | cut -d= -f2")[1]
    held = hub.scopes(token.strip())
    assert {s for s in held if s.startswith("custom:")} == {auth.scope("learn", "linux")}
    assert auth.ACCESS in held
    mine = {"Authorization": f"token {token.strip()}"}
    groups = httpx.get(f"{hub.url}/hub/api/users/ada", headers=mine).json()["groups"]
    assert groups == ["nbgrader-linux"]
    assert httpx.get(f"{hub.url}/hub/api/users/bob", headers=mine).status_code == 404


def test_a_second_student_is_out_of_reach(hub: Hub, ada: Container, engine: docker.DockerClient) -> None:
    events = start(hub, "bob")
    bob = container(engine, hub, "bob")
    messages = [event["message"] for event in events]
    assert any("box: making it" in message for message in messages), messages
    assert "Machine box is ready" in messages
    assert "Your notebook is ready" in messages
    percents = [event["progress"] for event in events]
    assert percents == sorted(percents)
    assert percents[-1] == 100

    bob.reload()
    legs = bob.attrs["NetworkSettings"]["Networks"]
    assert len(legs) == 2
    machine = engine.containers.get(f"mr-{hub.room.id}-m-bob.linux.single.box")
    targets = [(leg["IPAddress"], 8888) for leg in legs.values()]
    targets.append((_address(machine), 22))
    connect = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"
    own = engine.containers.get(f"mr-{hub.room.id}-m-ada.linux.single.box")
    targets.append((_address(own), 22))
    reached = [
        target
        for target in targets
        if run(ada, f"python3 -c {shlex.quote(connect)} {target[0]} {target[1]}")[0] == 0
    ]
    assert reached == [(_address(own), 22)], "ada reaches her own machine and nothing of bob's"
    # bob's own names are nobody else's
    assert run(bob, f"{SSH} box hostname") == (0, "box\n")


def test_a_grader_has_the_live_course_and_no_machine(hub: Hub, engine: docker.DockerClient) -> None:
    start(hub, "ines")
    ines = container(engine, hub, "ines")
    assert run(ines, "cat ~/courses/linux/course.yml")[1].strip().startswith("title: Linux")
    assert run(ines, "touch ~/courses/linux/labs/note ~/courses/mine")[0] == 0
    uid = (hub.room.courses / "linux" / "labs" / "note").stat().st_uid
    assert uid == workspace.host_uid(engine.info())
    with pytest.raises(docker.errors.NotFound):
        engine.containers.get(f"mr-{hub.room.id}-m-ines.linux.single.box")
    token = run(ines, "cat /proc/1/environ | tr '\\0' '\\n' | grep ^JUPYTERHUB_API_TOKEN= | cut -d= -f2")[1]
    held = {s for s in hub.scopes(token.strip()) if s.startswith("custom:")}
    assert held == {auth.scope(power, "linux") for power in ("learn", "assist", "teach")}
    stop(hub, "ines")


def test_a_machine_that_fails_keeps_nobody_from_the_notebook(hub: Hub, engine: docker.DockerClient) -> None:
    broken = hub.room.courses / "broken"
    (broken / "labs" / "odd").mkdir(parents=True)
    (broken / "labs" / "odd" / "lab.yml").write_text("machines: {odd: {image: no-such-image}}")
    (broken / "course.yml").write_text("title: Broken\nassignments: [{name: one, lab: odd}]")
    unreadable = hub.room.courses / "typo"
    unreadable.mkdir()
    (unreadable / "course.yml").write_text("titel: Typo")
    accounts.add(hub.room, "carl", password=PASSWORD)
    accounts.enrol(hub.room, "carl", "broken", "student")
    accounts.enrol(hub.room, "carl", "typo", "student")
    hub.login("carl")
    messages = " ".join(event["message"] for event in start(hub, "carl"))
    assert "Machine odd (broken, odd) could not be started" in messages
    assert "no-such-image" in messages
    assert alive(hub, "carl")
    problems = run(container(engine, hub, "carl"), "cat /etc/machineroom/problems.txt")[1]
    assert "Machine odd" in problems
    assert "Course typo cannot be read" in problems
    stop(hub, "carl")


@pytest.mark.parametrize("kill", [False, True])
def test_a_restart_of_the_hub_disturbs_nobody(hub: Hub, ada: Container, kill: bool) -> None:
    ada.reload()
    before = ada.attrs["State"]["StartedAt"]
    hub.restart(kill=kill)
    ada.reload()
    assert ada.attrs["State"]["StartedAt"] == before
    assert ada.status == "running"
    assert hub.model("ada")["servers"][""]["ready"]
    assert alive(hub, "ada")


def test_a_hub_killed_during_a_start_leaves_nothing_in_the_way(hub: Hub, engine: docker.DockerClient) -> None:
    if hub.model("bob")["servers"]:
        stop(hub, "bob")
    hub.operator.post("/users/bob/server").raise_for_status()
    name = f"mr-{hub.room.id}-w-bob"
    until(lambda: engine.containers.list(all=True, filters={"name": name}), 30, "no container is made")
    hub.restart(kill=True)
    until(lambda: not hub.model("bob").get("pending"), 30, "the hub thinks that it still starts")
    start(hub, "bob")
    assert alive(hub, "bob")
    assert len(engine.containers.list(all=True, filters={"name": name})) == 1


AILING = """
def ailing(spawner):
    if spawner.user.name == "tariq":
        spawner.image = "machineroom/gone:latest"
    if spawner.user.name == "ines":
        spawner.start_timeout = 1
c.Spawner.pre_spawn_hook = ailing
"""


@pytest.fixture
def ailing(hub: Hub) -> Iterator[None]:
    """Tariq's image is missing, and Ines's patience is too short; said where operators say such things."""
    extra = hub.room.state / "jupyterhub_config.py"
    extra.write_text(AILING)
    hub.restart()
    yield
    extra.unlink()
    hub.restart()


def test_a_start_that_fails_says_why_and_leaves_nothing(
    hub: Hub, engine: docker.DockerClient, ailing: None
) -> None:
    for user, reason in {
        "tariq": "./machineroom image build workspace",
        "ines": "took more than 1 s",
    }.items():
        hub.operator.post(f"/users/{user}/server").raise_for_status()
        told = hub.operator.get(f"/users/{user}/server/progress").text
        assert '"failed": true' in told
        assert reason in told
        until(lambda user=user: not hub.model(user)["servers"], 30, f"{user} still starts")
        name = f"mr-{hub.room.id}-w-{user}"
        assert not engine.containers.list(all=True, filters={"name": name})


def test_home_and_machine_outlive_the_workspace(
    hub: Hub, ada: Container, engine: docker.DockerClient
) -> None:
    run(ada, f"echo notes > ~/notes; {SSH} box 'echo state > /root/state'")
    stop(hub, "ada")
    with pytest.raises(docker.errors.NotFound):
        container(engine, hub, "ada")
    assert engine.containers.get(f"mr-{hub.room.id}-m-ada.linux.single.box").status == "running"
    began = time.monotonic()
    start(hub, "ada")
    print(f"started again in {time.monotonic() - began:.1f} s")
    again = container(engine, hub, "ada")
    assert run(again, f"cat ~/notes; {SSH} box cat /root/state") == (0, "notes\nstate\n")


ONE_AT_A_TIME = """
from machineroom_spawners.spawner import DockerLabSpawner
from machineroom_spawners.turns import Turns
DockerLabSpawner._turns = Turns(1)
"""


@pytest.fixture
def one_at_a_time(hub: Hub) -> Iterator[None]:
    """A host so small that one server starts at a time."""
    extra = hub.room.state / "jupyterhub_config.py"
    extra.write_text(ONE_AT_A_TIME)
    hub.restart()
    yield
    extra.unlink()
    hub.restart()


def test_who_starts_in_a_crowd_is_told_the_place_and_arrives(hub: Hub, one_at_a_time: None) -> None:
    accounts.add(hub.room, "dora", password=PASSWORD)
    accounts.enrol(hub.room, "dora", "linux", "student")
    hub.login("dora")
    users = ["tariq", "ines", "dora"]
    with ThreadPoolExecutor(len(users)) as pool:
        told = list(pool.map(lambda user: [e["message"] for e in start(hub, user)], users))
    for user, messages in zip(users, told, strict=True):
        assert "Your notebook is ready" in messages
        assert alive(hub, user)
        stop(hub, user)
    waited = sorted(" ".join(m for m in messages if m.startswith("Many are starting")) for messages in told)
    assert waited[0] == "", "the first one does not wait"
    assert "you are next" in waited[1]
    assert "you are next" in waited[2]
    assert any("number 2 in the queue" in messages for messages in waited)


def test_a_deleted_user_leaves_nothing(hub: Hub, engine: docker.DockerClient) -> None:
    if not hub.model("bob")["servers"]:
        start(hub, "bob")
    hub.operator.delete("/users/bob").raise_for_status()
    theirs = {"label": [f"machineroom.room={hub.room.id}", "machineroom.owner=bob"]}

    def gone() -> bool:
        return not (
            engine.containers.list(all=True, filters=theirs, ignore_removed=True)
            or engine.volumes.list(filters=theirs)
            or engine.networks.list(filters=theirs)
        )

    until(gone, 30, "something of bob is left")
