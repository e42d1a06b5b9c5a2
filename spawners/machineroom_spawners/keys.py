"""Keys and tokens are derived from the installation's one secret, and stored nowhere else.

The same name gives the same key after any restart or reset, so a workspace knows a machine's
host key before the machine has booted, and there is no second copy that could drift.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def derive(secret: bytes, *purpose: str) -> bytes:
    """32 bytes for a purpose, such as `derive(secret, "service-token")`: HMAC-SHA256."""
    message = b"\0".join(part.encode() for part in purpose)
    return hmac.new(secret, message, hashlib.sha256).digest()


class KeyPair:
    """An ed25519 key pair of OpenSSH, derived from the secret and a purpose."""

    def __init__(self, secret: bytes, *purpose: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(derive(secret, "ssh", *purpose))

    @property
    def private(self) -> str:
        """The private key as the text of an OpenSSH key file."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        return pem.decode()

    @property
    def public(self) -> str:
        """The public key as one line: `ssh-ed25519 AAAA…`."""
        return self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def student_key(secret: bytes, owner: str) -> KeyPair:
    """What a student's workspace shows to the student's machines."""
    return KeyPair(secret, "student", owner)


def host_key(secret: bytes, owner: str, course: str, lab: str, machine: str) -> KeyPair:
    """What a machine's sshd shows to the workspace."""
    return KeyPair(secret, "host", owner, course, lab, machine)


def service_key(secret: bytes) -> KeyPair:
    """What the service shows to machines that are reached by ssh alone."""
    return KeyPair(secret, "service")
