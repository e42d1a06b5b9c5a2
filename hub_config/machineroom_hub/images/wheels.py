"""Python packages for the workspace: downloaded on the host with its own pip, and our own wheel.

The host's pip knows the host's index, proxy and certificates; inside the image nothing is fetched.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement

from ..node import node_env
from ..room import SOURCE
from .process import Processes, StepError
from .tree import Tree, digest, pack

LABEXTENSION = SOURCE / "extensions" / "labextension"
_BUILT = {"node_modules", "dist", "lib", "tsconfig.tsbuildinfo", ".eslintcache"}

PYTHON = "3.13"
"""The image's Python: Debian 13's."""

_TARGET = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
_PLATFORMS = (
    "linux",
    "manylinux1",
    "manylinux2010",
    "manylinux2014",
    *(f"manylinux_2_{n}" for n in range(5, 42)),
)
"""Debian 13 has glibc 2.41."""


def requirements(lock: str) -> list[str]:
    """The requirements of a lock that the image needs, each with its hashes.

    >>> requirements("a==1 \\\\\n  --hash=sha256:0\nb==2 ; sys_platform == 'win32' \\\\\n  --hash=sha256:1\n")
    ['a==1 --hash=sha256:0']
    """
    lines = [line for line in lock.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for entry in "\n".join(lines).replace("\\\n", " ").split("\n"):
        what, *hashes = re.split(r"\s+(?=--hash=)", entry.strip())
        marker = Requirement(what).marker
        if marker is None or marker.evaluate(_TARGET):
            found.append(" ".join([what.partition(";")[0].strip(), *hashes]))
    return found


def download(lock: Path, folder: Path, processes: Processes, heard: Callable[[int, int], None]) -> None:
    """Have in `folder` the wheels that `lock` names, fetching only those that are not there yet.

    `heard` is told how many of how many are there. Raises StepError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.whl")}
    wanted = requirements(lock.read_text(encoding="utf-8"))
    missing = [each for each in wanted if not there.intersection(re.findall(r"sha256:(\w+)", each))]
    if not missing:
        return
    have = len(wanted) - len(missing)

    def count(line: str) -> None:
        nonlocal have
        if line.startswith("Saved "):
            have += 1
            heard(have, len(wanted))

    part = folder / "missing.txt"
    part.write_text("\n".join(missing) + "\n", encoding="utf-8")
    machine = platform.machine()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
    command += ["--progress-bar", "off", "--disable-pip-version-check", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--implementation", "cp"]
    command += [f"--abi={abi}" for abi in ("cp" + PYTHON.replace(".", ""), "abi3", "none")]
    command += [f"--platform={tag}_{machine}" for tag in _PLATFORMS]
    processes.run([*command, "--dest", str(folder), "-r", str(part)], heard=count)
    part.unlink()


def uv() -> Path:
    """The program that installs wheels in the image: our environment's. Raises StepError."""
    found = shutil.which("uv", path=f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}")
    if not found:
        raise StepError(f"there is no program 'uv' in {sys.prefix}/bin; ./machineroom up installs it")
    return Path(found)


def source() -> Tree:
    """What our own wheel is built from."""
    names = ["pyproject.toml", "LICENSE"]
    paths = [SOURCE / name for name in names] + list((SOURCE / "extensions").iterdir())
    files = {f"/{path.relative_to(SOURCE)}": path for path in paths if path.exists() and path != LABEXTENSION}
    return {**files, **labextension_source()}


def labextension_source() -> Tree:
    """What the JupyterLab extension is built from; nothing when there is none."""
    if not (LABEXTENSION / "package.json").exists():
        return {}
    paths = [path for path in LABEXTENSION.iterdir() if path.name not in _BUILT]
    return {f"/{path.relative_to(SOURCE)}": path for path in paths}


def build_wheel(cache: Path, processes: Processes, tell: Callable[[str], None]) -> Path:
    """Our own wheel, with the JupyterLab extension in it; made once for each state of the source."""
    done = cache / "wheel" / digest(source())[:24]
    if found := list(done.glob("*.whl")):
        return found[0]
    labextension = build_labextension(cache, processes, tell)
    tell("Building Machineroom's wheel")
    work = done.with_suffix(".part")
    shutil.rmtree(work, ignore_errors=True)
    _copy(source(), work)
    target = work / "extensions" / "labextension" / "dist"
    if labextension:
        shutil.copytree(labextension, target)
    else:
        target.mkdir(parents=True)
    processes.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "wheel"], cwd=work)
    _keep_only(work / "wheel", done)
    shutil.rmtree(work)
    return next(done.glob("*.whl"))


def build_labextension(cache: Path, processes: Processes, tell: Callable[[str], None]) -> Path | None:
    """The JupyterLab extension's built files, made once for each state of its source."""
    files = labextension_source()
    if not files:
        return None
    done = cache / "labextension" / digest(files)[:24]
    if done.exists():
        return done
    # npm's packages are kept, so that a change in our own TypeScript costs one compilation.
    tree = cache / "labextension" / "work"
    work = tree / LABEXTENSION.relative_to(SOURCE)
    work.mkdir(parents=True, exist_ok=True)
    for path in work.iterdir():
        if path.name != "node_modules":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    _copy(files, tree)
    with node_env() as env:
        # The extension's builder is a Python program of our own environment.
        env["PATH"] += f":{Path(sys.executable).parent}"
        locked = digest({"/package-lock.json": LABEXTENSION / "package-lock.json"})
        stamp = work / "node_modules" / ".machineroom-lock"
        if not stamp.exists() or stamp.read_text() != locked:
            tell("Fetching npm packages for the JupyterLab extension")
            processes.run(["npm", "ci"], cwd=work, env=env)
            stamp.write_text(locked)
        tell("Building the JupyterLab extension")
        processes.run(["npm", "run", "build"], cwd=work, env=env)
    _keep_only(work / "dist", done)
    return done


def _copy(tree: Tree, folder: Path) -> None:
    with pack(tree) as archive, tarfile.open(fileobj=archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not in Debian 12's Python
        tar.extractall(folder)  # noqa: S202 - our own files


def _keep_only(made: Path, done: Path) -> None:
    """Move what was made to `done`, in place of what earlier sources had made."""
    for old in done.parent.iterdir():
        if old.is_dir() and re.fullmatch(r"[0-9a-f]{24}", old.name):
            shutil.rmtree(old)
    made.rename(done)
