"""What the browser asks about machines: which there are, in what state, and what they use."""

import json
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.ioloop import IOLoop

from . import relay
from .service import credentials, list_url
from .topology import Topology, read_topology
from .visits import VisitHandler, Visits, VisitsHandler

NOTHING = {"state": None, "address": "", "usage": None}
"""What is known of a machine when the service does not answer."""


class MachinesHandler(APIHandler):
    """`GET …/machineroom/machines`: every machine, with its state and usage if the service says them soon."""

    auth_resource = relay.RESOURCE

    @web.authenticated
    @authorized
    async def get(self) -> None:
        topology = read_topology()
        known = await self._known(topology) if topology.machines else {}
        models = [
            {
                "id": str(machine),
                "course": machine.course,
                "lab": machine.lab,
                "machine": machine.name,
                "title": machine.title,
                "ports": machine.ports,
                "default": machine.default,
                **NOTHING,
                **({} if known is None else known.get(str(machine), {"state": "missing"})),
            }
            for machine in topology.machines
        ]
        self.finish({"machines": models})

    async def _known(self, topology: Topology) -> dict[str, dict[str, Any]] | None:
        """What the service says of each machine, by `course/lab/machine`."""
        try:
            answer = await AsyncHTTPClient().fetch(
                f"{list_url(topology)}&usage=true",
                headers=credentials(),
                connect_timeout=1,
                request_timeout=3,
            )
            return {
                f"{m['course']}/{m['lab']}/{m['machine']}": {key: m[key] for key in NOTHING}
                for m in json.loads(answer.body)
            }
        except (HTTPClientError, OSError, ValueError, KeyError) as error:
            self.log.warning("The states of the machines are unknown: %s", error)
            return None


def load(app: Any) -> None:
    """Add the handlers to a Jupyter server."""
    base = url_path_join(app.web_app.settings["base_url"], "machineroom")
    relayed = [(f"{base}/{pattern}", handler, methods) for pattern, handler, methods in relay.ROUTES]
    visits = Visits(app.web_app.settings["terminal_manager"], app.event_logger)
    IOLoop.current().add_callback(visits.start)
    own = [
        (f"{base}/machines", MachinesHandler),
        (f"{base}/visits", VisitsHandler, {"visits": visits}),
        (rf"{base}/visits/([0-9a-f]{{16}})", VisitHandler, {"visits": visits}),
    ]
    app.web_app.add_handlers(".*", [*own, *relayed])
