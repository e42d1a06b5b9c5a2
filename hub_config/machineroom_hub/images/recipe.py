"""The steps that make an image of its manifest, those that change most often last."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from . import wheels
from .layers import INPUTS, Step, Tell
from .manifest import Manifest
from .process import Processes
from .tree import Tree, digest

ENVIRONMENT = "/opt/machineroom"
"""Where the image's Python packages live."""

APT = """\
export DEBIAN_FRONTEND=noninteractive
# Services are for the machine to start, not for the build.
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
lists=$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' | head -n 1)
apt-get update --error-on=any
apt-get install -y --no-install-recommends -o APT::Status-Fd=1 {packages}
apt-get clean
# An image with package lists keeps them, the others stay small.
[ -n "$lists" ] || find /var/lib/apt/lists -mindepth 1 -delete
rm -f /usr/sbin/policy-rc.d /var/log/apt/* /var/log/dpkg.log /var/log/alternatives.log
"""

# What is fetched was fetched on the host.
UV = f"""\
export UV_OFFLINE=1 UV_NO_CACHE=1 UV_NO_INDEX=1 UV_COMPILE_BYTECODE=1
[ -x {ENVIRONMENT}/bin/python ] || {INPUTS}/uv venv --python /usr/bin/python{wheels.PYTHON} {ENVIRONMENT}
{INPUTS}/uv pip install --python {ENVIRONMENT} --no-deps"""
# The hub serves its pages itself.
TRIM = f"rm -rf {ENVIRONMENT}/share/jupyterhub/static\n"


@dataclass
class Recipe:
    """Makes steps; what they need of the host is kept in `cache`."""

    cache: Path
    processes: Processes
    # Asked for early and again when needed: the second call waits for the first and finds it done.
    _fetching: Lock = field(default_factory=Lock)
    _building: Lock = field(default_factory=Lock)

    def steps(self, manifest: Manifest, line: list[Manifest]) -> list[Step]:
        """The steps of `manifest`, which stands on the others of its `line`."""
        steps = []
        if manifest.packages:
            steps.append(_packages(manifest))
        if manifest.python:
            steps.append(self._python(manifest.folder / manifest.python))
        if manifest.files:
            steps.append(_files(manifest))
        if manifest.script:
            steps.append(_script(manifest.folder / manifest.script))
        if manifest.wheel:
            steps.append(self._wheel())
        return [*steps, _start(line)]

    def _python(self, lock: Path) -> Step:
        text = lock.read_text(encoding="utf-8")
        wanted = "\n".join(wheels.requirements(text)) + "\n"

        def inputs(tell: Tell) -> Tree:
            folder = self.cache / "wheels"
            tell(0, "fetching")
            with self._fetching:
                wheels.download(
                    lock, folder, self.processes, lambda n, of: tell(0.7 * n / of, f"{n} fetched")
                )
            tell(0.7, "installing")
            return {"uv": wheels.uv(), "wheels": folder, "lock": wanted.encode()}

        count = wanted.count("==")
        script = f"{UV} --require-hashes --find-links {INPUTS}/wheels -r {INPUTS}/lock\n{TRIM}"
        return Step(f"{count} Python packages", 45, script=script, inputs=inputs, key=wanted)

    def _wheel(self) -> Step:
        def inputs(tell: Tell) -> Tree:
            tell(0, "building")
            with self._building:
                wheel = wheels.build_wheel(self.cache, self.processes, lambda words: tell(0.1, words))
            tell(0.9, "installing")
            return {"uv": wheels.uv(), wheel.name: wheel}

        script = f"{UV} --reinstall {INPUTS}/*.whl\n"
        return Step("Machineroom's own part", 15, script=script, inputs=inputs, key=digest(wheels.source()))


def _packages(manifest: Manifest) -> Step:
    count = len(manifest.packages)
    title = f"{count} Debian packages" if count > 1 else f"Debian package {manifest.packages[0]}"
    return Step(title, 10 + count, script=APT.format(packages=shlex.join(manifest.packages)), network=True)


def _files(manifest: Manifest) -> Step:
    return Step("Files", 1, files={to: manifest.folder / name for name, to in manifest.files.items()})


def _script(path: Path) -> Step:
    return Step(path.name, 3, script=path.read_text(encoding="utf-8"), network=True)


def _start(line: list[Manifest]) -> Step:
    """How the image starts: what its line says, the image itself having the last word."""

    def last(key: str) -> str | tuple[str, ...] | None:
        return next((value for each in line[::-1] if (value := getattr(each, key)) is not None), None)

    init = last("init") or "tini"
    env = {key: value for each in line for key, value in each.env.items()}
    if init == "systemd":
        entry, cmd, signal = [], ["/sbin/init"], "SIGRTMIN+3"
    else:
        entry, cmd, signal = ["/usr/bin/tini", "--"], list(last("cmd") or ["/bin/sh"]), "SIGTERM"
    changes = [
        f"ENTRYPOINT {json.dumps(entry)}",
        f"CMD {json.dumps(cmd)}",
        f"USER {last('user') or 'root'}",
        f"WORKDIR {last('workdir') or '/'}",
        *(f"ENV {key}={json.dumps(value)}" for key, value in env.items()),
        f"LABEL machineroom.init={init}",
    ]
    return Step("How it starts", 1, changes=tuple(changes), stop_signal=signal)
