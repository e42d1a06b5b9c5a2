"""Locks: what the image needs of them, and that only what is missing is fetched."""

import hashlib
from pathlib import Path

from machineroom_hub.images import wheels
from machineroom_hub.images.process import Processes
from machineroom_hub.room import SOURCE

LOCK = """\
anyio==4.16.0 \\
    --hash=sha256:{} \\
    --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111
pywinpty==3.1.2 ; os_name == 'nt' \\
    --hash=sha256:2222222222222222222222222222222222222222222222222222222222222222
"""


def test_requirements_are_those_of_the_image() -> None:
    found = wheels.requirements((SOURCE / "locks" / "workspace.lock").read_text())
    names = {each.partition("==")[0] for each in found}
    assert {"jupyterlab", "nbgrader", "ipykernel", "pexpect"} <= names
    assert not {"pywinpty", "colorama", "appnope"} & names, "other systems' packages are left out"
    assert "rfc3987-syntax" not in names, "it costs every server 0.9 s at import"
    assert all("--hash=sha256:" in each for each in found)


def test_what_is_there_is_not_fetched(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "anyio-4.16.0-py3-none-any.whl").write_bytes(b"wheel")
    lock = tmp_path / "lock"
    lock.write_text(LOCK.format(hashlib.sha256(b"wheel").hexdigest()))
    processes = Processes()
    processes.stop()  # from here on a program that is run raises Interrupted
    wheels.download(lock, folder, processes, lambda have, of: None)
