"""The hub's REST API, as the operator of this host calls it."""

import time

import docker
import httpx

from . import accounts
from .host import HostError
from .host.network import hub_gateway
from .room import Room


class HubApi:
    """Calls to the room's hub with the operator's derived token."""

    def __init__(self, room: Room, gateway: str | None = None) -> None:
        self.room = room
        if gateway is None:
            try:
                gateway = hub_gateway(docker.from_env(), room)
            except (docker.errors.DockerException, OSError):
                raise HostError(
                    "the Docker engine does not answer: start everything with ./machineroom up"
                ) from None
        self.url = f"http://{gateway}:{room.hub_port}/hub/api"
        headers = {"Authorization": f"token {room.token('operator')}"}
        self.http = httpx.Client(headers=headers, timeout=30, trust_env=False)

    def call(self, method: str, path: str, **arguments: object) -> httpx.Response:
        """One call. Raises HostError when the hub does not answer or refuses."""
        try:
            answer = self.http.request(method, f"{self.url}{path}", **arguments)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            raise HostError(
                f"the hub does not answer ({error}): ./machineroom status, then ./machineroom logs hub"
            ) from None
        if answer.is_error:
            try:
                said = answer.json().get("message", answer.text)
            except ValueError:
                said = answer.text
            raise HostError(f"the hub refused {method} {path}: {answer.status_code} {said}")
        return answer

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until hub, proxy and service all answer. Raises HostError naming the one that does not."""
        # through the proxy: what a browser meets
        public, host = self.room.local_url, self.room.host_header
        for part, path in (("hub", "/hub/api/"), ("service", "/services/machineroom/api/openapi.json")):
            deadline = time.monotonic() + seconds
            while True:
                try:
                    if self.http.get(public + path, headers=host).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                if time.monotonic() > deadline:
                    raise HostError(
                        f"the {part} does not answer after {seconds:.0f} s: ./machineroom logs {part}"
                    )
                time.sleep(0.1)

    def token(self, user: str, note: str = "made by ./machineroom token", seconds: int | None = None) -> str:
        """A fresh API token for `user`, with all that the user may do."""
        if accounts.get(self.room, user) is None:
            raise HostError(f"there is no account '{user}': ./machineroom accounts list shows them all")
        body = {"note": note, **({"expires_in": seconds} if seconds else {})}
        # an account made since the hub started is a user only from its first login on
        self.http.post(f"{self.url}/users/{user}")
        return str(self.call("POST", f"/users/{user}/tokens", json=body).json()["token"])
