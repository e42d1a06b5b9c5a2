"""Checks on real machines: try, submit, grade; evidence for graders only."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from archives import GOOD
from classroom import Classroom
from machineroom_hub.service.checking import ChecksBroken, copy_checks
from machineroom_spawners.content import ContentError
from machineroom_spawners.course import read_course

FIRST = "courses/demo/assignments/first"


@pytest.fixture(scope="module", autouse=True)
def _machines(school: Classroom) -> None:
    """Cyd has both machines of the lab."""
    school.release()
    for machine in ("box", "db"):
        reply = school["cyd"].post(f"machines/cyd/demo/pair/{machine}/ensure")
        assert "done" in json.loads(reply.text.splitlines()[-1]), reply.text


@pytest.fixture
def shell(school: Classroom, engine: docker.DockerClient) -> Iterator[object]:
    """Run a command on cyd's box; afterwards it is as it was."""

    def run(command: str) -> None:
        container = school.container(engine, "cyd")
        assert container.exec_run(["sh", "-c", command]).exit_code == 0

    yield run
    reply = school["cyd"].post("machines/cyd/demo/pair/box/ensure")
    assert "done" in reply.text
    run("rm -rf /srv/lesson/notes /srv/more")


@pytest.fixture
def check_files(school: Classroom) -> Iterator[Path]:
    """The live check files of the first assignment; afterwards they are as they were."""
    path = school.room.courses / "demo" / "checks" / "first" / "test_notes.py"
    text = path.read_text()
    yield path
    path.write_text(text)


def outcomes(report: dict[str, object]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in report["checks"]}  # type: ignore[attr-defined]


def test_tasks_are_those_of_released_assignments(school: Classroom) -> None:
    tasks = school["ada"].get("courses/demo/tasks").json()
    assert {(t["assignment"], t["task"], t["points"]) for t in tasks} == {
        ("first", "notes", 3),
        ("first", "neighbour", 1),
    }
    assert "touch makes an empty file" in str(tasks)
    assert school["ada"].get("courses/demo/tasks?assignment=second").json() == []
    assert school["tom"].get("courses/demo/tasks?assignment=second").json()[0]["task"] == "more"
    assert school["ada"].get("courses/demo/tasks?assignment=nix").status_code == 404


def test_a_student_tries_gets_partial_credit_and_sees_no_evidence(school: Classroom, shell: object) -> None:
    untouched = school["cyd"].post("courses/demo/checks", json={"task": "notes"}).json()
    assert (untouched["earned"], untouched["points"]) == (0, 3)
    shell("touch /srv/lesson/notes && chmod 644 /srv/lesson/notes")  # type: ignore[operator]
    reply = school["cyd"].post("courses/demo/checks", json={"task": "notes"})
    report = reply.json()
    assert outcomes(report) == {"test_there_are_notes": "passed", "test_they_are_private": "failed"}
    assert (report["earned"], report["course"], report["assignment"]) == (2, "demo", "first")
    assert "evidence" not in reply.text
    assert "SECRET-IN-CHECK" not in reply.text
    assert report["checks"][1]["observed"] == "others can read the notes"


def test_a_whole_assignment_is_a_list_and_several_machines_take_part(school: Classroom) -> None:
    reports = school["cyd"].post("courses/demo/checks", json={"assignment": "first"}).json()
    assert [report["task"] for report in reports] == ["notes", "neighbour"]
    assert reports[1]["earned"] == 1


def test_once_warm_checks_are_fast(school: Classroom) -> None:
    ask = {"task": "notes"}
    school["cyd"].post("courses/demo/checks", json=ask)
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        assert school["cyd"].post("courses/demo/checks", json=ask).status_code == 200
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 2, seconds


def test_a_machine_that_is_not_there_is_an_error_that_says_what_to_do(school: Classroom) -> None:
    report = school["ben"].post("courses/demo/checks", json={"task": "notes"}).json()
    assert set(outcomes(report).values()) == {"error"}
    assert report["earned"] == 0
    assert "open a terminal" in report["checks"][0]["observed"]


def test_nobody_checks_what_is_not_released(school: Classroom) -> None:
    for ask in (
        {"task": "more"},
        {"assignment": "second"},
        {"assignment": "second", "task": "more"},
        {"task": "nix"},
    ):
        reply = school["cyd"].post("courses/demo/checks", json=ask)
        assert reply.status_code == 404, ask
    assert school["tom"].post("courses/demo/checks", json={"task": "nix"}).status_code in (404, 503)


def test_a_mistake_in_the_checks_is_told_to_graders_only(school: Classroom) -> None:
    school.release("faulty")
    for path, ask in (("checks", {"assignment": "faulty"}), ("tasks?assignment=faulty", None)):
        method = "POST" if ask else "GET"
        student = school["cyd"].request(method, f"courses/demo/{path}", json=ask)
        assert student.status_code == 503
        assert "not your fault" in student.text
        assert "nothing_that_exists" not in student.text
        assert "nothing_that_exists" in school["tom"].request(method, f"courses/demo/{path}", json=ask).text
    receipt = school["cyd"].post("courses/demo/assignments/faulty/submissions", content=GOOD).json()
    assert receipt["checks"] == []
    assert "could not be run" in receipt["problem"]
    school["tom"].delete("courses/demo/assignments/faulty/release")


