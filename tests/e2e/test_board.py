"""The class board and Help, between the browsers of a TA and a student on one real installation."""

import csv
import io
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installation import Installation
from playwright.sync_api import Locator, Page, expect

from .conftest import TerminalLog
from .test_workbench import answer, ask, panel, violations

People = Callable[[str], Page]
Shot = Callable[[Page, str], None]


@pytest.fixture
def board(people: People) -> Locator:
    """The board in tariq's browser."""
    page = people("tariq")
    found = page.get_by_role("tabpanel", name="Class board", exact=True)
    if not found.is_visible():
        expect(page.locator(".jp-LauncherCard", has_text="Class board").first).to_be_visible(timeout=60_000)
        page.locator(".jp-LauncherCard", has_text="Class board").first.click()
    expect(found).to_be_visible(timeout=30_000)
    expect(row(found, "chen")).to_be_visible(timeout=30_000)
    return found


@pytest.fixture
def chens(people: People) -> Iterator[Locator]:
    """Chen's Help panel; the hand is down afterwards."""
    page = people("chen")
    yield panel(page, "Help")
    ask(page, "/user/chen/machineroom/courses/linux-intro/hand", "DELETE")


def row(board: Locator, student: str) -> Locator:
    return board.locator("tbody tr").filter(has=board.page.get_by_role("rowheader", name=student, exact=True))


def test_a_student_raises_a_hand_and_the_ta_comes(
    people: People, board: Locator, chens: Locator, shot: Shot
) -> None:
    chens.get_by_label("What do you need help with?").fill("I cannot leave vi")
    chens.get_by_role("button", name="Raise my hand").click()
    expect(chens.get_by_role("status")).to_contain_text("Your hand is up")
    chen = row(board, "chen")
    expect(chen).to_contain_text("I cannot leave vi", timeout=30_000)
    expect(board).to_contain_text("1 hand is up")
    expect(board.locator("tbody tr").first.get_by_role("rowheader")).to_have_text("chen")
    expect(chen).to_contain_text("here", timeout=90_000)  # the hub is asked now and then
    shot(people("tariq"), "board")
    chen.get_by_role("button", name="I am coming to chen").click()
    expect(chen).to_contain_text("tariq is coming")
    expect(chens.get_by_role("status")).to_contain_text("tariq is coming to you", timeout=30_000)
    shot(people("chen"), "help")
    chen.get_by_role("button", name="chen was helped").click()
    expect(chen).not_to_contain_text("I cannot leave vi")
    expect(chens.get_by_role("button", name="Raise my hand")).to_be_visible(timeout=30_000)


def test_a_message_arrives_where_the_student_works(
    people: People, board: Locator, chens: Locator, shot: Shot
) -> None:
    page = people("tariq")
    row(board, "chen").get_by_label("Select chen").check()
    board.get_by_role("button", name="Message…").click()
    dialog = page.locator("dialog.jp-Dialog")
    expect(dialog.get_by_label("To").locator("option").first).to_have_text("The 1 who are selected")
    text = f"<b>Save</b> your work {secrets.token_hex(4)}"
    dialog.get_by_label("Message").fill(f"{text}\nnow")
    shot(page, "board-message")
    answer(page, "Send")
    expect(page.get_by_text("Sent to 1 student.")).to_be_visible(timeout=30_000)
    told = people("chen").locator(".Toastify__toast", has_text=f"tariq: {text}")
    expect(told).to_be_visible(timeout=30_000)
    expect(chens.locator(".mr-Messages li").first).to_contain_text(text)
    told.get_by_role("button").first.click()
    people("chen").reload()
    expect(panel(people("chen"), "Help").locator(".mr-Messages li").first).to_contain_text(text)
    expect(told).to_have_count(0)
    row(board, "chen").get_by_label("Select chen").uncheck()


@pytest.fixture
def no_terminals(people: People) -> Iterator[None]:
    """Neither tariq nor chen has a terminal, and has none afterwards."""

    def close_all(name: str) -> None:
        page, terminals = people(name), f"/user/{name}/api/terminals"
        for terminal in ask(page, terminals):
            ask(page, f"{terminals}/{terminal['name']}", "DELETE")
        expect(page.locator(".jp-Terminal")).to_have_count(0, timeout=30_000)

    for name in ("chen", "tariq"):
        close_all(name)
    yield
    for name in ("tariq", "chen"):
        close_all(name)


