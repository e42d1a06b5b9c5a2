"""Packages, on the machine `box`."""

import pytest


@pytest.mark.task("packages")
@pytest.mark.hint("`apt-get update` first: a fresh machine does not know yet what there is.")
def test_figlet_is_installed(machine):
    """The package figlet is installed, and the command figlet works"""
    assert machine.package("figlet").is_installed, "dpkg knows no installed package figlet"
    shown = machine.run("figlet hello")
    assert shown.rc == 0, f"the command figlet answers: {shown.stderr.strip()}"


@pytest.mark.task("packages")
@pytest.mark.hint("`apt-mark` does it, and undoes it.")
def test_figlet_is_held(machine):
    """An upgrade will leave figlet at the version it has"""
    wish = machine.run("dpkg-query -f '${db:Status-Want}' -W figlet").stdout.strip()
    assert wish == "hold", f"what dpkg is to do with figlet: {wish or 'nothing, it is not there'}"


@pytest.mark.task("packages")
@pytest.mark.hint("`dpkg -S` searches the packages for a file.")
def test_owner_of_ss(machine):
    """owner.txt names the package that /usr/bin/ss came with"""
    file = machine.file("/root/answers/owner.txt")
    assert file.is_file, "there is no file /root/answers/owner.txt"
    said = file.content_string.strip()
    assert said == "iproute2", f"owner.txt says {said[:60]!r}"