def submit(school: Classroom) -> dict[str, object]:
    reply = school["cyd"].post(f"{FIRST}/submissions", content=GOOD)
    assert reply.status_code == 201, reply.text
    receipt: dict[str, object] = reply.json()
    return receipt


def score(school: Classroom, **which: str) -> dict[str, object]:
    ask = {"assignment": "first", "task": "notes", "student": "cyd", **which}
    reply = school["tom"].post("courses/demo/score", json=ask)
    assert reply.status_code == 200, reply.text
    report: dict[str, object] = reply.json()
    return report


def test_the_grade_is_of_the_machine_as_it_was_submitted(school: Classroom, shell: object) -> None:
    shell("touch /srv/lesson/notes && chmod 600 /srv/lesson/notes")  # type: ignore[operator]
    receipt = submit(school)
    assert [report["earned"] for report in receipt["checks"]] == [3, 1]  # type: ignore[attr-defined]
    assert receipt["late"] > 0  # type: ignore[operator]
    assert "evidence" not in json.dumps(receipt)
    shell("rm /srv/lesson/notes")  # type: ignore[operator]
    report = score(school)
    assert report["earned"] == 3
    assert "SECRET-IN-CHECK" in json.dumps(report), "graders get the evidence"
    assert report == score(school)
    graders = school["tom"].get(f"{FIRST}/submissions?student=cyd&latest=1").json()[0]
    assert "evidence" in json.dumps(graders["checks"])
    own = school["cyd"].get(f"{FIRST}/submissions?latest=1").json()[0]
    assert [check["earned"] for check in own["checks"]] == [3, 1]
    assert "evidence" not in json.dumps(own)


def test_a_grader_may_say_which_submission_counts(school: Classroom, shell: object) -> None:
    shell("touch /srv/lesson/notes && chmod 600 /srv/lesson/notes")  # type: ignore[operator]
    first = str(submit(school)["id"])
    shell("rm /srv/lesson/notes")  # type: ignore[operator]
    assert score(school, submission=str(submit(school)["id"]))["earned"] == 0
    assert score(school)["earned"] == 0
    assert score(school, submission=first)["earned"] == 3
    ask = {"assignment": "first", "task": "notes", "student": "cyd", "submission": first}
    for wrong in ({"student": "ada"}, {"submission": "0" * 16}, {"assignment": "second", "task": "more"}):
        reply = school["tom"].post("courses/demo/score", json={**ask, **wrong})
        assert reply.status_code == 404
        assert "There is no submission" in reply.json()["detail"]


def test_corrected_checks_are_run_on_the_machines_that_were_submitted(
    school: Classroom, shell: object, check_files: Path
) -> None:
    shell("touch /srv/lesson/notes && chmod 644 /srv/lesson/notes")  # type: ignore[operator]
    submit(school)
    assert score(school)["earned"] == 2
    shell("rm /srv/lesson/notes")  # type: ignore[operator]
    assert score(school)["earned"] == 2, "the same checks: what was seen at submission counts"
    check_files.write_text(check_files.read_text().replace("0o600", "0o644"))
    assert score(school)["earned"] == 3, "the corrected checks, and the machine as it was"
    assert score(school, task="neighbour")["earned"] == 1, "both machines are there, and know each other"


def test_a_suspended_or_stopped_machine_is_woken_to_be_checked(school: Classroom, shell: object) -> None:
    shell("touch /srv/lesson/notes && chmod 600 /srv/lesson/notes")  # type: ignore[operator]
    for action in ("suspend", "stop"):
        assert "done" in school["cyd"].post(f"machines/cyd/demo/pair/box/{action}").text
        assert submit(school)["checks"][0]["earned"] == 3  # type: ignore[index]


def test_a_broken_machine_can_be_submitted(school: Classroom, engine: docker.DockerClient) -> None:
    school.container(engine, "cyd").remove(force=True)
    receipt = submit(school)
    assert {check["outcome"] for check in receipt["checks"][0]["checks"]} == {"error"}  # type: ignore[index]
    assert score(school)["earned"] == 0
    assert "done" in school["cyd"].post("machines/cyd/demo/pair/box/ensure").text
    assert receipt["missing"] == ["box"]


def test_sessions_do_not_outlive_their_machine(school: Classroom, shell: object) -> None:
    assert school["cyd"].post("courses/demo/checks", json={"task": "notes"}).json()["earned"] == 0
    assert "done" in school["cyd"].post("machines/cyd/demo/pair/box/reset").text
    shell("touch /srv/lesson/notes && chmod 600 /srv/lesson/notes")  # type: ignore[operator]
    assert school["cyd"].post("courses/demo/checks", json={"task": "notes"}).json()["earned"] == 3