@pytest.mark.usefixtures("no_terminals")
def test_a_ta_looks_on_and_types_when_the_student_says_yes(
    people: People, board: Locator, chens: Locator, shot: Shot
) -> None:
    chen, tariq = people("chen"), people("tariq")
    typed, shown = TerminalLog(chen), TerminalLog(tariq)
    chen.locator(".jp-LauncherCard", has_text="Terminal on box").first.click()
    typed.wait_for(r"root@box", 60)
    typed.run("echo once-$((40+2))", "once-42")
    row(board, "chen").get_by_role("button", name="Look on at a terminal of chen").click(timeout=60_000)
    shown.wait_for("once-42", 60)
    expect(tariq.get_by_role("tab", name="chen: box")).to_be_visible()
    expect(chen.locator(".Toastify__toast", has_text="tariq looks on")).to_be_visible(timeout=30_000)
    notice = chen.locator(".mr-Banner:visible", has_text="tariq looks on.")
    expect(notice).to_be_visible()
    tariq.locator(".jp-Terminal:visible").click()
    shown.run("echo forged", "chen is asked whether you may type")
    asked = chen.locator(".Toastify__toast", has_text="tariq asks whether to type")
    expect(asked).to_be_visible(timeout=30_000)
    shot(chen, "visit-asked")
    asked.get_by_role("button", name="Allow").click()
    shown.wait_for("You may type now")
    expect(chen.locator(".mr-Banner:visible", has_text="tariq may type here.")).to_be_visible()
    shown.run("echo by-tariq-$((6*7))", "by-tariq-42")
    assert "forged" not in typed.wait_for("by-tariq-42")
    shot(tariq, "visit")
    shot(chen, "visit-allowed")
    chens.get_by_role("button", name="End the visit: tariq").click()
    shown.wait_for("The visit has ended: the student has ended it")
    expect(notice).to_have_count(0)
    expect(chens).to_contain_text("tariq was at box and might type", timeout=30_000)
    tariq.keyboard.press("Enter")
    tariq.get_by_role("tab", name="Class board").click()


def test_machines_of_those_who_are_selected(people: People, board: Locator) -> None:
    page, chen = people("tariq"), row(board, "chen")
    box = chen.locator("[title^='box/box']")
    chen.get_by_label("Select chen").check()
    for button, state in (("Suspend", "suspended"), ("Start machines", "running")):
        board.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_text("Done: 1.").last).to_be_visible(timeout=60_000)
        expect(box).to_have_attribute("title", f"box/box: {state}", timeout=30_000)
    chen.get_by_label("Select chen").uncheck()


def test_filtered_sorted_and_saved(board: Locator, people: People, tmp_path: Path) -> None:
    names = board.locator("tbody th")
    everybody = names.all_text_contents()
    assert everybody == sorted(everybody)
    board.get_by_role("button", name="Student").click()
    expect(names.first).to_have_text(everybody[-1])
    board.get_by_role("button", name="Student").click()
    board.get_by_label("Find a student").fill("CHE")
    expect(names).to_have_text(["chen"])
    with people("tariq").expect_download() as saved:
        board.get_by_role("button", name="Save as CSV").click()
    saved.value.save_as(tmp_path / "board.csv")
    [heads, cells] = csv.reader(io.StringIO((tmp_path / "board.csv").read_text(encoding="utf-8-sig")))
    assert heads[:2] == ["student", "workspace"]
    assert "sort-the-inbox" in heads
    assert cells[:2] == ["chen", "on"]
    board.get_by_label("Find a student").fill("")
    board.get_by_label("Show", exact=True).select_option("hands")
    expect(names).to_have_count(0)
    board.get_by_label("Show", exact=True).select_option("all")
    expect(names).to_have_count(len(everybody))


def test_a_student_never_sees_that_there_is_a_board(people: People, installation: Installation) -> None:
    page = people("chen")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=30_000)
    expect(page.locator(".jp-LauncherCard", has_text="Class board")).to_have_count(0)
    status = page.evaluate(
        "async path => (await fetch(path)).status", "/user/chen/machineroom/courses/linux-intro/board"
    )
    assert status == 403


@pytest.mark.parametrize("name", ["Light", "Dark"])
def test_both_are_accessible(people: People, board: Locator, chens: Locator, shot: Shot, name: str) -> None:
    chens.get_by_label("What do you need help with?").fill("Which editor is there?")
    chens.get_by_role("button", name="Raise my hand").click()
    expect(row(board, "chen")).to_contain_text("Which editor", timeout=30_000)
    for who, what in (("tariq", board), ("chen", chens)):
        assert violations(people(who), what, f"JupyterLab {name}", shot, f"{who}-{name.lower()}") == []
