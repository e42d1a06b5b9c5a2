"""The five stories, in a real browser, in the order in which they happen to a class."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from installation import Installation
from playwright.sync_api import FrameLocator, Locator, Page, expect

from .conftest import TerminalLog

People = Callable[[str], Page]
Shot = Callable[[Page, str], None]

NOTEBOOK = "linux-intro/first-steps/first-steps.ipynb"


@pytest.fixture(scope="module")
def terminal(people: People) -> TerminalLog:
    """Everything that ada's terminals print, from the first one on."""
    return TerminalLog(people("ada"))


def card(page: Page, label: str) -> Locator:
    """A card of the launcher, which is opened if it is not there."""
    if not page.locator(".jp-Launcher-body:visible").count():
        page.keyboard.press("Control+Shift+L")
    return page.locator(".jp-LauncherCard:visible").filter(has=page.get_by_text(label, exact=True)).first


def box(installation: Installation, engine: docker.DockerClient) -> Container:
    """The container of ada's machine."""
    labels = [f"machineroom.room={installation.room.id}", "machineroom.machine=box", "machineroom.owner=ada"]
    return engine.containers.list(filters={"label": labels})[0]


def workspace(installation: Installation, engine: docker.DockerClient, name: str = "ada") -> Container:
    """The container of somebody's workspace."""
    return engine.containers.get(f"mr-{installation.room.id}-w-{name}")


def on(container: Container, command: str, user: str = "") -> str:
    """Run a command in a container, behind everybody's back."""
    code, output = container.exec_run(["sh", "-c", command], user=user)
    assert code == 0, output.decode(errors="replace")
    return output.decode(errors="replace")


def test_1_a_root_shell_on_a_machine_of_ones_own(people: People, terminal: TerminalLog, shot: Shot) -> None:
    page = people("ada")
    shot(page, "launcher")
    card(page, "Terminal on box").click()
    terminal.wait_for(r"root@box")
    assert "running" in terminal.run("hostname; systemctl is-system-running", r"box\r?\n(.|\n)*running")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    terminal.wait_for("running")
    terminal.run("echo $((6*7)) żółw 日本 $(tput colors)", "42 żółw 日本 256")
    terminal.text = ""
    page.keyboard.type("ls --color=always -d /etc\n")
    terminal.wait_for("/etc")
    rows = terminal.run("stty size", r"\n\d+ \d+")
    page.set_viewport_size({"width": 1100, "height": 700})
    smaller = terminal.run("stty size", r"\n\d+ \d+")
    assert _size(smaller) < _size(rows)
    page.set_viewport_size({"width": 1400, "height": 900})
    page.evaluate("navigator.clipboard.writeText('echo pasted $((40+2))')")
    terminal.text = ""
    page.keyboard.press("Control+v")
    page.keyboard.press("Enter")
    terminal.wait_for("pasted 42")
    terminal.run(
        "apt-get update -qq && apt-get install -y -qq hello >/dev/null 2>&1; hello", "Hello, world!", 120
    )
    shot(page, "terminal")


def test_1_the_shell_outlives_reloads_and_restarts(
    people: People, terminal: TerminalLog, installation: Installation
) -> None:
    page = people("ada")
    terminal.run("MARK=still-$((1000+1)); sleep 5000 &", r"\[1\] \d+")
    page.reload()
    terminal.wait_for("Hello, world!")  # the scrollback
    _focus_terminal(page)
    terminal.run('echo "$MARK $(jobs)"', "still-1001.*Running.*sleep 5000")
    # while the proxy is away JupyterLab may complain about the folder that it shows: press its button
    dialog = page.locator("dialog.jp-Dialog")
    page.add_locator_handler(dialog, lambda: dialog.locator("button").last.click())
    for name in ("hub", "service", "proxy"):
        _restart(installation, name)
    sockets = terminal.sockets
    page.wait_for_function("() => navigator.onLine")
    deadline = time.monotonic() + 60
    while terminal.sockets == sockets and time.monotonic() < deadline:
        page.wait_for_timeout(250)
    if terminal.sockets == sockets:
        page.reload()
    terminal.wait_for("still-1001", 60)
    _focus_terminal(page)
    terminal.run('echo "again $MARK $(jobs)"', "again still-1001.*Running.*sleep 5000")
    page.remove_locator_handler(dialog)


