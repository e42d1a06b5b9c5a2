"""Calls of the browser's that the service answers: passed on, with the workspace's token, and nothing else.

The browser never has the token, and reaches of the service only what stands in `ROUTES`.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .service import ACTIONS, credentials, detail
from .topology import UnknownMachine, read_topology

RESOURCE = "terminals"
"""Who may open terminals on the machines may do these things too."""


class RelayHandler(APIHandler):
    """Answers as the service does, piece by piece: a long action's lines come when they are said."""

    auth_resource = RESOURCE

    def initialize(self, methods: Sequence[str]) -> None:
        """Tornado's constructor."""
        self.SUPPORTED_METHODS = (*methods, "OPTIONS")  # type: ignore[assignment]

    @web.authenticated
    @authorized
    async def get(self, *path: str) -> None:
        await self._relay(*path)

    post = put = delete = get

    def _place(self, *path: str) -> Sequence[str]:
        """The service's path for ours, in parts."""
        return path

    async def _relay(self, *path: str) -> None:
        place = "/".join(quote(part, safe="") for part in self._place(*path))
        query = f"?{self.request.query}" if self.request.query else ""
        refused: list[bytes] = []
        status = 0

        def header(line: str) -> None:
            nonlocal status
            name, _, value = line.partition(":")
            if line.startswith("HTTP/"):
                status = int(line.split()[1])
            elif status < 400 and name.lower() == "content-type":
                self.set_header("Content-Type", value.strip())

        def body(chunk: bytes) -> None:
            if status >= 400:
                refused.append(chunk)
                return
            self.write(chunk)
            self.flush()

        try:
            await AsyncHTTPClient().fetch(
                f"{read_topology().service_url}/api/{place}{query}",
                method=self.request.method or "GET",
                body=self.request.body or None,
                headers={**credentials(), "Content-Type": "application/json"},
                allow_nonstandard_methods=True,  # a POST without a body
                connect_timeout=5,
                request_timeout=600,
                header_callback=header,
                streaming_callback=body,
            )
        except (HTTPClientError, OSError) as error:
            said = detail(b"".join(refused), f"The Machineroom service does not answer: {error}.")
            if not self._headers_written:
                raise web.HTTPError(status if status >= 400 else 502, said) from None
            self.write(json.dumps({"error": said}) + "\n")
        if not self._headers_written:
            self.set_status(status)
        self.finish()


class MachineRelayHandler(RelayHandler):
    """Concerns one machine of this workspace."""

    def _place(self, *path: str) -> Sequence[str]:
        topology = read_topology()
        try:
            machine = topology.find("/".join(path[:3]))
        except UnknownMachine as error:
            raise web.HTTPError(404, str(error)) from None
        return "machines", topology.user, machine.course, machine.lab, machine.name, *path[3:]


_NAME = r"([\w.-]+)"
_MACHINE = rf"machines/{_NAME}/{_NAME}/(\w+)"
_COURSE = rf"(courses)/{_NAME}"

ROUTES: list[tuple[str, type[RelayHandler], dict[str, Any]]] = [
    (rf"{_MACHINE}/({'|'.join(ACTIONS)})", MachineRelayHandler, {"methods": ["POST"]}),
    (rf"{_MACHINE}/(snapshots)", MachineRelayHandler, {"methods": ["GET"]}),
    (rf"{_MACHINE}/(snapshots)/([^/]+)", MachineRelayHandler, {"methods": ["PUT", "POST", "DELETE"]}),
    ("(me)", RelayHandler, {"methods": ["GET"]}),
    (rf"{_COURSE}/(labs|assignments|tasks|help|board)", RelayHandler, {"methods": ["GET"]}),
    (rf"{_COURSE}/(hand)", RelayHandler, {"methods": ["PUT", "DELETE"]}),
    (rf"{_COURSE}/(hands)/([^/]+)", RelayHandler, {"methods": ["PUT", "DELETE"]}),
    (rf"{_COURSE}/(messages)", RelayHandler, {"methods": ["POST"]}),
    (rf"{_COURSE}/(machines)/({'|'.join(ACTIONS)})", RelayHandler, {"methods": ["POST"]}),
    (rf"{_COURSE}/(assignments)/{_NAME}/(extensions)", RelayHandler, {"methods": ["POST"]}),
    (rf"{_COURSE}/(verdicts)", RelayHandler, {"methods": ["GET", "POST"]}),
    (rf"{_COURSE}/(assignments)/{_NAME}/(submissions)", RelayHandler, {"methods": ["GET"]}),
    (rf"{_COURSE}/(assignments)/{_NAME}/(regrade)", RelayHandler, {"methods": ["POST"]}),
    (rf"{_COURSE}/(checks)", RelayHandler, {"methods": ["POST"]}),
    (r"(workshop)", RelayHandler, {"methods": ["GET"]}),
]
"""Patterns below `…/machineroom/`; the service's paths are the same, but for a machine's owner: us."""
