"""test: the whole suite, on a machine that has nothing yet."""

import os
import platform
import subprocess
from pathlib import Path

import typer

from .. import images, node
from ..host import doctor, engine, packages
from ..room import SOURCE, Room
from . import progress
from .common import console, say, step

EXTENSION = SOURCE / "extensions" / "labextension"
OWNER = "test"
BROWSER = {
    "chromium": "/usr/bin/chromium",
    "libatomic1": f"/usr/lib/{platform.machine()}-linux-gnu/libatomic.so.1",  # for playwright's Node
}


def register(app: typer.Typer) -> None:
    """Add this module's commands to the tree."""
    app.command(
        "test",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )(test)


def test(context: typer.Context) -> None:
    """Run the whole test suite; options pass through to pytest."""
    began_with_engine = engine.client() is not None
    try:
        with step("Host: packages, Docker engine, Chromium"):
            wanted = [name for name, file in BROWSER.items() if not Path(file).exists()]
            packages.install([*packages.missing(), *wanted], say)
            engine.ensure(say, OWNER)
            doctor.raise_kernel_limits(say)
        with progress.many() as told:
            images.build(Room(), progress=told)
        code = _run(context.args)
    finally:
        if not began_with_engine:
            engine.stop(say, OWNER)
    raise typer.Exit(code)


def _run(arguments: list[str]) -> int:
    """Style, types, the extension's own checks, then pytest. The first failure is the exit code."""
    bin = Path(os.environ["MACHINEROOM_ENVIRONMENTS"]) / "test" / "bin"
    python = str(bin / "python")
    if not arguments:
        for name, command in (
            ("ruff check", [str(bin / "ruff"), "check", "."]),
            ("ruff format", [str(bin / "ruff"), "format", "--check", "."]),
            ("mypy", [str(bin / "mypy")]),
        ):
            with step(name):
                done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
            if done.returncode:
                console.print(done.stdout + done.stderr, markup=False)
                return done.returncode
        with step("eslint and tsc of the JupyterLab extension"):
            if not (EXTENSION / "node_modules").is_dir():
                node.npm(["ci"], EXTENSION)
            node.npm(["run", "lint"], EXTENSION)
    return subprocess.run([python, "-m", "pytest", *arguments], cwd=SOURCE, check=False).returncode