def test_2_fetch_work_check(
    people: People, terminal: TerminalLog, shot: Shot, installation: Installation, engine: docker.DockerClient
) -> None:
    page = people("ada")
    # all cells in the page at once, so that a test finds them
    folder = "/home/jovyan/.jupyter/lab/user-settings/@jupyterlab/notebook-extension"
    setting = """{"windowingMode": "none"}"""
    on(
        workspace(installation, engine),
        f"mkdir -p {folder}; echo '{setting}' > {folder}/tracker.jupyterlab-settings",
    )
    nbgrader(page, "Assignment List")
    page.locator("button:has-text('Fetch'):visible").first.click()
    expect(page.locator("button:has-text('Submit'):visible").first).to_be_visible(timeout=60_000)
    shot(page, "assignments")
    open_notebook(page, installation)
    run(page, "from machineroom_checks")
    report = run(page, 'check("right-permissions")')
    expect(report).to_contain_text("0 of 3 points", timeout=60_000)
    shot(page, "check-failed")
    on(box(installation, engine), "cd /srv/letters; chmod 600 diary.txt; chmod 644 notice.txt")
    report.get_by_role("button", name="Check").click()
    expect(report).to_contain_text("2 of 3 points", timeout=60_000)
    assert "passed" in report.inner_text()
    shot(page, "check-partly")


def test_2_cells_run_on_the_machine_and_stop_when_interrupted(
    people: People, shot: Shot, installation: Installation, engine: docker.DockerClient
) -> None:
    page = people("ada")
    expect(run(page, "I am $(whoami)")).to_contain_text("I am root on box", timeout=30_000)
    cell = new_cell(page, "%%on box\nfor i in 1 2 3; do echo line $i; sleep 0.3; done; sleep 4242")
    expect(cell).to_contain_text("line 3", timeout=30_000)
    assert on(box(installation, engine), "pgrep -fc '^sleep 4242'").strip() == "1"
    page.get_by_role("button", name="Interrupt the kernel").or_(
        page.locator("[data-command='notebook:interrupt-kernel']")
    ).first.click()
    expect(cell.locator(".jp-InputPrompt")).not_to_contain_text("*", timeout=15_000)
    shot(page, "interrupted")
    assert on(box(installation, engine), "pgrep -fc '^sleep 4242' || true").strip() == "0"


ECHO = Path(__file__).with_name("echo.py").read_text()


def test_2_a_web_server_of_ones_own(
    people: People, shot: Shot, installation: Installation, engine: docker.DockerClient
) -> None:
    page = people("ada")
    tab = page.context.new_page()
    address = f"{installation.url}/user/ada/proxy/box:8080/"
    tab.goto(address)
    expect(tab.locator("body")).to_contain_text("8080")  # nothing listens yet: it says so, and what to do
    shot(tab, "nothing-listens")
    box(installation, engine).exec_run(["python3", "-c", ECHO], detach=True)
    for _ in range(50):
        tab.goto(address)
        if "A page of my own" in tab.content():
            break
        tab.wait_for_timeout(200)
    expect(tab.get_by_role("heading", name="A page of my own")).to_be_visible()
    tab.close()
    said = page.evaluate(
        """address => new Promise((done, failed) => {
          const socket = new WebSocket(address.replace('http', 'ws'));
          socket.onopen = () => socket.send('shout');
          socket.onmessage = event => done(event.data);
          socket.onerror = () => failed('the websocket failed');
        })""",
        address,
    )
    assert said == "SHOUT"


