"""The panels of JupyterLab and its terminals, in a real browser on one real installation."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from installation import SOURCE, Installation
from machineroom_hub import node
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from .conftest import plain

People = Callable[[str], Page]
Shot = Callable[[Page, str], None]


def machine(installation: Installation, engine: docker.DockerClient, owner: str) -> Container:
    """The container of somebody's box."""
    labels = {"room": installation.room.id, "owner": owner, "machine": "box"}
    [found] = engine.containers.list(
        all=True, filters={"label": [f"machineroom.{key}={value}" for key, value in labels.items()]}
    )
    return found


def on(container: Container, command: str) -> str:
    """Run a command on a machine, behind everybody's back."""
    code, output = container.exec_run(["sh", "-c", command])
    assert code == 0, output.decode(errors="replace")
    return output.decode()


def panel(page: Page, name: str) -> Locator:
    """A panel of the right sidebar, opened if it is not."""
    found = page.get_by_role("region", name=name, exact=True)
    tab = page.locator(f".jp-SideBar.jp-mod-right li[title='{name}']")
    for _ in range(20):  # the layout of the last time may be restored just now, and open or close it
        page.wait_for_timeout(500)
        if found.is_visible():
            break
        tab.click()
    expect(found).to_be_visible()
    return found


@pytest.fixture
def box(people: People) -> Locator:
    """Brook's box in the Machines panel."""
    return panel(people("brook"), "Machines").get_by_role("article", name="Machine box", exact=True)


def press(box: Locator, name: str) -> None:
    """One of the machine's buttons."""
    box.get_by_role("button", name=f"{name}: box").click()


def answer(page: Page, name: str) -> None:
    """Press the button of the dialog that is open."""
    page.locator("dialog.jp-Dialog").get_by_role("button", name=name, exact=True).click()


def test_the_panel_shows_what_is_true(
    people: People, box: Locator, installation: Installation, engine: docker.DockerClient, shot: Shot
) -> None:
    expect(box.get_by_role("status")).to_have_text("running", timeout=30_000)
    container = machine(installation, engine, "brook")
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    expect(box).to_contain_text(next(iter(networks))["IPAddress"])
    expect(box).to_contain_text("of 256 MB")
    expect(box.get_by_role("img", name="CPU: ")).to_be_visible()
    expect(box.get_by_role("button", name="Port 8080: box")).to_have_count(0)
    container.exec_run(["python3", "-m", "http.server", "8080"], detach=True)
    expect(box.get_by_role("button", name="Port 8080: box")).to_be_visible(timeout=30_000)
    shot(people("brook"), "machines")
    with people("brook").context.expect_page() as opened:
        press(box, "Port 8080")
    expect(opened.value.get_by_text("Directory listing")).to_be_visible(timeout=30_000)
    opened.value.close()
    on(container, "pkill -f '[h]ttp.server'")
    expect(box.get_by_role("button", name="Port 8080: box")).to_have_count(0, timeout=30_000)


def test_a_machine_is_suspended_and_goes_on(box: Locator, engine: docker.DockerClient) -> None:
    press(box, "Suspend")
    expect(box.get_by_role("status")).to_have_text("suspended", timeout=30_000)
    press(box, "Resume")
    expect(box.get_by_role("status")).to_have_text("running", timeout=30_000)


def test_saved_broken_and_brought_back(
    people: People, box: Locator, installation: Installation, engine: docker.DockerClient, shot: Shot
) -> None:
    page = people("brook")
    on(machine(installation, engine, "brook"), "echo mine > /root/mine")
    box.get_by_text("Snapshots", exact=True).click()
    box.get_by_role("button", name="Save a snapshot…").click()
    page.locator("dialog.jp-Dialog input").fill("it works")
    answer(page, "Save")
    expect(box.locator("li", has_text="it works")).to_be_visible(timeout=60_000)
    on(machine(installation, engine, "brook"), "rm -rf /root /home")
    box.get_by_role("button", name="Bring box back to “it works”").click()
    shot(page, "restore")
    before = machine(installation, engine, "brook").id
    answer(page, "Bring it back")
    expect(page.get_by_text("box is as it was when “it works” was saved.")).to_be_visible(timeout=60_000)
    assert machine(installation, engine, "brook").id != before
    assert on(machine(installation, engine, "brook"), "cat /root/mine") == "mine\n"
    shot(page, "snapshots")
    box.get_by_role("button", name="Delete the snapshot “it works” of box").click()
    answer(page, "Delete")
    expect(box.locator("li", has_text="it works")).to_have_count(0, timeout=30_000)


