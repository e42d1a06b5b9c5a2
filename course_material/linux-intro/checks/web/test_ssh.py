"""Keys between two machines: `web` logs in to `db`."""

import pytest

QUIET = "-o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"


def login(machine, options=""):
    return machine.run(f"ssh {QUIET} {options} deploy@db whoami")


def last_line(said):
    return (said.stderr.strip().splitlines() or ["nothing"])[-1]


@pytest.mark.task("ssh-keys", title="Keys instead of passwords")
@pytest.mark.hint("`ssh-keygen -t ed25519`; just press Enter where it asks for a file.")
def test_there_is_a_key(machine):
    """root on web has an ed25519 key, and nobody else can read it"""
    key = machine.file("/root/.ssh/id_ed25519")
    assert key.is_file, "there is no /root/.ssh/id_ed25519 on web"
    assert key.mode & 0o077 == 0, f"the mode of /root/.ssh/id_ed25519 is {oct(key.mode)[2:]}"
    assert machine.run("ssh-keygen -y -P '' -f /root/.ssh/id_ed25519").rc == 0, (
        "ssh-keygen cannot read the private key"
    )


@pytest.mark.task("ssh-keys")
@pytest.mark.points(2)
@pytest.mark.hint("`ssh-copy-id deploy@db` puts your public key where db looks for it.")
def test_web_logs_in_as_deploy(machine):
    """From web, `ssh deploy@db` works without a password"""
    said = login(machine)
    assert said.rc == 0, f"ssh ended with {said.rc}: {last_line(said)}"
    assert said.stdout.strip() == "deploy", f"on db we were {said.stdout.strip()!r}"


@pytest.mark.task("ssh-keys")
@pytest.mark.hint("The private key never leaves the machine it was made on; only the `.pub` file travels.")
def test_private_key_stayed_home(machines):
    """The public key is all that db got"""
    allowed = machines["db"].run("cat /home/deploy/.ssh/authorized_keys").stdout
    assert "ssh-" in allowed, "on db, deploy's authorized_keys has no public key"
    private = machines["db"].run("grep -rlsE 'BEGIN [A-Z ]*PRIVATE KEY' /home /root/.ssh").stdout.split()
    assert not private, f"on db there is a private key in {private[0]}"


@pytest.mark.task("ssh-keys")
@pytest.mark.hint(
    "The end of /etc/ssh/sshd_config on db; sshd reads it again when its first process gets a HUP."
)
def test_passwords_are_refused(machine):
    """db lets nobody in by password any more"""
    assert login(machine).rc == 0, "the key does not work yet: closing the other door would lock you out"
    refused = last_line(login(machine, "-o PubkeyAuthentication=no"))
    assert "Permission denied" in refused, f"without a key, ssh says: {refused}"
    assert "password" not in refused, f"without a key, db still offers a password: {refused}"
