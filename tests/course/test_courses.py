"""Courses come into a room, are brought up to date around instructors' work, and are released."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from machineroom_hub import courses, folders
from machineroom_hub.proof import is_proven
from machineroom_hub.room import Room
from machineroom_spawners.content import ContentError


@pytest.fixture
def own_room(tmp_path: Path) -> Room:
    """A room of which only the state directory is used."""
    return Room(tmp_path / "state")


def test_a_course_is_added_once(own_room, mini):
    first = courses.add(own_room, mini)
    assert first.new
    assert "checks/hello/test_greeting.py" in first.taken
    live = own_room.courses / "mini"
    assert first.course.folder == live
    (live / "source/hello/hello.ipynb").write_text("an instructor's")
    again = courses.add(own_room, mini)
    assert (again.new, again.taken, again.kept) == (False, (), ())
    assert (live / "source/hello/hello.ipynb").read_text() == "an instructor's"
    assert [(c["id"], c["assignments"], c["machines"], c["proven"]) for c in courses.listing(own_room)] == [
        ("mini", ["hello"], 1, False)
    ]


def test_hidden_files_links_and_grades_are_not_copied(own_room, mini):
    (mini / "source/hello/.ipynb_checkpoints").mkdir()
    (mini / "source/hello/.ipynb_checkpoints/old.ipynb").write_text("{}")
    (mini / "source/hello/passwd").symlink_to("/etc/passwd")
    (mini / "submitted").mkdir()
    (mini / "submitted/work").write_text("somebody's")
    courses.add(own_room, mini)
    live = own_room.courses / "mini"
    assert sorted(p.name for p in (live / "source/hello").iterdir()) == ["hello.ipynb"]
    assert not (live / "submitted").exists()


def test_an_update_takes_over_the_authors_changes_and_keeps_the_instructors(own_room, mini):
    (mini / "source/hello/data.csv").write_text("1")
    (mini / "source/hello/gone.csv").write_text("1")
    courses.add(own_room, mini)
    live = own_room.courses / "mini"
    (live / "gradebook.db").write_text("grades")
    (live / "source/hello/data.csv").write_text("an instructor's")
    (live / "labs/box/box.sh").write_text("an instructor's")

    (mini / "source/hello/data.csv").write_text("2")
    (mini / "source/hello/new.csv").write_text("3")
    (mini / "source/hello/gone.csv").unlink()
    (mini / "course.yml").write_text((mini / "course.yml").read_text().replace("smallest", "tiniest"))
    done = courses.add(own_room, mini, update=True)

    assert done.taken == ("course.yml", "source/hello/gone.csv", "source/hello/new.csv")
    assert done.kept == ("source/hello/data.csv",)
    assert done.course.title == "The tiniest course"
    assert (live / "source/hello/data.csv").read_text() == "an instructor's"
    assert (live / "source/hello/data.csv.new").read_text() == "2"
    assert (live / "labs/box/box.sh").read_text() == "an instructor's"
    assert not (live / "source/hello/gone.csv").exists()
    assert (live / "gradebook.db").read_text() == "grades"


def test_an_update_follows_no_link_that_a_grader_planted(own_room, mini, tmp_path):
    courses.add(own_room, mini)
    live, outside = own_room.courses / "mini", tmp_path / "outside"
    shutil.move(live / "checks", outside)
    (live / "checks").symlink_to(outside)
    (outside / "hello/test_greeting.py").write_text("a target")
    (mini / "checks/hello/test_greeting.py").write_text("new")
    with pytest.raises(OSError, match="checks"):
        courses.add(own_room, mini, update=True)
    assert (outside / "hello/test_greeting.py").read_text() == "a target"
    assert folders.read(live, "checks/hello/test_greeting.py") is None


def test_what_cannot_be_offered_is_refused(own_room, mini):
    lab = mini / "labs/box/lab.yml"
    lab.write_text(lab.read_text().replace("lab-slim", "beos"))
    with pytest.raises(ContentError, match="there is no image 'beos'"):
        courses.add(own_room, mini)
    assert courses.listing(own_room) == []
    with pytest.raises(ContentError, match=r"there is no course 'nowhere' here; there are: none yet"):
        courses.get(own_room, "nowhere")


def test_a_broken_course_does_not_hide_the_others(own_room, mini):
    courses.add(own_room, mini)
    broken = own_room.courses / "broken"
    broken.mkdir()
    (broken / "course.yml").write_text("title: [")
    rows = {row["id"]: row for row in courses.listing(own_room)}
    assert "not valid YAML" in rows["broken"]["problem"]
    assert rows["mini"]["problem"] == ""


def test_an_unproven_course_is_not_released(own_room, mini):
    courses.add(own_room, mini)
    with pytest.raises(ContentError, match=r"not proven as it is now: run \./machineroom course prove"):
        courses.release(own_room, "mini", "hello")
    with pytest.raises(ContentError, match="has no assignment 'hallo'; it has: hello"):
        courses.release(own_room, "mini", "hallo")


def test_the_proof_of_the_author_counts_in_the_room(own_room, linux_intro):
    assert is_proven(courses.add(own_room, linux_intro.folder).course)


def test_nbgrader_makes_the_students_version(room: Room, mini, engine):
    course = courses.add(room, mini).course
    archive = courses.generate(room, course, "hello")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        names = {member.name for member in tar if member.isfile()}
        assert names == {"./hello.ipynb"}
        notebook = json.load(tar.extractfile("./hello.ipynb"))  # type: ignore[arg-type]
    cell = next(c for c in notebook["cells"] if "".join(c["source"]) == 'check("greeting")')
    assert cell["metadata"]["nbgrader"]["checksum"]
    assert not cell["metadata"]["deletable"]
    assert (course.folder / "gradebook.db").exists()
    assert engine.containers.list(all=True, filters={"label": f"machineroom.room={room.id}"}) == []

    (course.folder / "source/hello/hello.ipynb").write_text("{}")
    with pytest.raises(ContentError, match="nbgrader cannot make hello of mini"):
        courses.generate(room, course, "hello")
