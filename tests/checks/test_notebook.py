"""`check` in a real kernel, over the real runner and a real machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import COURSE, EXTENSIONS, Kernel, Lab, Ran

CHECKS = '''
import pytest
pytestmark = pytest.mark.task("notes", title="Take notes")
@pytest.mark.points(2)
@pytest.mark.hint("touch makes a file")
def test_there(machine):
    """There is a file /srv/notes"""
    assert machine.file("/srv/notes").exists
def test_root(machine):
    """You are root"""
    assert machine.user("root").uid == 0
'''


@pytest.fixture(autouse=True)
def course(lab: Lab) -> Iterator[None]:
    (lab.home / "test_notes.py").write_text(CHECKS)
    lab.on_machine("rm -f /srv/notes")
    return


def verdict(ran: Ran) -> dict[str, str]:
    """What the verdict's output shows in the end, as a notebook would save it."""
    shown = [c for c in ran.shown if "application/vnd.jupyter.widget-view+json" not in c["data"]]
    assert len({c["transient"]["display_id"] for c in shown}) == 1
    return shown[-1]["data"]


def test_verdict_is_html_that_needs_no_kernel_and_a_button(kernel: Kernel) -> None:
    ran = kernel.run('check("notes")')
    assert (ran.error, ran.stderr, ran.stdout, ran.value) == ("", "", "", "")
    assert "Checking “notes”" in ran.shown[0]["data"]["text/plain"]
    shown = verdict(ran)
    assert "Take notes: 1 of 3 points (checked on web, 21 November 2026, 09:41 UTC)" in shown["text/plain"]
    assert "file /srv/notes: does not exist" in shown["text/html"]
    assert "touch makes a file" in shown["text/html"]
    assert "<script" not in shown["text/html"]
    assert any("application/vnd.jupyter.widget-view+json" in c["data"] for c in ran.shown)


def test_button_checks_again_and_leaves_the_kernel_free(kernel: Kernel, lab: Lab) -> None:
    ran = kernel.run('check("notes")')
    lab.on_machine("touch /srv/notes")
    display_id = ran.shown[0]["transient"]["display_id"]
    views = [c["data"].get("application/vnd.jupyter.widget-view+json") for c in ran.shown]
    (button,) = [view["model_id"] for view in views if view]
    click = {"method": "custom", "content": {"event": "click"}}
    message = kernel.client.session.msg("comm_msg", {"comm_id": button, "data": click})
    kernel.client.shell_channel.send(message)
    told: list[Any] = []
    deadline = time.monotonic() + 20
    while "Check" not in told:  # the button's last word
        assert time.monotonic() < deadline
        said = kernel.client.get_iopub_msg(timeout=20)
        if said["msg_type"] == "update_display_data":
            assert said["content"]["transient"]["display_id"] == display_id
            told.append(said["content"]["data"]["text/plain"].partition(" (")[0])
        elif said["msg_type"] == "comm_msg" and said["content"]["comm_id"] == button:
            told += [v for k, v in said["content"]["data"].get("state", {}).items() if k == "description"]
        elif said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
            told.append("free")
    # The kernel was free again before the verdict was there.
    assert told.index("Checking …") < told.index("free") < told.index("Take notes: 3 of 3 points")


def test_what_goes_wrong_is_told_in_words(kernel: Kernel, lab: Lab) -> None:
    assert "There is no task 'nope'" in verdict(kernel.run('check("nope")'))["text/plain"]
    (lab.home / "test_notes.py").write_text("def test_x(: pass")
    broken = verdict(kernel.run('check("notes")'))["text/plain"]
    assert "A file of checks has a mistake, which is not yours. Tell your instructor." in broken


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"MACHINEROOM_SERVICE_URL": "http://127.0.0.1:1"}, "The Machineroom service does not answer"),
        ({"JUPYTERHUB_API_TOKEN": ""}, "You are not logged in here"),
        ({"JUPYTERHUB_API_TOKEN": "eve"}, "The service does not know your login any more"),
        ({"MACHINEROOM_ETC": "/nowhere"}, "does not run in a Machineroom workspace"),
    ],
)
def test_service_that_does_not_help(lab: Lab, service: str, env: dict[str, str], says: str) -> None:
    kernel = Kernel(lab, **{"MACHINEROOM_SERVICE_URL": service, **env})
    try:
        assert says in verdict(kernel.run('check("notes")'))["text/plain"]
    finally:
        kernel.close()


def test_nbgrader_gets_nothing_from_the_students_kernel(lab: Lab) -> None:
    kernel = Kernel(lab, NBGRADER_EXECUTION="autograde", MACHINEROOM_SERVICE_URL="http://127.0.0.1:1")
    try:
        ran = kernel.run('check("notes")')
        assert (ran.value, ran.stderr, ran.error, ran.shown) == ("0.0", "", "", [])
        ran = kernel.run("%%on box\ntouch /srv/notes")
        assert (ran.stderr, ran.error) == ("", "")
    finally:
        kernel.close()


def test_nbgrader_validates_without_widgets(lab: Lab, service: str) -> None:
    kernel = Kernel(lab, NBGRADER_EXECUTION="validate", MACHINEROOM_SERVICE_URL=service)
    try:
        ran = kernel.run('check("notes")')
        assert ran.error.startswith("NotYet: Take notes: 1 of 3 points")
        assert ran.shown == []
        lab.on_machine("touch /srv/notes")
        ran = kernel.run('check("notes")')
        assert (ran.error, ran.value, ran.shown) == ("", "", [])
    finally:
        kernel.close()


def test_import_is_light() -> None:
    heavy = [
        "pytest",
        "testinfra",
        "asyncssh",
        "httpx",
        "requests",
        "ipywidgets",
        "yaml",
        "pydantic",
        "IPython",
    ]
    code = f"import sys, machineroom_checks; print([m for m in {heavy} if m in sys.modules])"
    environment = {"PYTHONPATH": str(EXTENSIONS)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (f"{COURSE}/one", (COURSE, "one")),
        (f"{COURSE}/one/deep", (COURSE, "one")),
        (f"courses/{COURSE}/source/one", (COURSE, "one")),
        (f"courses/{COURSE}/autograded/ada/one", (COURSE, "one")),
        ("", (COURSE, "")),
        ("elsewhere", (COURSE, "")),
    ],
)
def test_course_is_known_by_the_folder(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, folder: str, expected: Any
) -> None:
    from machineroom_checks.workspace import place

    monkeypatch.setenv("HOME", str(lab.home))
    monkeypatch.setenv("MACHINEROOM_ETC", str(lab.etc))
    (lab.home / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(lab.home / folder)
    assert place() == expected
