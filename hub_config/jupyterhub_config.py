"""JupyterHub, as Machineroom runs it. Everything here comes from the room that MACHINEROOM_STATE names.

The proxy and the service are processes of their own: this hub may be restarted at any time, and
whoever works goes on working. To change something for one installation, put a file
`jupyterhub_config.py` into its state directory: it is read last.
"""

from pathlib import Path

import docker
from jupyterhub.utils import subdomain_hook_idna
from machineroom_hub import accounts, auth
from machineroom_hub.host.network import ensure_hub_network
from machineroom_hub.room import Room
from machineroom_spawners.keys import derive
from machineroom_spawners.spawner import DockerLabSpawner

c = get_config()  # noqa: F821

room = Room()
gateway = ensure_hub_network(docker.from_env(timeout=120), room)
courses = auth.courses(room)
service_url = f"http://{gateway}:{room.service_port}"

# Where it listens, and what it keeps
c.JupyterHub.bind_url = f"http://127.0.0.1:{room.port}"
c.JupyterHub.hub_bind_url = f"http://{gateway}:{room.hub_port}"
c.JupyterHub.subdomain_host = room.subdomains
# users have names of their own; the service is ours as the hub is, and stays at the hub's
c.JupyterHub.subdomain_hook = lambda name, domain, kind: (
    domain if kind == "service" else subdomain_hook_idna(name, domain, kind)
)
c.JupyterHub.cookie_host_prefix_enabled = room.host_cookies
hub_state = room.state / "hub"
hub_state.mkdir(parents=True, exist_ok=True, mode=0o700)
c.JupyterHub.db_url = f"sqlite:///{hub_state / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret = derive(room.secret, "cookie")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False

# The proxy: configurable-http-proxy, a process of its own
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{room.proxy_api_port}"
c.ConfigurableHTTPProxy.auth_token = room.token("proxy")
c.JupyterHub.last_activity_interval = (
    10  # how soon a proxy that was restarted gets its routes back, in seconds
)

# Who may log in, and what they may do
c.JupyterHub.authenticator_class = auth.PasswordAuthenticator
c.PasswordAuthenticator.proxies = {"127.0.0.1", gateway}
c.JupyterHub.custom_scopes = auth.scopes(courses)
c.JupyterHub.extra_user_scopes = {auth.ACCESS}

# The machineroom service, the operator's command line, and the keeper of workshops
c.JupyterHub.services = [
    {
        "name": auth.SERVICE,
        "url": service_url,
        "api_token": room.token("service"),
        "oauth_no_confirm": True,
        "oauth_redirect_uri": f"/services/{auth.SERVICE}/oauth_callback",
        "oauth_client_allowed_scopes": [auth.ACCESS, *auth.scopes(courses)],
        "display": True,
        "timeout": 1,  # the hub needs nothing of it, and must not wait for it at its start
    },
    {"name": "operator", "api_token": room.token("operator"), "display": False},
    {"name": "workshops", "api_token": room.token("workshops"), "display": False},
]
c.JupyterHub.load_roles = [
    *auth.roles(courses),
    {"name": "service", "scopes": ["list:users", "read:users", "read:groups"], "services": [auth.SERVICE]},
    {
        "name": "operator",
        "scopes": [
            "admin:users",
            "admin:servers",
            "tokens",
            "list:services",
            "read:hub",
            "read:metrics",
            "proxy",
            auth.ACCESS,
            auth.OPERATE,
        ],
        "services": ["operator"],
    },
    # the keeper of workshops, a part of the service: makes, starts, stops and removes guests' seats
    {"name": "workshops", "scopes": ["admin:users", "servers"], "services": ["workshops"]},
]

# Workspaces and machines
c.JupyterHub.spawner_class = DockerLabSpawner
c.DockerLabSpawner.room_id = room.id
c.DockerLabSpawner.secret = room.secret
c.DockerLabSpawner.clouds = str(room.clouds)
c.DockerLabSpawner.courses = str(room.courses)
c.DockerLabSpawner.roles_of = lambda name: account.roles if (account := accounts.get(room, name)) else {}
c.DockerLabSpawner.service_url = f"{service_url}/services/{auth.SERVICE}"
c.DockerLabSpawner.network_name = room.hub_network
c.DockerLabSpawner.server_token_scopes = auth.server_token_scopes(courses)
c.JupyterHub.concurrent_spawn_limit = 0  # nobody is turned away: the spawner lets them in one after another
c.JupyterHub.tornado_settings = {
    "slow_spawn_timeout": 0,  # straight to the page that shows the progress
    # not every browser takes Lax for granted; what is called __Host- has to be secure
    "cookie_options": {"samesite": "Lax", **({"secure": True} if room.host_cookies else {})},
}

# How it looks
c.JupyterHub.template_paths = [str(Path(__file__).parent / "templates")]
c.JupyterHub.logo_file = str(Path(__file__).parent / "templates" / "logo.svg")

extra = room.state / "jupyterhub_config.py"
if extra.is_file():
    load_subconfig(str(extra))  # noqa: F821
