"""Accounts and enrolments, in a real database; and the groups, roles and scopes that follow."""

from pathlib import Path

import pytest
from machineroom_hub import accounts, auth
from machineroom_hub.accounts import AccountError, Role
from machineroom_hub.db import Base, connect
from machineroom_hub.room import Room


@pytest.fixture
def desk(tmp_path: Path) -> Room:
    """A room that has accounts, and needs no engine."""
    room = Room(tmp_path)
    Base.metadata.create_all(connect(room))
    return room


def test_a_password_is_verified_and_stored_as_argon2(desk: Room) -> None:
    accounts.add(desk, "ada", password="correct horse", display_name="Ada L.")
    account = accounts.verify(desk, "ada", "correct horse")
    assert account is not None
    assert (account.name, account.display_name) == ("ada", "Ada L.")
    assert account.password_hash.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "correct horsf"),
        ("ada", ""),
        ("nobody", "correct horse"),
        ("nopassword", ""),
        ("gone", "correct horse"),
    ],
)
def test_wrong_unknown_passwordless_and_inactive_are_refused(desk: Room, name: str, password: str) -> None:
    accounts.add(desk, "ada", password="correct horse")
    accounts.add(desk, "nopassword")
    accounts.add(desk, "gone", password="correct horse")
    accounts.set_active(desk, "gone", False)
    assert accounts.verify(desk, name, password) is None


def test_an_unknown_name_costs_a_hash_too(desk: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = accounts._hasher

    class Watched:
        def verify(self, hashed: str, password: str) -> bool:
            seen.append(hashed)
            return real.verify(hashed, password)

        hash = staticmethod(real.hash)

    monkeypatch.setattr(accounts, "_hasher", Watched())
    assert accounts.verify(desk, "nobody", "correct horse") is None
    assert len(seen) == 1
    assert accounts.verify(desk, "nobody", "nobody's password") is None, (
        "the decoy's own password is no way in"
    )


def test_adding_again_keeps_what_is_not_said(desk: Room) -> None:
    accounts.add(desk, "ada", password="correct horse", operator=True)
    accounts.add(desk, "ada", display_name="Ada")
    account = accounts.verify(desk, "ada", "correct horse")
    assert account is not None
    assert account.operator
    assert account.display_name == "Ada"


@pytest.mark.parametrize("name", ["", "Ada", "a b", "../x", "-a", "a\n", "ä", "x" * 65, "a/b", "a*"])
def test_names_that_cannot_be(desk: Room, name: str) -> None:
    with pytest.raises(AccountError, match="cannot be a user name"):
        accounts.add(desk, name)


def test_short_passwords_and_unknown_names_are_said_in_words(desk: Room) -> None:
    with pytest.raises(AccountError, match="10 to 1000 characters, not 5"):
        accounts.add(desk, "ada", password="short")
    with pytest.raises(AccountError, match="no account 'eve'; add it first"):
        accounts.set_password(desk, "eve", "correct horse")
    accounts.add(desk, "ada")
    with pytest.raises(AccountError, match=r"'boss' is not a role .* student, ta, instructor"):
        accounts.enrol(desk, "ada", "linux", "boss")


def test_enrolments_are_one_role_per_course(desk: Room) -> None:
    accounts.add(desk, "ada")
    accounts.add(desk, "bob")
    accounts.enrol(desk, "ada", "linux", "student")
    accounts.enrol(desk, "ada", "linux", Role.TA)
    accounts.enrol(desk, "ada", "web", "student")
    account = accounts.get(desk, "ada")
    assert account is not None
    assert account.roles == {"linux": Role.TA, "web": Role.STUDENT}
    assert [a.name for a in accounts.listing(desk)] == ["ada", "bob"]
    assert [a.name for a in accounts.listing(desk, "web")] == ["ada"]
    accounts.enrol(desk, "ada", "web", None)
    assert accounts.listing(desk, "web") == []


def test_groups_roles_and_scopes(desk: Room) -> None:
    accounts.add(desk, "ines", operator=True)
    accounts.enrol(desk, "ines", "linux", "instructor")
    accounts.enrol(desk, "ines", "web", "ta")
    accounts.enrol(desk, "ines", "art", "student")
    account = accounts.get(desk, "ines")
    assert account is not None
    assert sorted(auth.groups(account)) == [
        "formgrade-linux", "formgrade-web", "machineroom-operators", "nbgrader-art", "teach-linux",
    ]  # fmt: skip
    defined = auth.scopes(["linux"])
    for role in auth.roles(["linux"]):
        ours = {s for s in role["scopes"] if s.startswith("custom:")}
        assert ours <= set(defined), "every scope that a role gives is defined"
        assert auth.ACCESS in role["scopes"]
    assert auth.OPERATE not in auth.server_token_scopes(["linux"])