BREAKAGES = {
    "rm": "rm -rf --no-preserve-root / 2>/dev/null; true",
    "sshd": "systemctl disable --now ssh ssh.socket; pkill -9 sshd; true",
    "network": "ip link set eth0 down",
    "memory": "python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 20))'; true",
    "fork": ":() { :|:& }; :; true",
}


@pytest.mark.parametrize("how", BREAKAGES)
def test_3_a_broken_machine_harms_nothing_and_is_reset(
    people: People, installation: Installation, engine: docker.DockerClient, how: str, shot: Shot
) -> None:
    page = people("ada")
    open_notebook(page, installation)
    machine = box(installation, engine)
    machine.exec_run(["bash", "-c", BREAKAGES[how]], detach=True)
    time.sleep(1)  # what it breaks, it breaks meanwhile
    cell = new_cell(page, "6 * 7")
    expect(cell.locator(".jp-OutputArea-output").last).to_have_text("42", timeout=30_000)
    began = time.monotonic()
    if how == "rm":
        card(page, "Reset box…").click()
        shot(page, "reset")
        page.locator("dialog.jp-Dialog button.jp-mod-accept").click()
    else:
        installation.command("machine", "reset", "ada/box", "--yes")
    while True:
        try:
            fresh = box(installation, engine)
            if fresh.id != machine.id and not fresh.name.endswith("-making"):
                break
        except IndexError:
            pass
        assert time.monotonic() - began < 30
        page.wait_for_timeout(100)
    assert "running" in on(fresh, "systemctl is-system-running --wait || true")
    assert NOTEBOOK in on(workspace(installation, engine), f"ls /home/jovyan/{NOTEBOOK}")


OCTAL = """def octal(letters):
    values = {"r": 4, "w": 2, "x": 1, "-": 0}
    return "".join(str(sum(values[x] for x in letters[i:i + 3])) for i in (0, 3, 6))"""
ANSWER = "Everybody could then change it, and put another program in its place."


def test_4_submit(
    people: People, shot: Shot, installation: Installation, engine: docker.DockerClient
) -> None:
    page = people("ada")
    on(box(installation, engine), "cd /srv/letters; chmod 600 diary.txt; chmod 644 notice.txt")
    open_notebook(page, installation)
    write(page, page.locator(".jp-Notebook:visible .jp-CodeCell", has_text="def octal").first, OCTAL)
    answer = page.locator(".jp-Notebook:visible .jp-MarkdownCell", has_text="YOUR ANSWER HERE").first
    answer.dblclick()
    write(page, answer, ANSWER)
    page.keyboard.press("Control+s")
    expect(page.locator("#jp-main-dock-panel .jp-mod-dirty")).to_have_count(0, timeout=15_000)
    nbgrader(page, "Assignment List")
    page.locator("button:has-text('Submit'):visible").first.click()
    expect(page.locator("button:has-text('Fetch Feedback')")).to_be_visible(timeout=90_000)
    shot(page, "submitted")


