"""What the browser asks about machines: which there are, in what state, and to do something to them."""

import json
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .service import ACTIONS, credentials, detail, list_url, machine_url, states
from .topology import Topology, UnknownMachine, read_topology

RESOURCE = "terminals"
"""Who may open terminals on the machines may do these things too."""


class MachinesHandler(APIHandler):
    """`GET …/machineroom/machines`: every machine, with its state if the service says it soon."""

    auth_resource = RESOURCE

    @web.authenticated
    @authorized
    async def get(self) -> None:
        topology = read_topology()
        known = await self._states(topology) if topology.machines else {}
        models = [
            {
                "id": str(machine),
                "course": machine.course,
                "lab": machine.lab,
                "machine": machine.name,
                "title": machine.title,
                "ports": machine.ports,
                "default": machine.default,
                "state": None if known is None else known.get(str(machine), "missing"),
            }
            for machine in topology.machines
        ]
        self.finish({"machines": models})

    async def _states(self, topology: Topology) -> dict[str, str] | None:
        try:
            answer = await AsyncHTTPClient().fetch(
                list_url(topology), headers=credentials(), connect_timeout=1, request_timeout=1
            )
            return states(json.loads(answer.body))
        except (HTTPClientError, OSError, ValueError, KeyError) as error:
            self.log.warning("The states of the machines are unknown: %s", error)
            return None


class ActionHandler(APIHandler):
    """`POST …/machineroom/machines/<course>/<lab>/<machine>/<action>`: relays to the service.

    Answers as the service does: lines of JSON that tell the progress, the last one how it ended.
    """

    auth_resource = RESOURCE

    @web.authenticated
    @authorized
    async def post(self, course: str, lab: str, name: str, action: str) -> None:
        topology = read_topology()
        try:
            machine = topology.find(f"{course}/{lab}/{name}")
        except UnknownMachine as error:
            raise web.HTTPError(404, str(error)) from None
        refused: list[bytes] = []
        status = 0

        def header(line: str) -> None:
            nonlocal status
            if line.startswith("HTTP/"):
                status = int(line.split()[1])

        def body(chunk: bytes) -> None:
            if status >= 400:
                refused.append(chunk)
                return
            if not self._headers_written:
                self.set_header("Content-Type", "application/x-ndjson")
            self.write(chunk)
            self.flush()

        try:
            await AsyncHTTPClient().fetch(
                machine_url(topology, machine, action),
                method="POST",
                body=b"",
                headers=credentials(),
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
        self.finish()


def load(app: Any) -> None:
    """Add the handlers to a Jupyter server."""
    base = url_path_join(app.web_app.settings["base_url"], "machineroom/machines")
    actions = "|".join(ACTIONS)
    app.web_app.add_handlers(
        ".*",
        [
            (base, MachinesHandler),
            (rf"{base}/([\w.-]+)/([\w.-]+)/(\w+)/({actions})", ActionHandler),
        ],
    )
