"""Logging in to a real hub: who gets in, how guessers are slowed, and what everybody may do."""

import pytest
from machineroom_hub import accounts, auth

from .conftest import PASSWORD, Hub


@pytest.mark.parametrize("name", ["ada", "Ada"])
def test_the_right_password_lets_in(hub: Hub, name: str) -> None:
    client = hub.browser()
    answer = hub.login(name, client=client)
    assert answer.status_code == 302
    assert answer.headers["location"] != "/hub/login"
    home = client.get("/hub/home")
    assert home.status_code == 200
    assert "ada" in home.text


@pytest.mark.parametrize(
    ("name", "password"), [("bob", "wrong"), ("nobody", PASSWORD), ("", ""), ("../x", "y")]
)
def test_anything_else_does_not(hub: Hub, name: str, password: str) -> None:
    answer = hub.login(name, password)
    assert answer.status_code == 403
    assert "Invalid username or password" in answer.text
    assert hub.operator.get("/users/nobody").status_code == 404


def test_there_is_no_sign_up(hub: Hub) -> None:
    for path in ("/hub/signup", "/hub/native_login"):
        assert hub.browser().get(path).status_code == 404


def test_a_guesser_is_slowed_and_the_owner_is_not(hub: Hub) -> None:
    owner = hub.browser()
    assert hub.login("tariq", client=owner).status_code == 302
    owner.get("/hub/logout")
    answers = [hub.login("tariq", f"guess {number}") for number in range(7)]
    assert answers[0].status_code == 403
    refused = answers[-1]
    assert refused.status_code == 429
    assert "Wait " in refused.text
    assert "no password is looked at" in refused.text
    # the right password is not looked at either, so that a refusal tells a guesser nothing ...
    assert hub.login("tariq").status_code == 429
    # ... but a browser that has been tariq's before is not in the guesser's queue
    assert hub.login("tariq", client=owner).status_code == 302


def test_an_address_cannot_be_made_up(hub: Hub) -> None:
    answers = []
    for number in range(7):
        client = hub.browser()
        client.headers["X-Real-IP"] = f"10.9.9.{number}"
        client.headers["X-Forwarded-For"] = f"10.9.9.{number}, 10.8.8.8"
        answers.append(hub.login("ines", f"guess {number}", client=client).status_code)
    assert answers[0] == 403
    assert answers[-1] == 429


def test_somebody_put_out_is_out(hub: Hub) -> None:
    accounts.add(hub.room, "leaver", password=PASSWORD)
    assert hub.login("leaver").status_code == 302
    mine = {"Authorization": f"token {hub.token('leaver')}"}
    accounts.set_active(hub.room, "leaver", False)
    assert hub.login("leaver").status_code == 403
    answer = hub.browser().post("/hub/api/users/leaver/server", headers=mine)
    assert answer.status_code == 403


EXPECTED = {
    "ada": {"learn"},
    "tariq": {"learn", "assist"},
    "ines": {"learn", "assist", "teach"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_tokens_hold_what_the_role_gives(hub: Hub, name: str) -> None:
    # before any login: the operator may make tokens for everybody who has an account
    ours = {s for s in hub.scopes(hub.token(name)) if s.startswith("custom:")}
    assert ours == {auth.scope(power, "linux") for power in EXPECTED[name]}


def test_groups_follow_the_enrolments(hub: Hub) -> None:
    accounts.add(hub.room, "mover", password=PASSWORD)
    accounts.enrol(hub.room, "mover", "linux", "student")
    hub.login("mover")
    assert hub.model("mover")["groups"] == ["nbgrader-linux"]
    accounts.enrol(hub.room, "mover", "linux", "instructor")
    hub.login("mover")
    assert sorted(hub.model("mover")["groups"]) == ["formgrade-linux", "teach-linux"]


def test_an_operator_is_admin_and_holds_operate(hub: Hub) -> None:
    accounts.add(hub.room, "olga", password=PASSWORD, operator=True)
    hub.login("olga")
    assert hub.model("olga")["admin"]
    held = hub.scopes(hub.token("olga"))
    assert auth.OPERATE in held
    assert "admin:users" in held


def test_the_login_page_bears_our_name(hub: Hub) -> None:
    page = hub.browser().get("/hub/login").text
    assert "<title>Machineroom</title>" in page.replace("\n", "").replace("  ", "")
    assert hub.browser().get("/hub/logo").headers["content-type"].startswith("image/svg")