def test_4_grade_in_formgrader(
    people: People, shot: Shot, installation: Installation, engine: docker.DockerClient
) -> None:
    page = people("ines")
    nbgrader(page, "Formgrader")
    form = page.frame_locator("iframe").first
    press(
        form, form.locator("tr", has_text="people-and-processes").locator(".assign a"), "Successfully created"
    )
    press(
        form,
        form.locator("tr", has_text="people-and-processes").locator(".release a"),
        "Successfully released",
    )
    press(form, form.locator("tr", has_text="first-steps").locator(".collect a"), "Successfully collected")
    shot(page, "formgrader")
    form.locator("tr", has_text="first-steps").locator(".num-submissions a").click()
    press(form, form.locator("tr", has_text="ada").locator(".autograde a"), "Successfully autograded")
    shot(page, "autograded")
    scores = gradebook(installation, engine)
    assert scores["right-permissions"] == [2.0, 3.0]
    assert scores["sort-the-inbox"] == [0.0, 4.0]
    assert scores["octal-tests"] == [2.0, 2.0]

    form.get_by_role("link", name="Regrade with corrected checks").click()
    form.get_by_role("button", name="See what would change").click()
    expect(form.get_by_role("status")).to_contain_text("up to date before", timeout=120_000)
    shot(page, "regrade")
    form.get_by_role("button", name="Bring what counts into the gradebook").click()
    expect(form.get_by_role("status")).to_contain_text("as the checks say now", timeout=120_000)
    assert gradebook(installation, engine) == scores

    form.get_by_role("link", name="Manual Grading").click()
    form.locator("td a", has_text="first-steps").click()
    expect(form.locator(".breadcrumb .active")).to_have_text("first-steps")
    form.locator("td a", has_text="first-steps").click()
    form.locator("td a", has_text="Submission").first.click()
    given = form.locator(".nbgrader_cell", has_text=ANSWER)
    shot(page, "manual-grading")
    given.locator("input.score").fill("2.5")
    given.locator("textarea.comment").fill("And what about the group?")
    given.locator("textarea.comment").blur()
    shot(page, "manual-grading")
    for _ in range(100):
        if gradebook(installation, engine)["why-not-777"] == [2.5, 3.0]:
            break
        page.wait_for_timeout(100)
    assert gradebook(installation, engine)["why-not-777"] == [2.5, 3.0]

    nbgrader(page, "Formgrader")
    page.reload()
    form = page.frame_locator("iframe").first
    row = form.locator("tr", has_text="first-steps")
    press(form, row.locator(".generate-feedback a"), "Successfully generated feedback")
    press(form, row.locator(".release-feedback a"), "Successfully released feedback")
    exported = on(
        workspace(installation, engine, "ines"),
        "cd /home/jovyan/courses/linux-intro && nbgrader export >/dev/null 2>&1 && cat grades.csv",
        user="jovyan",
    )
    line = dict(zip(*(row.split(",") for row in exported.splitlines()[:2]), strict=True))
    assert (line["student_id"], line["score"], line["max_score"]) == ("ada", "6.5", "16.0")


def test_4_the_feedback_says_what_was_seen(
    people: People, shot: Shot, installation: Installation, engine: docker.DockerClient
) -> None:
    page = people("ada")
    nbgrader(page, "Assignment List")
    page.locator("button:has-text('Fetch Feedback')").click()
    link = page.get_by_text("(view feedback)").first
    expect(link).to_be_visible(timeout=60_000)
    home = workspace(installation, engine)
    path = on(home, "cd /home/jovyan; ls linux-intro/first-steps/feedback/*/first-steps.html").strip()
    html = on(home, f"cat '/home/jovyan/{path}'")
    tab = page.context.new_page()
    tab.goto(f"{installation.url}/user/ada/files/{path}")
    expect(tab.locator("body")).to_contain_text("/srv/letters/diary.txt: mode 0600", timeout=15_000)
    expect(tab.locator("body")).to_contain_text("And what about the group?")
    tab.get_by_text("Right permissions").first.scroll_into_view_if_needed()
    shot(tab, "feedback")
    tab.close()
    for secret in ("def test_", "machine.file(", "pytest", "BEGIN HIDDEN TESTS", '"-wx--xr--"'):
        assert secret not in html


def test_5_down_and_up_again_and_all_is_there(
    people: People, terminal: TerminalLog, installation: Installation, engine: docker.DockerClient
) -> None:
    on(box(installation, engine), "echo kept > /root/kept; systemctl enable --now cron")
    before = gradebook(installation, engine)
    installation.command("down")
    assert not engine.containers.list(filters={"label": f"machineroom.room={installation.room.id}"})
    installation.command("up", "--port", str(installation.room.port))
    for name in ("ada", "ines"):  # still logged in: their servers start again
        people(name).goto(installation.url)
        expect(people(name).locator("#jp-MainMenu")).to_be_visible(timeout=120_000)
    page = people("ada")
    open_notebook(page, installation)
    expect(page.locator(".jp-Notebook:visible")).to_contain_text(ANSWER)
    assert on(box(installation, engine), "cat /root/kept").strip() == "kept"
    assert gradebook(installation, engine) == before


