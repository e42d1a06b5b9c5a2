"""What a server does at its first boot, so that the right people get in and know that it is the right server.

It is one shell script, which cloud-init runs as it is, and so does anything smaller. Nova's key pairs are
not used: they belong to one account, which may have a hundred of them.
"""

import shlex
import struct

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

_SCRIPT = r"""#!/bin/sh
# Machineroom: who gets in, and by which key the machine is known. Once for each server.
umask 077
done=/var/lib/machineroom/@SERVER@
[ -e $done ] && exit 0
mkdir -p /var/lib/machineroom /root/.ssh
@AUTHORIZE@
if [ -d /etc/ssh ]; then
    printf %s @PRIVATE@ >/etc/ssh/ssh_host_ed25519_key
    printf '%s\n' @PUBLIC@ >/etc/ssh/ssh_host_ed25519_key.pub
    chmod 644 /etc/ssh/ssh_host_ed25519_key.pub
fi
if [ -d /etc/dropbear ]; then
    printf '@DROPBEAR@' >/etc/dropbear/dropbear_ed25519_host_key
fi
if [ -d /run/systemd/system ]; then
    # a root shell on the serial port: the console for when ssh is broken
    mkdir -p /etc/systemd/system/serial-getty@ttyS0.service.d
    cat >/etc/systemd/system/serial-getty@ttyS0.service.d/machineroom.conf <<'EOF'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,57600,38400,9600 %I $TERM
EOF
    chmod -R go+rX /etc/systemd/system/serial-getty@ttyS0.service.d
    systemctl daemon-reload
    systemctl --no-block restart serial-getty@ttyS0.service
    systemctl --no-block try-restart ssh.service sshd.service
fi
: >$done
"""

_ONLY = "printf '%s\\n' {keys} >/root/.ssh/authorized_keys"
_ALSO = (
    "cd /root/.ssh; grep -qxF {keys} authorized_keys 2>/dev/null || printf '%s\\n' {keys} >>authorized_keys"
)


def script(server: str, student: str, service: str, host_key: str) -> str:
    """The script for the server that is told from others by `server`, a word of letters and digits.

    `student` and `service` are public keys that may come in as root; with `student` empty, whoever could come
    in before still can. `host_key` is the private host key, as the text of an OpenSSH key file.
    """
    authorize = (
        _ONLY.format(keys=" ".join(shlex.quote(key.strip()) for key in (student, service)))
        if student
        else _ALSO.format(keys=shlex.quote(service.strip()))
    )
    parts = {
        "@SERVER@": server,
        "@AUTHORIZE@": authorize,
        "@PRIVATE@": shlex.quote(host_key),
        "@PUBLIC@": shlex.quote(public(host_key)),
        "@DROPBEAR@": "".join(f"\\{byte:03o}" for byte in dropbear(host_key)),
    }
    text = _SCRIPT
    for name, value in parts.items():
        text = text.replace(name, value)
    return text


def public(private: str) -> str:
    """The public half of an OpenSSH private key, as one line."""
    key = load_ssh_private_key(private.encode(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def dropbear(private: str) -> bytes:
    """An ed25519 private key as dropbear keeps it: its name, and seed with point, each with its length."""
    key = load_ssh_private_key(private.encode(), password=None)
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    point = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", seed + point))
