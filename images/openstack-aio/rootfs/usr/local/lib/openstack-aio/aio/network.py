"""The way out: a bridge for floating addresses, and this machine as their router."""

from pathlib import Path

from .settings import Settings
from .shell import run

BRIDGE = "br-ex"


def make(settings: Settings, datapath: str) -> None:
    """The external bridge with our address on it. At every boot; idempotent."""
    run(
        "ovs-vsctl",
        "--may-exist",
        "add-br",
        BRIDGE,
        "--",
        "set",
        "bridge",
        BRIDGE,
        f"datapath_type={datapath}",
    )
    run("ip", "address", "replace", f"{settings.gateway}/{settings.floating.prefixlen}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    outside = _default_device()
    if settings.routed:
        # We answer for floating addresses on the network around us, and hand on what comes for them.
        Path(f"/proc/sys/net/ipv4/conf/{outside}/proxy_arp").write_text("1")
        return
    rule = ("POSTROUTING", "-s", str(settings.floating), "!", "-o", BRIDGE, "-j", "MASQUERADE")
    run(
        "sh",
        "-c",
        f"iptables -w -t nat -C {' '.join(rule)} 2>/dev/null || iptables -w -t nat -A {' '.join(rule)}",
    )


def _default_device() -> str:
    """The interface that leads to the world."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        device, destination, *_ = line.split()
        if int(destination, 16) == 0:
            return device
    return "eth0"
