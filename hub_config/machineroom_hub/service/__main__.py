"""Run the service: `python -m machineroom_hub.service --host ADDRESS --hub-api-url URL`."""

import argparse
import resource
from pathlib import Path

import uvicorn

from ..room import Room
from .app import create_app
from .audit import log_as_json


def main() -> None:
    """Parse the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m machineroom_hub.service",
        description="The machineroom service: machines, checks and the exchange. JupyterHub "
        "must know it as the external service 'machineroom', with the token that Room.token('service') "
        "gives, and with the scope read:groups for itself.",
    )
    parser.add_argument("--state", type=Path, help="state directory (default: $MACHINEROOM_STATE)")
    parser.add_argument("--host", required=True, help="address to listen on: the hub network's gateway")
    parser.add_argument("--port", type=int, help="port to listen on (default: the room's service port)")
    parser.add_argument(
        "--hub-api-url", required=True, help="JupyterHub's API, such as http://10.0.0.1:8081/hub/api"
    )
    given = parser.parse_args()
    room = Room(given.state)
    log_as_json()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvicorn.run(
        create_app(room, given.hub_api_url),
        host=given.host,
        port=given.port or room.service_port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=256 << 10,
        # only the proxy, on this host, may say who a request comes from
        forwarded_allow_ips=f"127.0.0.1,{given.host}",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
