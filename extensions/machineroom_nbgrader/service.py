"""The Machineroom service, as a workspace sees it: who we are is the token, and nothing else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from .workspace import read_workspace

TIMEOUT = httpx.Timeout(300, connect=10)
"""Submitting runs the assignment's checks first, so an answer may take minutes; a connection may not."""


class ServiceError(Exception):
    """The service said no, or nothing. The message is a sentence for whoever asked."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class Service:
    """Calls of the service's API. Paths are given in parts, which are quoted: `("courses", "my course")`."""

    def __init__(self) -> None:
        self._url = read_workspace().service_url.rstrip("/") + "/api/"
        token = os.environ.get("JUPYTERHUB_API_TOKEN")
        if not token:
            raise ServiceError(
                "There is no JUPYTERHUB_API_TOKEN here, so the Machineroom service cannot tell who you are. "
                "Run this in a terminal or notebook of your workspace."
            )
        shown = {"Authorization": f"token {token}"}
        self._client = httpx.Client(headers=shown, timeout=TIMEOUT, trust_env=False)

    def json(self, method: str, *path: str, **request: Any) -> Any:
        """The answer to a call, decoded; None for an empty one."""
        with self.stream(method, *path, **request) as response:
            content = response.read()
        return response.json() if content else None

    @contextmanager
    def stream(self, method: str, *path: str, **request: Any) -> Iterator[httpx.Response]:
        """The answer to a call, its body not read yet. Raises ServiceError unless it succeeded."""
        url = self._url + "/".join(quote(part, safe="") for part in path)
        try:
            with self._client.stream(method, url, **request) as response:
                if response.is_error:
                    response.read()
                    raise ServiceError(_sentence(response), response.status_code)
                yield response
        except httpx.HTTPError as error:
            raise ServiceError(
                f"The Machineroom service at {self._url} does not answer ({error or type(error).__name__}). "
                "Nothing in your folders has changed. Try again in a minute; "
                "if it goes on, tell whoever runs this hub."
            ) from error


def _sentence(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    if isinstance(detail, str):
        return detail
    return (
        f"The Machineroom service answered {response.status_code} to {response.request.method} "
        f"{response.request.url.path}. Its log says why; tell whoever runs this hub."
    )