def gradebook(installation: Installation, engine: docker.DockerClient) -> dict[str, list[float]]:
    """Score and maximum of each of ada's cells, as the instructor's gradebook has them."""
    program = (
        "import json; from nbgrader.api import Gradebook; g = Gradebook('sqlite:///gradebook.db');"
        "s = g.find_submission('first-steps', 'ada');"
        "print(json.dumps({x.cell.name: [x.score, x.max_score] for n in s.notebooks for x in n.grades}))"
    )
    command = f'cd /home/jovyan/courses/linux-intro && /opt/machineroom/bin/python -c "{program}"'
    return json.loads(on(workspace(installation, engine, "ines"), command, user="jovyan"))


def write(page: Page, cell: Locator, text: str) -> None:
    """Replace the source of a notebook's cell."""
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.keyboard.press("Control+Enter")


def nbgrader(page: Page, entry: str) -> None:
    """Open one of nbgrader's panels from its menu."""
    page.locator("#jp-MainMenu").get_by_text("Nbgrader", exact=True).click()
    page.locator(".lm-Menu").get_by_text(entry, exact=True).click()


def press(form: FrameLocator, button: Locator, wanted: str) -> None:
    """Press one of formgrader's buttons, wait for what its dialog says, and close it."""
    button.click()
    dialog = form.locator(".modal.in, .modal.show").first
    expect(dialog).to_contain_text(wanted, timeout=120_000)
    dialog.locator("[data-dismiss=modal], [data-bs-dismiss=modal]").last.click()
    expect(dialog).not_to_be_visible()


def open_notebook(page: Page, installation: Installation) -> None:
    """The assignment's notebook, in the foreground and with its kernel ready."""
    page.goto(f"{installation.url}/user/ada/lab/tree/{NOTEBOOK}")
    expect(page.locator(".jp-Notebook:visible .jp-CodeCell").first).to_be_visible(timeout=60_000)
    expect(page.locator(".jp-Notebook-ExecutionIndicator:visible")).to_have_attribute(
        "data-status", "idle", timeout=60_000
    )


def run(page: Page, text: str) -> Locator:
    """Run the notebook's cell that holds `text` and wait until it has run; answers the cell."""
    cell = page.locator(".jp-Notebook:visible .jp-CodeCell", has_text=text).first
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    for _ in range(20):  # a page that is still loading may swallow a key
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(500)
        if prompt.inner_text() != before:
            break
    expect(prompt).not_to_have_text(before)
    expect(prompt).not_to_contain_text("*", timeout=60_000)
    cell.scroll_into_view_if_needed()
    return cell


def new_cell(page: Page, text: str) -> Locator:
    """A new cell at the end of the notebook, run; answers the cell."""
    last = page.locator(".jp-Notebook:visible .jp-Cell").last
    last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    for number, line in enumerate(text.split("\n")):
        if number:
            page.keyboard.press("Enter")
        page.keyboard.insert_text(line)
    cell = page.locator(".jp-Notebook:visible .jp-Cell").last
    page.keyboard.press("Control+Enter")
    return cell


def _size(printed: str) -> int:
    """The number of characters that fit, from what `stty size` printed."""
    rows, columns = map(int, re.findall(r"\n(\d+) (\d+)", printed)[-1])
    return rows * columns


def _focus_terminal(page: Page) -> None:
    page.locator(".jp-Terminal:visible").first.click()


def _restart(installation: Installation, name: str) -> None:
    control = [
        sys.executable,
        "-m",
        "supervisor.supervisorctl",
        "-c",
        str(installation.room.run / "supervisord.conf"),
    ]
    subprocess.run([*control, "restart", name], check=True, capture_output=True)
