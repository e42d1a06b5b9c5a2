"""A disk without room, or without inodes: nothing is half stored, and everybody is told in words."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest
from archives import archive
from classroom import Classroom
from rooms import new_room
from service.conftest import GROUPS

ESSAY = "courses/demo/assignments/essay"
COURSES = Path(__file__).parent / "courses"


@dataclass
class Scarce:
    """A file system of three megabytes, on which the service keeps everything."""

    folder: Path

    @contextmanager
    def full(self, *, but: int = 0) -> Iterator[None]:
        """For as long as needed there is no room, `but` for so many bytes."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                file.truncate(max(0, file.tell() - but))
        yield
        ballast.unlink()

    @contextmanager
    def no_inodes(self) -> Iterator[None]:
        """For as long as needed there is room, but for no other file."""
        made = self.folder / "many"
        made.mkdir()
        try:
            for number in itertools.count():
                (made / str(number)).touch()
        except OSError:
            yield
        shutil.rmtree(made)

    def files(self) -> list[Path]:
        return sorted(path for path in (self.folder / "submissions").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def scarce(engine: docker.DockerClient) -> Iterator[tuple[Classroom, Scarce]]:
    """A class whose service has a small disk."""
    with new_room(engine) as room:
        shutil.copytree(COURSES, room.courses)
        folder = room.state / "scarce"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,nr_inodes=200", "none", folder], check=True)
        made = Classroom(room, GROUPS)
        try:
            for name in ("service", "submissions"):
                (folder / name).mkdir()
                (room.state / name).symlink_to(folder / name)
            made.start_hub()
            made.start_service()
            made.release("essay")
            yield made, Scarce(folder)
        finally:
            made.close()
            subprocess.run(["umount", folder], check=True)


def submit(school: Classroom, text: str) -> httpx.Response:
    return school["ada"].post(f"{ESSAY}/submissions", content=archive({"essay/essay.ipynb": text}))


def refused(answer: httpx.Response) -> bool:
    assert answer.status_code == 507, answer.text
    return "disk of this server is full, so nothing was stored" in answer.json()["detail"]


@pytest.mark.parametrize("want", ["room", "inodes"])
def test_what_cannot_be_stored_is_refused_whole_and_what_was_stored_stays(
    scarce: tuple[Classroom, Scarce], want: str
) -> None:
    school, disk = scarce
    first = submit(school, "my essay").json()
    before = disk.files()
    with disk.full() if want == "room" else disk.no_inodes():
        assert refused(submit(school, "another " * 5000))
        assert disk.files() == before
        assert school["ada"].get(f"submissions/{first['id']}").status_code == 200
        assert [r["id"] for r in school["ada"].get(f"{ESSAY}/submissions").json()][-1] == first["id"]
    assert submit(school, "another " * 5000).status_code == 201


def test_whatever_the_room_is_enough_for_an_answer_is_true(scarce: tuple[Classroom, Scarce]) -> None:
    school, disk = scarce
    for kilobytes in range(0, 100, 12):
        before = len(school["tom"].get(f"{ESSAY}/submissions").json())
        with disk.full(but=kilobytes << 10):
            answer = submit(school, f"with {kilobytes} KiB left")
            assert answer.status_code == 201 or refused(answer)
        taken = school["tom"].get(f"{ESSAY}/submissions").json()
        assert len(taken) == before + (answer.status_code == 201)
        for receipt in taken:
            assert school["tom"].get(f"submissions/{receipt['id']}").status_code == 200


def test_a_service_without_room_serves_readers_or_says_why_it_does_not_start(
    scarce: tuple[Classroom, Scarce],
) -> None:
    """Which of the two hangs on how the one before ended: sqlite's journal has its room, or wants it."""
    school, disk = scarce
    receipt = submit(school, "before").json()
    school.stop("service")
    with disk.full():
        try:
            school.start_service()
        except AssertionError as error:
            if not re.search(r"disk|database|No space", str(error)):
                raise
        else:
            assert school["ada"].get(f"submissions/{receipt['id']}").status_code == 200
            assert refused(submit(school, "another " * 5000))
            school.stop("service")
    school.start_service()
    assert school["ada"].get(f"submissions/{receipt['id']}").status_code == 200
