"""The service's API, as the operator of this host calls it: through the proxy, with the operator's token."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from machineroom_spawners.drivers.base import Progress

from .room import Room


class ServiceError(Exception):
    """The service does not answer, or refuses; the message says what to do next."""


def call(room: Room, method: str, path: str, **arguments: Any) -> httpx.Response:
    """One call, for example `call(room, "GET", "courses/linux-intro/assignments")`. Raises ServiceError."""
    with _answer(room, method, path, timeout=120, **arguments) as answer:
        answer.read()
        return answer


def follow(room: Room, path: str, told: Progress, **arguments: Any) -> dict[str, Any]:
    """A call that takes its time: what is `done`; progress is told on the way. Raises ServiceError."""
    patience = httpx.Timeout(10, read=None)
    with _answer(room, "POST", path, timeout=patience, **arguments) as answer:
        for text in answer.iter_lines():
            line = json.loads(text)
            if "error" in line:
                raise ServiceError(line["error"])
            if "done" in line:
                return dict(line["done"])
            told(line["percent"], line["message"])
    raise ServiceError(f"the service ended in the middle of {path}; try again (./machineroom logs service)")


@contextmanager
def _answer(room: Room, method: str, path: str, **arguments: Any) -> Iterator[httpx.Response]:
    url = f"{room.local_url}/services/machineroom/api/{path}"
    headers = {"Authorization": f"token {room.token('operator')}", **room.host_header}
    timeout = arguments.pop("timeout")
    try:
        with (
            httpx.Client(headers=headers, timeout=timeout, trust_env=False) as client,
            client.stream(method, url, **arguments) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise ServiceError(_refusal(answer))
            yield answer
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the service does not answer ({error or type(error).__name__}): "
            "./machineroom status, then ./machineroom logs service"
        ) from None


def _refusal(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status_code}: {answer.text[:300]}"
