"""Where browsers find an installation: at one host name for all, or with a host name for each user.

With a name for each user a page on a student's server has an origin of its own: its scripts reach
nothing of the hub, of the service and of other people, whoever looks at it.
"""

import re
import socket
from urllib.parse import urlsplit

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")


def subdomain_host(said: str) -> str:
    """JupyterHub's `subdomain_host` from what an operator says: `lab.example.org`, or a whole address.

    >>> subdomain_host("Lab.example.org"), subdomain_host("http://room.localhost:8000/")
    ('https://lab.example.org', 'http://room.localhost:8000')

    Raises:
        ValueError: it is no host name below which there can be others; in words.
    """
    address = urlsplit(said if "://" in said else f"https://{said}")
    try:
        name, port = address.hostname or "", address.port
    except ValueError:
        name, port = "", None
    labels = name.split(".")
    extra = address.path.strip("/") or address.query or address.fragment or address.username
    if (
        address.scheme not in ("http", "https")
        or extra
        or len(labels) < 2
        or labels[-1].isdigit()
        or not all(_LABEL.match(label) for label in labels)
    ):
        raise ValueError(
            f"'{said}' is no host name for users' names to stand before: write for example lab.example.org, "
            "or http://lab.localhost:8000 to try it on this computer"
        )
    return f"{address.scheme}://{name}" + (f":{port}" if port else "")


def is_known(host: str) -> bool:
    """Whether this computer can tell where a user's name below `host` (an address) leads.

    Names below `localhost` are every browser's own business, and lead to its computer.
    """
    domain = urlsplit(host).hostname or ""
    if domain.endswith(".localhost"):
        return True
    try:
        socket.getaddrinfo(f"somebody.{domain}", None)
    except OSError:
        return False
    return True
