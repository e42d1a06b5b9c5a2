"""What each service says of itself, as JSON: for `./machineroom cloud status` and for learners."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

from . import identity, settings

PROXIES = {"console (noVNC)": 6080, "console (serial)": 6083}


def look() -> Iterator[dict[str, str]]:
    """A line for each API, each proxy, and everything that reports to Nova or Neutron."""
    for name, (kind, port, _) in identity.ENDPOINTS.items():
        yield _line(f"{name} ({kind})", *_answer(port))
    for name, port in PROXIES.items():
        yield _line(name, *_answer(port))
    try:
        cloud = identity.administrator(settings.read())
        for each in cloud.compute.services():
            yield _line(each.binary, each.state == "up", f"{each.state}, {each.status}")
        for each in cloud.network.agents():
            yield _line(each.binary, each.is_alive, "alive" if each.is_alive else "silent")
    except Exception as error:
        yield _line("agents", False, f"cannot be asked: {error}")


def _line(service: str, good: bool, detail: str) -> dict[str, str]:
    return {"service": service, "state": "ok" if good else "wrong", "detail": detail}


def _answer(port: int) -> tuple[bool, str]:
    """Whether something answers HTTP there; being told to log in, or to speak WebSocket, is an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10):
            return True, f"answers on port {port}"
    except urllib.error.HTTPError as error:
        return error.code < 500, f"answers {error.code} on port {port}"
    except OSError as error:
        return False, f"port {port}: {error}"


if __name__ == "__main__":
    print(json.dumps(list(look())))  # noqa: T201
