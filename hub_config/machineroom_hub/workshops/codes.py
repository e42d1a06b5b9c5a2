"""Join codes and way-back tokens. Both are derived from the room's secret: neither is stored.

A code has 40 bits. At the desk's rate for wrong ones, 12 a minute from one address, somebody with a
thousand addresses tries for 87 years on average before one fits.
"""

import hmac

from machineroom_spawners.keys import derive

from ..room import Room

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's 32: what may be mistaken for another (I, L, O) or read as a word (U) is not among them."""

_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})


def code(room: Room, workshop: str) -> str:
    """The workshop's join code, such as `7Q4K-M2XD`."""
    number = int.from_bytes(derive(room.secret, "workshop", workshop)[:5], "big")
    digits = "".join(ALPHABET[number >> shift & 31] for shift in range(35, -1, -5))
    return f"{digits[:4]}-{digits[4:]}"


def plain(typed: str) -> str:
    """A code as people type it, without what does not matter: case, dash, blanks, and O for 0.

    >>> plain(" 7q4k m2xo")
    '7Q4KM2X0'
    """
    return "".join(letter for letter in typed.upper().translate(_READ_AS) if letter in ALPHABET)


def fits(room: Room, workshop: str, typed: str) -> bool:
    """Whether this is the workshop's code."""
    return hmac.compare_digest(plain(typed), plain(code(room, workshop)))


def way_back(room: Room, guest: str) -> str:
    """What a guest shows to come back: the guest's id, and what only we can know of it (128 bits)."""
    return guest + _proof(room, guest)


def guest_of(room: Room, token: str) -> str | None:
    """Whose way back this is; None when it was made up."""
    guest, proof = token[:16], token[16:]
    if not token.isascii():
        return None
    return guest if hmac.compare_digest(proof, _proof(room, guest)) else None


def _proof(room: Room, guest: str) -> str:
    return derive(room.secret, "way back", guest).hex()[:32]
