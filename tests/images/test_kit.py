"""The kit of tools: sealed, and made once. What it withstands is in checks/test_forge.py."""

import re
from pathlib import Path

import docker
import pytest
from machineroom_hub.images import kit
from machineroom_hub.room import Room

LOADER = next(path for path in sorted(Path("/").glob("lib*/ld-linux*.so.*")))
LIBC = next(path for path in sorted(Path("/lib").glob("*-linux-gnu*/libc.so.6")))
MULTIARCH = LIBC.parent.name.encode()


def test_a_sealed_loader_knows_no_folder_of_the_machine() -> None:
    data = LOADER.read_bytes()
    sealed = kit.seal_loader(data, MULTIARCH)
    assert len(sealed) == len(data)
    for path in (b"/etc/ld.so.preload", b"/etc/ld.so.cache", b"\0/lib/\0", MULTIARCH + b"/"):
        assert path in data
        assert path not in sealed
    assert b"/.machineroom/kit/lib/" in sealed


def test_a_sealed_library_looks_for_code_nowhere_else() -> None:
    data = LIBC.read_bytes()
    sealed = kit.seal(data, MULTIARCH)
    assert len(sealed) == len(data)
    assert re.search(rb"/usr/lib/[a-z0-9_-]+/gconv", data)
    assert not re.search(rb"/usr/lib/[a-z0-9_-]+/gconv|/usr/lib/locale|/lib(64)?/ld-linux", sealed)


def test_a_loader_that_cannot_be_sealed_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"knows no b'/etc/ld.so.preload'"):
        kit.seal_loader(LOADER.read_bytes().replace(b"ld.so.preload", b"ld.so.another"), MULTIARCH)


def test_it_is_made_once_and_for_all(engine: docker.DockerClient, room: Room, tmp_path: Path) -> None:
    made = kit.install(engine, room, tmp_path)
    (tmp_path / "kit-older").mkdir()
    began = made.stat().st_ctime_ns
    assert kit.install(engine, room, tmp_path) == made
    assert made.stat().st_ctime_ns == began
    assert (tmp_path / "kit").resolve() == made
    assert not (tmp_path / "kit-older").exists()
    assert {"ps", "ip", "systemctl", "sh"} <= {path.name for path in (made / "bin").iterdir()}
    assert (made / "real" / "ps").stat().st_mode & 0o777 == 0o711
