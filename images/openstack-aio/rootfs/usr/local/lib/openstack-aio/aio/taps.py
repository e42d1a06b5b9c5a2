"""A guest that was suspended gets a new tap device of the old name: have the switch see the new one.

Open vSwitch's own datapath keeps what it had opened, a device that is no more, and Nova leaves the port alone
when it resumes a guest. The kernel's datapath needs none of this.
"""

import re
import subprocess

from .shell import SetupError, run

BRIDGE = "br-int"
_EVENT = re.compile(r"^(Deleted )?\d+: (tap[0-9a-f-]{11}): ")


def main() -> None:
    """Watch the kernel's devices, for ever."""
    gone: set[str] = set()
    with subprocess.Popen(["ip", "monitor", "link"], stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout
        for line in monitor.stdout:
            if not (event := _EVENT.match(line)):
                continue
            deleted, tap = event.groups()
            if deleted:
                gone.add(tap)
            elif tap in gone:
                gone.discard(tap)
                plug_again(tap)


def plug_again(tap: str) -> None:
    """Take the port out of the switch and put it in again, still known as whose it is."""
    try:
        known = run("ovs-vsctl", "--if-exists", "get", "Interface", tap, "external_ids").strip()
        if known in ("", "{}"):
            return  # not a guest's, or unplugged meanwhile
        # Twice, not in one: what comes back in the same transaction, the switch has never closed.
        run("ovs-vsctl", "--if-exists", "del-port", BRIDGE, tap)
        run("ovs-vsctl", "add-port", BRIDGE, tap, "--", "set", "Interface", tap, f"external_ids={known}")
    except SetupError as error:
        print(error, flush=True)  # noqa: T201 the journal


if __name__ == "__main__":
    main()
