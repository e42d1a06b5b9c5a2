"""A copy of the small course to break, the runner, and a room's driver."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from machineroom_checks.runner import CheckRunner
from machineroom_hub.room import SOURCE, Room
from machineroom_spawners.course import Course, read_course
from machineroom_spawners.drivers import make_driver
from machineroom_spawners.drivers.base import Driver

STARTER = SOURCE / "course_material" / "starter"
LINUX_INTRO = SOURCE / "course_material" / "linux-intro"


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """A copy of the small course, to change."""
    return Path(shutil.copytree(STARTER, tmp_path / "mini"))


@pytest.fixture(scope="session")
def linux_intro() -> Course:
    return read_course(LINUX_INTRO)


@pytest.fixture(scope="session")
def runner() -> Iterator[CheckRunner]:
    runner = CheckRunner()
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def driver(room: Room) -> Driver:
    return make_driver("docker", room.id)
