"""Users, groups and sudo, on the machine `box`."""

import pytest

# --- new-colleague -------------------------------------------------------------------------------


def need_ada(machine):
    user = machine.user("ada")
    assert user.exists, "getent knows no user ada"
    return user


@pytest.mark.task("new-colleague", title="A new colleague")
@pytest.mark.hint("`useradd` makes no home unless it is told to (`-m`); `adduser` does.")
def test_ada_has_a_home(machine):
    """The user ada exists, and /home/ada is hers"""
    user = need_ada(machine)
    assert user.home == "/home/ada", f"ada's home is {user.home}"
    home = machine.file("/home/ada")
    assert home.is_directory, "/home/ada is not a folder"
    assert home.user == "ada", f"/home/ada belongs to {home.user}"


@pytest.mark.task("new-colleague")
@pytest.mark.hint("The last field of her line in /etc/passwd; `usermod` or `chsh` changes it.")
def test_ada_gets_bash(machine):
    """ada's login shell is bash"""
    user = need_ada(machine)
    assert user.shell.endswith("/bash"), f"ada's shell is {user.shell}"


@pytest.mark.task("new-colleague")
@pytest.mark.points(2)
@pytest.mark.hint("`usermod -G` replaces all her other groups, `usermod -aG` adds to them.")
def test_ada_is_an_editor(machine):
    """The group editors exists, and ada is in it"""
    assert machine.group("editors").exists, "getent knows no group editors"
    need_ada(machine)
    groups = machine.check_output("id -nG ada").split()
    assert "editors" in groups, f"ada is in these groups: {', '.join(groups)}"


# --- shared-folder -------------------------------------------------------------------------------

AS_ADA = "setpriv --reuid=ada --regid=ada --init-groups sh -c"


@pytest.mark.task("shared-folder", title="A shared folder")
@pytest.mark.hint("`chgrp` hands it to the group; then look at the group's three letters.")
@pytest.mark.changes("/srv/drafts")
def test_editors_write_there(machine):
    """Editors can make files in /srv/drafts"""
    folder = machine.file("/srv/drafts")
    assert folder.is_directory, "there is no folder /srv/drafts"
    tried = machine.run(f"{AS_ADA} 'f=$(mktemp /srv/drafts/check-XXXXXX) && rm $f'")
    assert tried.rc == 0, f"when ada makes a file there, the answer is: {tried.stderr.strip()}"


@pytest.mark.task("shared-folder")
@pytest.mark.hint("Somebody who is neither root nor an editor should not even be able to list it.")
def test_others_stay_out(machine):
    """Who is no editor can neither list the folder nor write to it"""
    folder = machine.file("/srv/drafts")
    assert folder.is_directory, "there is no folder /srv/drafts"
    assert folder.mode & 0o007 == 0, (
        f"the mode of /srv/drafts is {oct(folder.mode)[2:]}: look at its last digit"
    )


@pytest.mark.task("shared-folder")
@pytest.mark.hint("Read on about the setgid bit of a folder: `chmod g+s`.")
@pytest.mark.changes("/srv/drafts")
def test_new_files_belong_to_the_group(machine):
    """A file that ada makes there belongs to the group editors by itself"""
    assert machine.file("/srv/drafts").is_directory, "there is no folder /srv/drafts"
    script = "f=$(mktemp /srv/drafts/check-XXXXXX) && stat -c %G $f; rm -f $f"
    seen = machine.run(f"{AS_ADA} '{script}'")
    assert seen.stdout.strip() == "editors", (
        f"a file that ada made belonged to the group {seen.stdout.strip() or '(she could not make one)'}"
    )


# --- careful-sudo --------------------------------------------------------------------------------


def may(machine, command):
    """Whether ada may run `command` as root without a password: sudo answers without running it."""
    need_ada(machine)
    return machine.run(f"setpriv --reuid=ada --regid=ada --init-groups sudo -n -l {command}").rc == 0


@pytest.mark.task("careful-sudo")
@pytest.mark.points(2)
@pytest.mark.hint(
    "`visudo -f /etc/sudoers.d/ada`; a rule reads: who, where = (as whom) NOPASSWD: which command."
)
def test_ada_restarts_the_ticker(machine):
    """ada may run `systemctl restart ticker` as root, without a password, and not everything else"""
    assert may(machine, "/usr/bin/systemctl restart ticker"), (
        "sudo would not let ada do that without a password"
    )
    for other in ("/usr/bin/id", "/usr/bin/systemctl stop ticker", "/bin/bash"):
        assert not may(machine, other), f"ada may run `{other}` as root too"


@pytest.mark.task("careful-sudo")
@pytest.mark.hint("`visudo -c` checks all files; sudo wants them owned by root and not writable by others.")
def test_sudoers_is_sound(machine):
    """The rule stands in a file of its own in /etc/sudoers.d, and visudo finds no fault"""
    files = machine.run("grep -lE '^ada[[:space:]]' /etc/sudoers.d/*").stdout.split()
    assert files, "no file in /etc/sudoers.d has a rule that begins with ada"
    verdict = machine.run("visudo -c")
    assert verdict.rc == 0, f"visudo says: {(verdict.stderr or verdict.stdout).strip()[:200]}"
    for path in files:
        seen = machine.file(path).mode
        assert seen & 0o022 == 0, f"{path} has mode {oct(seen)[2:]}"
