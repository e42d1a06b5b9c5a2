#!/usr/bin/python3 -ISE
"""The OCI runtime `machineroom`: runc, with the container's own cgroup writable.

systemd as a container's first process needs that one thing, and no privilege: a cgroup tree of
its own to sort its services into. The host package installs this file, which needs nothing but
Python, as `/usr/local/lib/machineroom/machineroom-runc`, and tells the engine about it. It edits
the container's configuration when runc is asked to create one, and then becomes runc.

- cgroup v2: the container's own cgroup2 mount loses its `ro`. Its limits stay out of its reach:
  in a user namespace they belong to the host's root, and else the mount option `nsdelegate` keeps them.
- cgroup v1: the container's part of the hierarchy `name=systemd`, in which nothing is limited, is
  made and mounted writable. runc removes it with the container.
"""

import json
import os
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/self/mountinfo")


def main(arguments: list[str]) -> None:
    """Prepare what is to be created, and become runc."""
    if "create" in arguments:
        try:
            prepare(bundle(arguments), CGROUPS)
        except (OSError, ValueError, LookupError) as error:
            fail(arguments, f"machineroom-runc: the container's own cgroup cannot be made writable: {error}")
    try:
        os.execvp("runc", ["runc", *arguments])  # noqa: S606 we become runc: no shell, no child
    except OSError as error:
        fail(arguments, f"machineroom-runc: runc cannot be run: {error}. Install it (Debian's package: runc)")


def bundle(arguments: list[str]) -> Path:
    """The folder that holds the container's config.json."""
    return Path(option(arguments, "--bundle") or option(arguments, "-b") or ".")


def option(arguments: list[str], name: str) -> str:
    """The value of runc's option `name`, "" when it is not given."""
    for index, argument in enumerate(arguments):
        if argument == name:
            return arguments[index + 1]
        if argument.startswith(name + "="):
            return argument.partition("=")[2]
    return ""


def prepare(folder: Path, cgroups: Path) -> None:
    """Edit the configuration in `folder`, and make on cgroup v1 the cgroup that it speaks of."""
    path = folder / "config.json"
    spec = json.loads(path.read_text())
    if (cgroups / "cgroup.controllers").exists():
        edit_v2(spec, delegates="nsdelegate" in MOUNTS.read_text())
    else:
        hierarchy = cgroups / "systemd"
        if not (hierarchy / "cgroup.procs").exists():
            raise LookupError(f"this host has no cgroup hierarchy {hierarchy}; run ./machineroom doctor")
        own = hierarchy / cgroup_path(spec["linux"]["cgroupsPath"])
        own.mkdir(parents=True, exist_ok=True)
        give(own, host_id(spec, "uidMappings"), host_id(spec, "gidMappings"))
        edit_v1(spec, own)
    part = folder / "config.json.machineroom"
    part.write_text(json.dumps(spec))
    part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)


def edit_v2(spec: dict, delegates: bool) -> None:
    """Let the container write to its own cgroup2 tree; a cgroup namespace shows it no other.

    `delegates` says whether the host's mount has `nsdelegate`.
    """
    if not any(space["type"] == "cgroup" for space in spec["linux"]["namespaces"]):
        raise ValueError("the container has no cgroup namespace; create it with --cgroupns private")
    if not delegates and not host_id(spec, "uidMappings"):
        raise ValueError(
            "its root could lift its own limits; run: mount -o remount,nsdelegate /sys/fs/cgroup"
        )
    for mount in spec["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = [o for o in mount.get("options", []) if o not in ("ro", "rw")] + ["rw"]


def edit_v1(spec: dict, own: Path) -> None:
    """Mount the container's own part of `name=systemd` where systemd looks for it."""
    spec["mounts"].append(
        {
            "destination": "/sys/fs/cgroup/systemd",
            "type": "bind",
            "source": str(own),
            "options": ["rbind", "rw", "nosuid", "nodev", "noexec"],
        }
    )


def cgroup_path(said: str) -> Path:
    """A container's place in a hierarchy, relative to its root.

    `said` is a path, or `slice:prefix:name` where the engine leaves cgroups to the host's systemd.
    """
    if said.count(":") != 2:
        path = Path(said.lstrip("/"))
    else:
        parent, prefix, name = said.split(":")
        words = (parent or "system.slice").removesuffix(".slice").split("-")
        slices = ["-".join(words[: n + 1]) + ".slice" for n in range(len(words))]
        path = Path(*slices, f"{prefix}-{name}.scope" if prefix else f"{name}.scope")
    if not path.parts or ".." in path.parts:
        raise ValueError(f"'{said}' is no place for a container's cgroup")
    return path


def host_id(spec: dict, mappings: str) -> int:
    """Which user or group of the host the container's root is."""
    for mapping in spec["linux"].get(mappings) or []:
        if mapping["containerID"] == 0:
            return mapping["hostID"]
    return 0


def give(cgroup: Path, uid: int, gid: int) -> None:
    """Make the container's root the owner of its cgroup."""
    if uid:
        for path in (cgroup, *cgroup.iterdir()):
            os.chown(path, uid, gid)


def fail(arguments: list[str], message: str) -> None:
    """End with an error where the engine looks for it: in runc's log, else on standard error."""
    log = option(arguments, "--log")
    line = {"level": "error", "msg": message, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if log:
        with Path(log).open("a") as file:
            file.write(json.dumps(line) + "\n")
    sys.exit(message)


if __name__ == "__main__":
    main(sys.argv[1:])
