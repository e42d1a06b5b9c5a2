"""What is wrong with a manifest is said with file, line and key."""

from pathlib import Path

import pytest
from machineroom_hub.images import build, read_manifests
from machineroom_hub.room import Room
from machineroom_spawners.content import ContentError

from .conftest import Write


@pytest.mark.parametrize(
    ("manifest", "line", "words"),
    [
        ("from: debian\npakages: [nginx]\n", 2, "pakages: unknown key; did you mean 'packages'?"),
        ("from: debian\npackages: ['nginx -o x']\n", 2, "packages.0: "),
        ("from: debian\n\nfiles: {nothing: /etc}\n", 1, "files: there is no nothing in "),
        ("files: {image.yml: etc/motd}\n", 1, "files.image.yml: "),
        ("script: ../../../../secret\n", 1, "script: "),
        ("init: systemd\ncmd: [true]\n", 2, "cmd.0: "),
        ("init: systemd\ncmd: ['true']\n", 1, "systemd starts its units"),
        ("from: nowhere\n", None, "from: there is no image 'nowhere'; there are: debian, lab, lab-slim, "),
        ("from: soup\n", None, "from: 'soup' stands on 'soup' itself"),
    ],
)
def test_errors(room: Room, write: Write, manifest: str, line: int | None, words: str) -> None:
    folder = write("soup", manifest)
    with pytest.raises(ContentError) as error:
        read_manifests(room)
    assert str(error.value).startswith(f"{folder / 'image.yml'}:{line or ''}")
    assert words in str(error.value)


def test_nothing_outside_the_course_gets_in(room: Room, write: Write) -> None:
    folder = write("soup", "files: {link: /etc/stolen}\n")
    (folder / "link").symlink_to("/etc/shadow")
    with pytest.raises(ContentError, match="leads out of"):
        read_manifests(room)


def test_a_name_is_one_image(room: Room, write: Write) -> None:
    write("lab", "from: debian\n")
    with pytest.raises(ContentError, match=r"the name 'lab' is taken by .*images/lab/image.yml; rename"):
        read_manifests(room)


def test_unknown_name(room: Room) -> None:
    with pytest.raises(
        ContentError, match="there is no image 'loaf'; there are: lab, lab-slim, openstack-aio, workspace"
    ):
        build(room, ["loaf"])


def test_ours_are_sound(room: Room) -> None:
    manifests = read_manifests(room)
    assert set(manifests) == {"lab", "lab-slim", "openstack-aio", "workspace"}
    assert all(each.description for each in manifests.values())
    assert all(Path(each.folder / "image.yml") == each.file for each in manifests.values())
