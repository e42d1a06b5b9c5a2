"""The panels of JupyterLab, in a real browser on one real installation."""

from collections.abc import Callable

import docker
import pytest
from docker.models.containers import Container
from installation import Installation
from playwright.sync_api import Locator, Page, expect

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


def test_each_sees_only_their_own(people: People, installation: Installation, box: Locator) -> None:
    chens = panel(people("chen"), "Machines").get_by_role("article", name="Machine box", exact=True)
    expect(chens.get_by_role("status")).to_have_text("running", timeout=30_000)
    press(chens, "Suspend")
    expect(chens.get_by_role("status")).to_have_text("suspended", timeout=30_000)
    expect(box.get_by_role("status")).to_have_text("running")
    listed = people("chen").evaluate("fetch('/user/chen/machineroom/machines').then(r => r.json())")
    assert "brook" not in str(listed)
    press(chens, "Resume")
    expect(chens.get_by_role("status")).to_have_text("running", timeout=30_000)
