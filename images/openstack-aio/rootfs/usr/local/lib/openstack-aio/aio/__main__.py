"""At every boot: what is not done yet is done, and every service started."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from . import database, identity, network, resources, settings
from .shell import PROGRESS, run, side_by_side, start, tell, until

BELOW = ("mariadb", "memcached", "rabbitmq-server", "openvswitch-switch", "libvirtd")
APIS = ("glance-api", "placement-api", "nova-api", "nova-api-metadata", "neutron-api")
WORKERS = (
    "neutron-rpc-server",
    "neutron-periodic-workers",
    "nova-conductor",
    "nova-scheduler",
    "nova-compute",
    "nova-novncproxy",
    "nova-serialproxy",
    "neutron-openvswitch-agent",
    "neutron-dhcp-agent",
    "neutron-l3-agent",
    "neutron-metadata-agent",
)
PATIENCE = 15 * 60
"""Seconds: on a machine with nothing else to do it takes one."""
DONE = settings.HOME / "made"
"""Is there once a first boot came to its end."""
READY = Path("/run/openstack-aio/ready")


def main() -> None:
    """Make what is missing, start everything, and wait until it answers."""
    tell(1, "Writing configuration")
    own = settings.read()
    datapath = settings.configure(own)
    tell(4, "Starting databases, message queue, switch and hypervisor")
    side_by_side(
        lambda: start(BELOW),
        identity.keys,
        settings.choose_hypervisor,
    )
    network.make(own, datapath)
    if datapath == "netdev":
        start(["openstack-aio-taps"])
    if not DONE.exists():
        tell(15, "Making databases")
        database.make(own)
        database.fill()
        identity.bootstrap(own)
    tell(52, "Starting Keystone")
    start(["keystone"])
    until(lambda: _answers(5000), PATIENCE, "Keystone to answer on port 5000 (journalctl -u keystone)")
    if not DONE.exists():
        tell(58, "Making the services' users and endpoints")
    identity.services(identity.administrator(own), own)
    cloud = identity.administrator(own)  # anew: a token knows the services that there were
    tell(64, "Starting the APIs")
    run("systemctl", "start", "--no-block", *APIS, *WORKERS)
    for name, (_, port, _) in identity.ENDPOINTS.items():
        until(
            lambda port=port: _answers(port),
            PATIENCE,
            f"{name} to answer on port {port} (journalctl -u {name}*)",
        )
    tell(72, "Waiting for compute service and network agents")
    until(
        lambda: _up(cloud),
        PATIENCE,
        "nova-compute and the network agents to report (openstack network agent list)",
    )
    if not DONE.exists():
        tell(80, "Making project, guest, sizes and networks")
        run("nova-manage", "cell_v2", "discover_hosts", user="nova")
        resources.make(cloud, own)
        DONE.touch()
    resources.write_logins(own)
    READY.touch()
    tell(100, "ready")


def _answers(port: int) -> bool:
    """Whether an API says anything at all, be it that one has to log in."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def _up(cloud) -> bool:  # type: ignore[no-untyped-def]
    """Whether the compute service and all four kinds of network agents are alive."""
    compute = [each for each in cloud.compute.services(binary="nova-compute") if each.state == "up"]
    agents = {each.binary for each in cloud.network.agents() if each.is_alive}
    return bool(compute) and len(agents) == 4


if __name__ == "__main__":
    shutil.rmtree(PROGRESS.parent, ignore_errors=True)
    try:
        main()
    except Exception as error:
        tell(-1, " | ".join(str(error).splitlines()) or repr(error))
        raise
