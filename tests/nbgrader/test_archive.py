"""What comes out of an archive is plain files, inside the folder, and nobody's."""

import io
import tarfile
from pathlib import Path

import pytest
from machineroom_nbgrader.archive import ArchiveError, unpacked


def archive(*members: tarfile.TarInfo) -> list[bytes]:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for member in members:
            member.size = 2 if member.isfile() else 0
            tar.addfile(member, io.BytesIO(b"hi"))
    return [file.getvalue()]


def member(name: str, **traits: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for trait, value in traits.items():
        setattr(info, trait, value)
    return info


def test_files_are_unpacked_and_tame(tmp_path: Path) -> None:
    sent = archive(member("a/b.txt", mode=0o6777, uid=7), member("c.sh", mode=0o755))
    with unpacked(sent, tmp_path / "dest", 1000) as folder:
        assert (folder / "a/b.txt").read_text() == "hi"
        assert (folder / "a/b.txt").stat().st_mode & 0o7022 == 0, "setuid, or others may write"
        assert (folder / "c.sh").stat().st_mode & 0o100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/tmp/machineroom-x", "a/.."])
@pytest.mark.parametrize("guard", [None, getattr(tarfile, "data_filter", None)])
def test_nothing_gets_out(tmp_path: Path, name: str, guard: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("machineroom_nbgrader.archive.DATA_FILTER", guard)
    with pytest.raises(ArchiveError, match="outside"), unpacked(archive(member(name)), tmp_path / "d", 1000):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "odd",
    [
        member("l", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("h", type=tarfile.LNKTYPE, linkname="a"),
        member("p", type=tarfile.FIFOTYPE),
        member("d", type=tarfile.CHRTYPE),
    ],
)
def test_only_plain_files(tmp_path: Path, odd: tarfile.TarInfo) -> None:
    with pytest.raises(ArchiveError, match="not a plain file"), unpacked(archive(odd), tmp_path / "d", 1000):
        pass