def test_a_reset_says_what_is_lost_and_saves_it_first_if_wanted(
    people: People, box: Locator, installation: Installation, engine: docker.DockerClient, shot: Shot
) -> None:
    page = people("brook")
    press(box, "Reset…")
    dialog = page.locator("dialog.jp-Dialog")
    expect(dialog).to_contain_text("Everything on box is lost")
    expect(dialog.get_by_label("Save it as a snapshot first")).to_be_checked()
    shot(page, "reset-dialog")
    answer(page, "Reset box")
    expect(page.get_by_text("box is a clean machine now.")).to_be_visible(timeout=60_000)
    machine(installation, engine, "brook").exec_run(["test", "!", "-e", "/root/mine"])
    box.get_by_role("button", name="Delete the snapshot “before the reset” of box").click()
    answer(page, "Delete")
    expect(box.locator("li", has_text="before the reset")).to_have_count(0, timeout=30_000)


def ask(page: Page, path: str, method: str = "GET") -> Any:
    """What a page's own script would be answered."""
    script = """async ([path, method]) => {
        const token = document.cookie.match(/_xsrf=([^;]+)/)[1];
        const answer = await fetch(path, {method, headers: {'X-XSRFToken': token}});
        if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
        return answer.status === 204 ? null : await answer.json();
    }"""
    return page.evaluate(script, [path, method])


def test_each_sees_only_their_own(people: People, installation: Installation, box: Locator) -> None:
    chens = panel(people("chen"), "Machines").get_by_role("article", name="Machine box", exact=True)
    expect(chens.get_by_role("status")).to_have_text("running", timeout=30_000)
    press(chens, "Suspend")
    expect(chens.get_by_role("status")).to_have_text("suspended", timeout=30_000)
    expect(box.get_by_role("status")).to_have_text("running")
    listed = ask(people("chen"), "/user/chen/machineroom/machines")["machines"]
    assert [one["state"] for one in listed if one["machine"] == "box"] == ["suspended"]
    assert "brook" not in str(listed)
    press(chens, "Resume")
    expect(chens.get_by_role("status")).to_have_text("running", timeout=30_000)


@pytest.fixture
def tasks(people: People) -> Locator:
    """Brook's Tasks panel, with the first assignment chosen."""
    found = panel(people("brook"), "Tasks")
    found.get_by_label("Assignment").select_option("linux-intro/first-steps")
    return found


def task(tasks: Locator, title: str) -> Locator:
    """One task, unfolded."""
    found = tasks.locator("li.mr-Task", has_text=title)
    if found.locator("details[open]").count() == 0:
        found.locator("summary").click()
    return found


def test_lights_points_hints_and_check(
    people: People, tasks: Locator, installation: Installation, engine: docker.DockerClient, shot: Shot
) -> None:
    container = machine(installation, engine, "brook")
    tasks.get_by_role("button", name="Check all").click()
    permissions = task(tasks, "permissions")
    expect(permissions.get_by_role("img")).to_have_attribute("aria-label", "not yet", timeout=60_000)
    expect(permissions).to_contain_text("0 of 3")
    first = permissions.get_by_role("button", name="Hint 1 of")
    first.click()
    expect(permissions.locator(".mr-Hint")).to_have_count(1)
    expect(first).to_have_count(0)
    on(container, "cd /srv/letters; chmod 600 diary.txt; chmod 644 notice.txt")
    permissions.get_by_role("button", name="Check:").click()
    expect(permissions.get_by_role("img")).to_have_attribute("aria-label", "partly", timeout=60_000)
    expect(permissions).to_contain_text("2 of 3")
    expect(tasks).to_contain_text("2 of 11 points")
    shot(people("brook"), "tasks")
    people("brook").reload()  # what was known last is there at once
    expect(permissions.get_by_role("img")).to_have_attribute("aria-label", "partly", timeout=60_000)


@pytest.fixture
def unfetched(installation: Installation, engine: docker.DockerClient) -> Iterator[None]:
    """Brook has not fetched the assignment, and has not afterwards."""
    home = engine.containers.get(f"mr-{installation.room.id}-w-brook")
    on(home, "rm -rf /home/jovyan/linux-intro")
    yield
    on(home, "rm -rf /home/jovyan/linux-intro")


