"""The cloud of `./machineroom cloud up` is a real one: a server in it boots, and lets its owner in."""

import base64
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import pytest
from clouds import command
from local import until
from machineroom_hub.host.network import ensure_executions_network, ensure_hub_network
from machineroom_hub.room import Room
from machineroom_spawners import names

PATIENCE = 300


@dataclass
class Guest:
    """A server of the guest `tiny`, with a floating address."""

    cloud: Any
    server: Any
    address: str
    key: Path

    def ssh(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a shell line on it, as root."""
        quiet = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]
        command = ["ssh", "-i", str(self.key), *quiet, "-o", "ConnectTimeout=5", "-o", "BatchMode=yes"]
        return subprocess.run(
            [*command, f"root@{self.address}", line], capture_output=True, text=True, check=False, timeout=120
        )

    def said(self, line: str) -> str:
        """What a shell line prints, once the server lets us in."""

        def asked() -> subprocess.CompletedProcess[str] | None:
            done = self.ssh(line)
            return None if done.returncode == 255 else done

        done = until(
            asked, PATIENCE, lambda: f"no ssh to {self.address}: {self.ssh('true').stderr}{self.log()}"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def log(self) -> str:
        """The end of its console's log."""
        return str(self.cloud.compute.get_server_console_output(self.server.id, length=40)["output"])

    @property
    def gateway(self) -> str:
        """This host's address on the cloud's network."""
        api = str(self.cloud.config.config["auth"]["auth_url"]).split("/")[2].split(":")[0]
        return str(IPv4Network(f"{api}/20", strict=False)[1])

    def settled(self, status: str) -> None:
        """Wait until Nova is done with what it was asked for."""

        def there() -> bool:
            found = self.cloud.compute.get_server(self.server.id)
            assert found.status != "ERROR", found.fault
            return found.status == status and found.task_state is None

        until(there, PATIENCE, f"the server is not {status}")


@pytest.fixture(scope="module")
def connection(cloud: Path) -> Any:
    """The cloud as its ordinary user has it."""
    openstack = pytest.importorskip("openstack", reason="the environment has no openstacksdk")
    config = openstack.config.OpenStackConfig(config_files=[str(cloud)], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one("machineroom"))


@pytest.fixture(scope="module")
def guest(connection: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A server that anybody may knock at; all of it is deleted again."""
    key = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    network, compute = connection.network, connection.compute
    compute.create_keypair(name="cloud-test", public_key=key.with_suffix(".pub").read_text())
    group = network.create_security_group(name="cloud-test")
    network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22
    )
    server = compute.create_server(
        name="first",
        image_id=connection.image.find_image("tiny").id,
        flavor_id=compute.find_flavor("tiny").id,
        networks=[{"uuid": network.find_network("machineroom").id}],
        security_groups=[{"name": "cloud-test"}],
        key_name="cloud-test",
        user_data=base64.b64encode(b"#!/bin/sh\necho hello >/root/greeting\n").decode(),
    )
    server = compute.wait_for_server(server, wait=PATIENCE)
    port = next(network.ports(device_id=server.id))
    public = network.find_network("public")
    floating = network.create_ip(floating_network_id=public.id, port_id=port.id)
    yield Guest(connection, server, floating.floating_ip_address, key)
    compute.delete_server(server)
    compute.wait_for_delete(server, wait=PATIENCE)
    network.delete_ip(floating)
    network.delete_security_group(group)
    compute.delete_keypair("cloud-test")


def test_a_server_lets_its_owner_in_and_did_as_its_user_data_said(guest: Guest) -> None:
    assert guest.said("hostname; cat /root/greeting") == "first\nhello"


def test_a_server_reaches_nothing_of_the_host(guest: Guest) -> None:
    host = guest.gateway
    with socket.create_server(("", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection((host, port), timeout=10):  # it listens, and this host lets itself in
            pass
        assert guest.said(f"nc -w 5 {host} {port} </dev/null >/dev/null 2>&1; echo $?") != "0"
    assert guest.said("wget -q -T 30 -O - http://169.254.169.254/ | head -n 1") == "1.0"  # Nova's, no host's


def test_its_consoles_open(guest: Guest) -> None:
    assert "first" in until(
        lambda: "ready" in guest.log() and guest.log(), PATIENCE, "nothing on its console"
    )
    screen = guest.cloud.compute.create_console(guest.server, console_type="novnc")["url"]
    assert "noVNC" in urllib.request.urlopen(screen, timeout=60).read().decode()
    serial = guest.cloud.compute.create_console(guest.server, console_type="serial")["url"]
    assert serial.startswith("ws://")


@pytest.mark.parametrize(
    ("away", "status", "back"),
    [
        ("suspend_server", "SUSPENDED", "resume_server"),
        ("stop_server", "SHUTOFF", "start_server"),
    ],
)
def test_it_is_reached_again_after_it_was_away(guest: Guest, away: str, status: str, back: str) -> None:
    guest.said("echo kept >/root/kept; sync")
    getattr(guest.cloud.compute, away)(guest.server)
    guest.settled(status)
    getattr(guest.cloud.compute, back)(guest.server)
    guest.settled("ACTIVE")
    assert guest.said("cat /root/kept") == "kept"


def test_status_says_of_each_service_that_it_answers(cloud_room: Room) -> None:
    said = json.loads(command(cloud_room, "cloud", "status", "--json").stdout)
    services = {each["service"].partition(" ")[0] for each in said["services"]}
    assert {
        "keystone",
        "glance",
        "placement",
        "nova",
        "neutron",
        "nova-compute",
        "neutron-l3-agent",
    } <= services
    assert {each["state"] for each in said["services"]} == {"ok"}


def test_status_says_which_service_does_not_answer(cloud_room: Room, engine: docker.DockerClient) -> None:
    container = engine.containers.get(f"mr-{cloud_room.id}-cloud")
    container.exec_run(["systemctl", "stop", "glance-api"])
    try:
        done = command(cloud_room, "cloud", "status", "--json", check=False)
        states = {each["service"]: each["state"] for each in json.loads(done.stdout)["services"]}
        assert done.returncode == 1
        assert states["glance (image)"] == "wrong"
        assert states["keystone (identity)"] == "ok"
    finally:
        container.exec_run(["systemctl", "start", "glance-api"])
    until(
        lambda: command(cloud_room, "cloud", "status", check=False).returncode == 0, 120, "glance is not back"
    )


def test_a_second_up_changes_nothing(cloud_room: Room, cloud: Path) -> None:
    before = cloud.read_text()
    command(cloud_room, "cloud", "up")
    assert cloud.read_text() == before
    assert cloud.stat().st_mode & 0o777 == 0o600


def test_its_own_user_is_no_administrator(connection: Any) -> None:
    from openstack.exceptions import HttpException

    with pytest.raises(HttpException, match=r"403|Forbidden|not authorized"):
        list(connection.identity.users())
    with pytest.raises(HttpException, match=r"403|Forbidden|not authorized|Policy"):
        connection.compute.create_flavor(name="big", vcpus=1, ram=64, disk=1)
    assert list(connection.network.agents()) == []


def test_who_has_no_password_gets_nothing(
    connection: Any, cloud_room: Room, engine: docker.DockerClient
) -> None:
    """Who reaches its address, as workspaces do, finds APIs and consoles there, and nothing without login."""
    host = connection.config.config["auth"]["auth_url"].split("/")[2].split(":")[0]
    container = engine.containers.get(f"mr-{cloud_room.id}-cloud")
    listening = container.exec_run(["ss", "-Hltn"]).output.decode().splitlines()
    ends = [line.split()[3] for line in listening]
    ports = {end.rpartition(":")[2] for end in ends if not end.startswith(("127.", "[::1]"))}
    assert ports <= {"22", "5000", "6080", "6083", "8774", "8775", "8778", "9292", "9696"}, ends
    for port, path in (
        (8774, "/v2.1/servers"),
        (9292, "/v2/images"),
        (9696, "/v2.0/networks"),
        (5000, "/v3/users"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=60)
        assert refused.value.code == 401


def test_workspaces_reach_the_cloud_and_machines_do_not(
    connection: Any, cloud_room: Room, engine: docker.DockerClient
) -> None:
    api = connection.config.config["auth"]["auth_url"]
    ensure_hub_network(engine, cloud_room)
    students = ensure_executions_network(engine, cloud_room)  # the firewall takes it for a student's
    try:
        reached = {}
        for network in (cloud_room.hub_network, students):
            command = ["curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", api]
            image = names.image(cloud_room.id, "lab")
            container = engine.containers.run(image, command, entrypoint=[""], network=network, detach=True)
            try:
                container.wait(timeout=120)
                reached[network] = container.logs().decode()
            finally:
                container.remove(force=True)
        assert reached == {cloud_room.hub_network: "200", students: "000"}
    finally:
        for network in (cloud_room.hub_network, students):
            engine.networks.get(network).remove()


def test_the_image_knows_no_password(engine: docker.DockerClient, cloud_room: Room) -> None:
    """They are made at a cloud's first boot."""
    container = engine.containers.get(f"mr-{cloud_room.id}-cloud")
    where = "/etc/openstack-aio/secrets.json /etc/openstack-aio/clouds.yaml /etc/keystone/fernet-keys/0"
    assert container.exec_run(f"ls {where}").exit_code == 0
    look = f"ls {where} /etc/nova/nova-compute.conf; cat /etc/ssh/ssh_host_*_key; true"
    said = engine.containers.run(
        container.attrs["Image"], ["-c", look], entrypoint=["/bin/sh"], remove=True, stderr=True
    )
    assert said.decode().count("No such file") == 5