def test_a_student_of_another_course_or_nobody_has_no_score(school: Classroom) -> None:
    for student in ("eve", "nobody-at-all"):
        ask = {"assignment": "first", "task": "notes", "student": student}
        assert school["tom"].post("courses/demo/score", json=ask).status_code == 404


def test_impatience_is_told_to_wait(school: Classroom) -> None:
    replies: list[int] = []

    def press() -> None:
        with school.client(school.token("cyd")) as client:
            replies.append(client.post("courses/demo/checks", json={"assignment": "first"}).status_code)

    threads = [threading.Thread(target=press) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(replies) == {200, 429}


def test_killed_while_checking_nothing_is_submitted_and_nothing_left_running(
    school: Classroom, check_files: Path
) -> None:
    check_files.write_text(
        "import time, pytest\n\n@pytest.mark.task('notes')\ndef test_slow(machine):\n"
        "    '''Slow.'''\n    machine.run('touch /srv/begun')\n    time.sleep(15)\n"
    )
    before = len(school["tom"].get(f"{FIRST}/submissions").json())
    failed: list[str] = []

    def send() -> None:
        with school.client(school.token("cyd")) as client:
            try:
                client.post(f"{FIRST}/submissions", content=GOOD)
            except Exception as error:
                failed.append(str(error))

    thread = threading.Thread(target=send)
    thread.start()
    children: set[int] = set()
    deadline = time.monotonic() + 30
    while len(children) < 2:  # the fork server, and the fork that runs the check
        children = descendants(school.pid("service"))
        assert time.monotonic() < deadline
        time.sleep(0.05)
    school.stop("service", signal.SIGKILL)
    thread.join()
    assert failed
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a process outlived the service"
        time.sleep(0.05)
    school.start_service()
    assert len(school["tom"].get(f"{FIRST}/submissions").json()) == before
    assert not list((school.room.state / "submissions" / "incoming").iterdir())


def descendants(parent: int) -> set[int]:
    """All processes below one."""
    below: dict[int, set[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            below.setdefault(int(stat[1]), set()).add(int(entry))
    found, fresh = set[int](), {parent}
    while fresh:
        fresh = set().union(*(below.get(pid, set()) for pid in fresh))
        found |= fresh
    return found


# -- the copy of the check files --------------------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    shutil.copytree(Path(__file__).parent / "courses" / "demo", folder)
    return folder


def test_a_copy_is_named_by_its_content(course: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    first = copy_checks(read_course(course), "first", cache)
    assert (first.folder / "test_notes.py").is_file()
    assert copy_checks(read_course(course), "first", cache) == first
    (course / "checks" / "first" / "data.txt").write_text("new")
    assert copy_checks(read_course(course), "first", cache).digest != first.digest
    assert copy_checks(read_course(course), "no-checks-at-all", cache).folder.is_dir()


@pytest.mark.parametrize("trick", ["file", "folder", "checks", "fifo", "large"])
def test_a_link_among_the_checks_leads_nowhere(course: Path, tmp_path: Path, trick: str) -> None:
    cache, secret, first = tmp_path / "cache", tmp_path / "secret", course / "checks" / "first"
    cache.mkdir()
    secret.mkdir()
    (secret / "test_secret.py").write_text("the host's secret")
    found = read_course(course)
    if trick == "file":
        (first / "test_x.py").symlink_to(secret / "test_secret.py")
    elif trick == "folder":
        (first / "inner").symlink_to(secret)
    elif trick == "checks":
        shutil.rmtree(first)
        first.symlink_to(secret)
    elif trick == "fifo":
        os.mkfifo(first / "test_x.py")
    else:
        (first / "large").write_bytes(bytes(9 << 20))
    with pytest.raises(ChecksBroken):
        copy_checks(found, "first", cache)
    assert "the host's secret" not in "".join(p.read_text() for p in cache.rglob("*.py"))


def test_a_lab_that_becomes_a_link_shows_nothing_of_the_host(course: Path, tmp_path: Path) -> None:
    (tmp_path / "box.sh").write_text("the host's secret")
    found = read_course(course)
    assert "mkdir" in str(found.labs["pair"].setup_script("box"))
    shutil.rmtree(course / "labs" / "pair")
    (course / "labs" / "pair").symlink_to(tmp_path)
    with pytest.raises(ContentError, match="leads out of"):
        found.labs["pair"].setup_script("box")
    (course / "labs" / "pair" / "lab.yml").write_text("machines: {box: {image: lab-slim}}")
    with pytest.raises(ContentError, match="leads out of"):
        read_course(course)
    (course / "course.yml").unlink()
    (course / "course.yml").symlink_to(tmp_path / "box.sh")
    with pytest.raises(ContentError, match="leads out of"):
        read_course(course)
