"""What a new cloud holds: a guest to boot, sizes, networks, and a project to use them from."""

from pathlib import Path

import yaml
from openstack.connection import Connection

from . import identity
from .settings import GUEST, HOME, REGION, Settings, write
from .shell import tell

PROJECT = "machineroom"
FLAVORS = {"tiny": (1, 192, 1), "small": (1, 512, 5)}
"""Name: processors, MB of memory, GB of disk."""
ROOM = {"instances": 100, "cores": 100, "ram": 51200, "key_pairs": 200, "server_groups": 20}
NETWORKS = {"floating_ips": 100, "security_groups": 200, "security_group_rules": 1000, "ports": 500}


def make(cloud: Connection, settings: Settings) -> None:
    """All of it. Idempotent."""
    project = identity.person(cloud, PROJECT, settings.secrets[PROJECT])
    cloud.compute.update_quota_set(project, **ROOM)
    cloud.network.update_quota(project, **NETWORKS)
    tell(84, "Uploading the guest 'tiny'")
    _guest(cloud)
    for name, (vcpus, ram, disk) in FLAVORS.items():
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk)
    tell(88, "Making networks")
    _networks(cloud, settings, project)


def _guest(cloud: Connection) -> None:
    parts = {}
    for kind, form in (("kernel", "aki"), ("initramfs", "ari")):
        parts[kind] = _upload(cloud, f"tiny-{kind}", GUEST / f"tiny.{kind}", form, form)
    _upload(
        cloud,
        "tiny",
        GUEST / "tiny.qcow2",
        "qcow2",
        "bare",
        kernel_id=parts["kernel"],
        ramdisk_id=parts["initramfs"],
        os_command_line="console=tty0 console=ttyS0 quiet",
        hw_rng_model="virtio",
    )


def _upload(cloud: Connection, name: str, file: Path, disk: str, container: str, **properties: str) -> str:
    found = cloud.image.find_image(name)
    if found and found.status == "active":
        return str(found.id)
    if found:
        cloud.image.delete_image(found)
    made = cloud.image.create_image(
        name,
        filename=str(file),
        disk_format=disk,
        container_format=container,
        visibility="public",
        wait=True,
        allow_duplicates=True,
        **properties,
    )
    return str(made.id)


def _networks(cloud: Connection, settings: Settings, project: str) -> None:
    net = cloud.network
    public = net.find_network("public") or net.create_network(
        name="public",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="physnet1",
    )
    if not net.find_subnet("public"):
        first, last = settings.floating[10], settings.floating[-2]
        net.create_subnet(
            name="public",
            network_id=public.id,
            ip_version=4,
            cidr=str(settings.floating),
            gateway_ip=settings.gateway,
            allocation_pools=[{"start": str(first), "end": str(last)}],
            is_dhcp_enabled=False,
        )
    own = net.find_network(PROJECT) or net.create_network(name=PROJECT, project_id=project)
    subnet = net.find_subnet(PROJECT) or net.create_subnet(
        name=PROJECT,
        project_id=project,
        network_id=own.id,
        ip_version=4,
        cidr="10.77.0.0/20",
        dns_nameservers=list(settings.dns),
    )
    if not net.find_router(PROJECT):
        router = net.create_router(
            name=PROJECT, project_id=project, external_gateway_info={"network_id": public.id}
        )
        net.add_interface_to_router(router, subnet_id=subnet.id)


def clouds_yaml(settings: Settings) -> str:
    """How to log in: the project's ordinary user, and the administrator."""

    def login(user: str) -> dict[str, object]:
        return {
            "auth": {
                "auth_url": f"http://{settings.address}:5000/v3",
                "username": user,
                "password": settings.secrets[user],
                "project_name": user,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "interface": "public",
            "identity_api_version": 3,
        }

    return yaml.safe_dump({"clouds": {name: login(name) for name in (PROJECT, "admin")}}, sort_keys=False)


def write_logins(settings: Settings) -> None:
    """Put them where root of this machine, and nobody else, finds them."""
    write(HOME / "clouds.yaml", clouds_yaml(settings), 0o600)
