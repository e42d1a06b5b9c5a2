"""Small images of a course of one's own; what they leave in the engine goes with their room."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from textwrap import dedent

import pytest
from machineroom_hub.room import Room

Write = Callable[..., Path]


@pytest.fixture
def write(room: Room) -> Iterator[Write]:
    """Write an image of a course: `write("soup", "from: debian", **{"setup.sh": "…"})`."""
    course = room.courses / "kitchen"

    def write(name: str, manifest: str, **files: str) -> Path:
        folder = course / "images" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image.yml").write_text(dedent(manifest))
        for file, text in files.items():
            (folder / file).write_text(dedent(text))
        return folder

    yield write
    rmtree(course, ignore_errors=True)
