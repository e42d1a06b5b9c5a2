"""What goes into an image, and its hash."""

import tarfile
from pathlib import Path

from machineroom_hub.images.tree import digest, pack


def test_pack(tmp_path: Path) -> None:
    (tmp_path / "root" / "bin").mkdir(parents=True)
    program = tmp_path / "root" / "bin" / "hello"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    (tmp_path / "root" / "note").write_text("x")
    (tmp_path / "root" / "note").chmod(0o600)
    (tmp_path / "root" / "link").symlink_to("/etc/passwd")
    (tmp_path / "root" / "__pycache__").mkdir()
    (tmp_path / "root" / "__pycache__" / "x.pyc").write_text("x")
    with (
        pack({"/": tmp_path / "root", "/etc/said": b"said"}) as archive,
        tarfile.open(fileobj=archive) as tar,
    ):
        members = {member.name: member for member in tar}
    assert set(members) == {"bin/hello", "note", "link", "etc/said"}
    assert members["bin/hello"].mode == 0o755, "executable by all, since root in the image is somebody else"
    assert members["note"].mode == 0o644
    assert members["link"].linkname == "/etc/passwd", "a link stays a link: what it names is not copied"
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}


def test_digest_sees_name_mode_and_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    first = digest({"/x": file})
    assert digest({"/x": b"a"}) == first
    assert digest({"/y": file}) != first
    file.chmod(0o755)
    assert digest({"/x": file}) != first
    file.chmod(0o644)
    file.write_text("b")
    assert digest({"/x": file}) != first
