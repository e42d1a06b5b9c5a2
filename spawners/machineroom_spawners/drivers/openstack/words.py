"""What a cloud's refusal means for the person who reads it, and what to do next. Pure."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

SERVICES = {"compute": "Nova", "network": "Neutron", "image": "Glance"}


def refusal(service: str, status: int, body: str) -> str:
    """A sentence from an answer with an error's status."""
    name, said = SERVICES.get(service, service), message(body)
    if status in (403, 413, 409) and re.search(r"quota", said, re.IGNORECASE):
        return (
            f"the project's quota does not allow it: {said}. Delete machines that nobody needs, or ask the "
            "cloud's operator for more (openstack quota show --usage)"
        )
    if status == 401:
        return CREDENTIALS
    if status == 403:
        return f"{name} does not allow it: {said}. Our account needs the role 'member' in its project"
    if status == 429:
        return f"{name} gets more requests than it takes just now. Try again in a minute"
    if status >= 500:
        return f"{name} failed ({status}: {said}). Try again; if it stays, ask the cloud's operator"
    return f"{name} refused ({status}): {said}"


CREDENTIALS = (
    "the cloud refuses our credentials: they are wrong, expired or revoked. "
    "An operator has to put new ones into clouds.yaml; nothing has to be restarted"
)


def message(body: str) -> str:
    """What an API's error says: Nova, Neutron, Glance and keystone each wrap it in another way."""
    try:
        found = json.loads(body)
    except ValueError:
        text = re.sub(r"<[^>]*>", " ", body)
        return _tidy(text) or "without a word"
    for _ in range(3):
        if isinstance(found, Mapping):
            found = found.get("message") or next(iter(found.values()), "")
    return _tidy(str(found)) or "without a word"


def fault(server: Mapping[str, Any]) -> str:
    """Why a server is in the state ERROR."""
    said = _tidy(server.get("fault", {}).get("message", ""))
    if "No valid host" in said or "no valid host" in said:
        return (
            "no host of the cloud has room for it (No valid host was found). Take a smaller flavor, "
            "delete machines that nobody needs, or ask the cloud's operator"
        )
    return f"the cloud could not make it: {said or 'it does not say why'}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """That the cloud has no such image, flavor or network, and which was meant."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(names[:20]) or 'none'}."
    return f"the cloud has no {kind} '{name}' for this project; {hint} Mend lab.yml"


def _tidy(text: str) -> str:
    return " ".join(text.split()).rstrip(". ")[:500]
