"""Where this cloud is, what it runs on, and secrets of its own."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from string import Template

HOME = Path("/etc/openstack-aio")
SETTINGS = HOME / "settings.json"
"""What the one who made the machine wants otherwise; absent, it is all found out or made up here."""
SECRETS = HOME / "secrets.json"
MESSAGES = Path("/etc/rabbitmq/definitions.json")
HYPERVISOR = Path("/etc/nova/nova-compute.conf")
TEMPLATES = Path("/usr/local/share/openstack-aio/etc")
GUEST = Path("/usr/local/share/openstack-aio/images")
SERVICES = ("keystone", "glance", "placement", "nova", "neutron")
REGION = "RegionOne"


@dataclass(frozen=True)
class Settings:
    """`address` is where the APIs are found from outside; `floating` the external network.

    `routed`: the network around us leads to floating addresses as they are; else they are ours alone,
    and what their servers send goes out under our own address. `dns` are name servers for them.
    """

    address: str
    floating: IPv4Network
    routed: bool = False
    dns: tuple[str, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        """Our own address on the external network."""
        return str(self.floating[1])


def read() -> Settings:
    """Settings and secrets; what is not there yet is made."""
    said = json.loads(SETTINGS.read_text()) if SETTINGS.exists() else {}
    return Settings(
        address=said.get("address") or _own_address(),
        floating=IPv4Network(said.get("floating", "172.24.4.0/24")),
        routed=said.get("routed", False),
        dns=tuple(said.get("dns", ())),
        secrets=_secrets(),
    )


def _own_address() -> str:
    """The address that we would speak to the world from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _secrets() -> dict[str, str]:
    if not SECRETS.exists():
        names = ["admin", "machineroom", "rabbit", "metadata_secret"]
        names += [f"{service}_{kind}" for service in SERVICES for kind in ("db", "user")]
        write(SECRETS, json.dumps({name: secrets.token_hex(20) for name in names}), 0o600)
    return dict(json.loads(SECRETS.read_text()))


def write(path: Path, text: str, mode: int, group: str | None = None) -> None:
    """Write a file that others never see half, nor more of than they may."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    if group:
        subprocess.run(["chgrp", group, str(part)], check=True)
    part.replace(path)


def configure(settings: Settings) -> str:
    """Write the services' own files, each readable by its service alone; the switch's kind of datapath."""
    datapath = "system" if _kernel_switch() else "netdev"
    values = {
        **settings.secrets,
        "address": settings.address,
        "datapath_type": datapath,
    }
    for service in SERVICES:
        values[f"{service}_auth"] = _auth(service, settings.secrets[f"{service}_user"])
    for template in sorted(path for path in TEMPLATES.rglob("*") if path.is_file()):
        place = template.relative_to(TEMPLATES)
        write(Path("/etc") / place, Template(template.read_text()).substitute(values), 0o640, place.parts[0])
    write(MESSAGES, json.dumps(_messages(settings.secrets["rabbit"])), 0o640, "rabbitmq")
    return datapath


def _messages(password: str) -> dict[str, object]:
    """RabbitMQ's only user, for it to read at its start: asking its own program takes half a minute."""
    salt = secrets.token_bytes(4)
    hashed = b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    kind = "rabbit_password_hashing_sha256"
    user = {"name": "openstack", "password_hash": hashed, "hashing_algorithm": kind, "tags": []}
    all_of_it = {"user": "openstack", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return {"vhosts": [{"name": "/"}], "users": [user], "permissions": [all_of_it]}


def choose_hypervisor() -> None:
    """Tell Nova whether to use KVM; found out at the first boot only, since a guest that hangs takes time."""
    if not HYPERVISOR.exists():
        kind = "kvm" if _kvm_boots() else "qemu"
        text = f"[libvirt]\nvirt_type = {kind}\ncpu_mode = none\ninject_partition = -2\n"
        write(HYPERVISOR, f"[DEFAULT]\ncompute_driver = libvirt.LibvirtDriver\n\n{text}", 0o640, "nova")


def _auth(service: str, password: str) -> str:
    return "\n".join(
        [
            "auth_url = http://127.0.0.1:5000/v3",
            "auth_type = password",
            "project_domain_name = Default",
            "user_domain_name = Default",
            "project_name = service",
            f"username = {service}",
            f"password = {password}",
            f"region_name = {REGION}",
        ]
    )


def _kernel_switch() -> bool:
    """Whether the kernel has Open vSwitch's datapath, or can be given it."""
    if Path("/sys/module/openvswitch").exists():
        return True
    try:
        return subprocess.run(["modprobe", "openvswitch"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _kvm_boots() -> bool:
    """Whether a guest really gets through its boot with KVM: that there is a /dev/kvm promises little."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = ["timeout", "15", "qemu-system-x86_64", "-accel", "kvm", "-m", "192", "-display", "none"]
    command += ["-no-reboot", "-serial", "stdio", "-kernel", str(GUEST / "tiny.kernel")]
    command += ["-initrd", str(GUEST / "tiny.initramfs"), "-append", "console=ttyS0 quiet tiny.probe"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return b"tiny guest boots" in done.stdout
