"""Who is who: Keystone's own beginning, the services' users, and where each service is found."""

import openstack
from openstack.connection import Connection

from .settings import REGION, SERVICES, Settings
from .shell import run

ENDPOINTS = {
    "keystone": ("identity", 5000, "/v3"),
    "glance": ("image", 9292, ""),
    "placement": ("placement", 8778, ""),
    "nova": ("compute", 8774, "/v2.1"),
    "neutron": ("network", 9696, ""),
}
"""Service: its type, port and path."""


def keys() -> None:
    """The keys that Keystone signs tokens with. Idempotent."""
    for command, folder in (("fernet_setup", "fernet-keys"), ("credential_setup", "credential-keys")):
        run("install", "-d", "-o", "keystone", "-g", "keystone", "-m", "700", f"/etc/keystone/{folder}")
        owner = ("--keystone-user", "keystone", "--keystone-group", "keystone")
        run("keystone-manage", command, *owner, user="keystone")


def bootstrap(settings: Settings) -> None:
    """The administrator, and Keystone's own endpoints. Idempotent."""
    run(
        "keystone-manage",
        "bootstrap",
        f"--bootstrap-password={settings.secrets['admin']}",
        f"--bootstrap-region-id={REGION}",
        f"--bootstrap-public-url=http://{settings.address}:5000/v3",
        "--bootstrap-internal-url=http://127.0.0.1:5000/v3",
        "--bootstrap-admin-url=http://127.0.0.1:5000/v3",
        user="keystone",
    )


def administrator(settings: Settings) -> Connection:
    """A connection with all rights, from this machine itself."""
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url="http://127.0.0.1:5000/v3",
        username="admin",
        password=settings.secrets["admin"],
        project_name="admin",
        user_domain_name="Default",
        project_domain_name="Default",
        region_name=REGION,
        interface="internal",
    )


def services(cloud: Connection, settings: Settings) -> None:
    """The services' users and endpoints. Idempotent; endpoints follow a machine whose address changes."""
    identity = cloud.identity
    project = identity.find_project("service") or identity.create_project(name="service")
    roles = [identity.find_role(name) for name in ("admin", "service")]
    for name in SERVICES:
        kind, port, path = ENDPOINTS[name]
        service = next(identity.services(type=kind), None)
        service = service or identity.create_service(name=name, type=kind)
        there = {each.interface: each for each in identity.endpoints(service_id=service.id)}
        for interface in ("public", "internal", "admin"):
            host = settings.address if interface == "public" else "127.0.0.1"
            url = f"http://{host}:{port}{path}"
            if interface not in there:
                identity.create_endpoint(
                    service_id=service.id, interface=interface, url=url, region_id=REGION
                )
            elif there[interface].url != url:
                identity.update_endpoint(there[interface], url=url)
        if name == "keystone":
            continue
        user = identity.find_user(name)
        user = user or identity.create_user(name=name, password=settings.secrets[f"{name}_user"])
        for role in roles:
            identity.assign_project_role_to_user(project, user, role)


def person(cloud: Connection, name: str, password: str) -> str:
    """An ordinary user `name`, member of a project of that name and nothing more: the project's id."""
    identity = cloud.identity
    project = identity.find_project(name) or identity.create_project(name=name)
    user = identity.find_user(name) or identity.create_user(
        name=name, password=password, default_project_id=project.id
    )
    identity.assign_project_role_to_user(project, user, identity.find_role("member"))
    return str(project.id)