@pytest.mark.usefixtures("unfetched")
def test_submit_needs_the_files_and_gives_a_receipt(people: People, tasks: Locator, shot: Shot) -> None:
    page = people("brook")

    def submit() -> None:
        tasks.get_by_role("button", name="Submit…").click()
        answer(page, "Submit")

    submit()
    expect(tasks.get_by_role("alert")).to_contain_text("Fetch the assignment first", timeout=60_000)
    page.locator("#jp-MainMenu").get_by_text("Nbgrader", exact=True).click()
    page.locator(".lm-Menu").get_by_text("Assignment List", exact=True).click()
    page.locator("#jp-main-dock-panel button:has-text('Fetch'):visible").first.click()
    expect(page.locator("#jp-main-dock-panel button:has-text('Submit'):visible")).to_be_visible(
        timeout=60_000
    )
    before = receipts(page)
    submit()
    for _ in range(240):
        if new := [receipt for receipt in receipts(page) if receipt not in before]:
            break
        page.wait_for_timeout(500)
    shown = tasks.locator(".mr-Receipt")
    expect(shown).to_contain_text(new[0]["id"], timeout=60_000)
    shown.locator("summary").click()
    expect(shown).to_contain_text(new[0]["sha256"])
    shot(page, "receipt")


def receipts(page: Page) -> list[dict[str, str]]:
    """Those of brook."""
    return ask(page, "/user/brook/machineroom/courses/linux-intro/assignments/first-steps/submissions")


AXE = SOURCE / "extensions" / "labextension" / "node_modules" / "axe-core" / "axe.min.js"


def theme(page: Page, name: str) -> None:
    page.locator("#jp-MainMenu").get_by_text("Settings", exact=True).click()
    page.locator(".lm-Menu").get_by_text("Theme", exact=True).click()
    page.locator(".lm-Menu").get_by_text(name, exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", name)


def violations(page: Page, found: Locator, look: str, shot: Shot, name: str) -> list[str]:
    """What is wrong with a panel, in one theme, for people who use no mouse or see little."""
    if not AXE.exists():
        node.npm(["ci"], AXE.parents[2])
    page.evaluate(AXE.read_text())
    if page.locator("body").get_attribute("data-jp-theme-name") != look:
        theme(page, look)
    page.wait_for_timeout(500)  # a colour fades in
    shot(page, name)
    said = found.evaluate("element => axe.run(element, {resultTypes: ['violations']})")
    if look != "JupyterLab Light":
        theme(page, "JupyterLab Light")
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in said["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("name", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_panels_are_accessible(people: People, name: str, shot: Shot) -> None:
    page = people("brook")
    for title in ("Machines", "Tasks"):
        found = panel(page, title)
        found.evaluate("panel => panel.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert violations(page, found, name, shot, f"{title.lower()}-{name.split()[-1].lower()}") == []


@pytest.fixture
def no_terminals(people: People) -> Iterator[None]:
    """Chen has no terminal, and has none afterwards."""
    page, terminals = people("chen"), "/user/chen/api/terminals"

    def close_all() -> None:
        for terminal in ask(page, terminals):
            ask(page, f"{terminals}/{terminal['name']}", "DELETE")
        expect(page.locator(".jp-Terminal")).to_have_count(0, timeout=30_000)

    close_all()
    page.wait_for_timeout(3000)  # JupyterLab notes its layout a little later, and would restore them
    yield
    close_all()


@pytest.mark.usefixtures("no_terminals")
def test_a_terminal_comes_back_by_itself_and_says_so(people: People, shot: Shot) -> None:
    page, cut = people("chen"), False
    sockets: list[WebSocketRoute] = []
    printed: list[str] = []

    def between(socket: WebSocketRoute) -> None:
        if cut:
            socket.close(code=4000)
            return
        sockets.append(socket)
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            printed.append(str(message))
            socket.send(message)

        server.on_message(pass_on)

    def shown() -> str:
        return plain("".join(text[1] for text in map(json.loads, printed) if text[0] == "stdout"))

    def wait_for(text: str) -> None:
        for _ in range(300):
            if text in shown():
                return
            page.wait_for_timeout(100)
        raise AssertionError(f"{text!r} was never printed; there was: {shown()[-1000:]!r}")

    page.route_web_socket("**/terminals/websocket/**", between)
    page.reload()
    press(panel(page, "Machines").get_by_role("article", name="Machine box", exact=True), "Terminal")
    wait_for("root@box")
    page.locator(".jp-Terminal:visible").last.click()
    page.keyboard.type("MARK=still-$((40+2)); echo $MARK\n")
    wait_for("still-42")
    cut = True
    for socket in sockets:
        socket.close(code=4000)
    banner = page.locator(".mr-Banner:visible")
    expect(banner).to_contain_text("The connection to this terminal is lost", timeout=30_000)
    box = banner.bounding_box()
    assert box
    assert box["height"] >= 20, "it is there, but nobody sees it"
    shot(page, "terminal-lost")
    printed.clear()
    cut = False
    expect(banner).to_contain_text("Connected again.", timeout=60_000)
    wait_for("still-42")  # the scrollback
    printed.clear()
    page.locator(".jp-Terminal:visible").last.click()
    page.keyboard.type("echo again $MARK\n")
    wait_for("again still-42")
    page.unroute_all(behavior="ignoreErrors")
