"""Web pages of machines, at `…/proxy/<machine>:<port>/…`, by jupyter-server-proxy.

A student's machine is a stranger to whoever looks at its pages: it may not see the visitor's
cookies and tokens, nor set such cookies, and the proxy reaches nothing but the machines. Its scripts
run at the address of the student's own JupyterLab; for anybody else, such as an operator, they get
a sandbox, in which they can do nothing in the visitor's name.
"""

import asyncio
import errno
import html
import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jupyter_server_proxy
from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import RemoteProxyHandler
from tornado import httpclient, web

from .topology import Machine, Topology, UnknownMachine, read_topology
from .wake import wake_if_silent

PRIVATE_COOKIES = re.compile(
    r"(__(host|secure)-)?(_xsrf|jupyter|username-|service-|machineroom)", re.IGNORECASE
)
"""Beginnings of the names of cookies that are between the visitor and us."""

PRIVATE_HEADERS = ("Authorization", "Proxy-Authorization", "X-Xsrftoken", "X-Forwarded-For", "X-Real-Ip")

ORIGIN_WIDE = {
    "alt-svc",
    "clear-site-data",
    "nel",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "strict-transport-security",
}
"""Response headers by which a page would speak for the whole site, of which it is a corner."""

_FAR = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
"""Errors of a machine that is not there at all."""

SANDBOX = "sandbox allow-forms allow-modals allow-popups allow-scripts"
"""How a page is shown to who is not its machine's owner: without an origin, so without anybody's cookies."""


class MachineProxyHandler(RemoteProxyHandler):
    """Shows a port of one of the workspace's own machines, and of nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = ""
        # jupyter-server-proxy replaces these methods in each instance: an override in a class is not called.
        self._set_header: Callable[[str, Any], None] = self.__dict__["set_header"]
        self.__dict__["set_header"] = self._set_safe_header
        self._flush: Callable[[bool], None] = self.__dict__["flush"]
        self.__dict__["flush"] = self._flush_confined

    async def proxy(self, host: str, port: str, proxied_path: str) -> None:
        machine = self._machine(host)
        try:
            self.address = await resolve(read_topology(), machine)
            answered = asyncio.Event()
            waking = asyncio.create_task(wake_if_silent(machine, answered))
            try:
                await super().proxy(host, port, proxied_path)
            finally:
                answered.set()
                await waking
        except (OSError, httpclient.HTTPError, web.HTTPError) as error:
            if self._headers_written:
                raise
            self._explain(machine, port, error)

    async def proxy_open(self, host: str, port: str, proxied_path: str = "") -> None:
        try:
            self.address = await resolve(read_topology(), self._machine(host))
            await super().proxy_open(host, port, proxied_path)
        except (OSError, httpclient.HTTPError, web.HTTPError) as error:
            self.log.info("No websocket to %s:%s: %s", host, port, error)
            self.close(1013, f"Port {port} of this machine takes no websockets.")

    def _check_host_allowlist(self, _host: str) -> bool:
        return bool(self.address)

    def get_client_uri(self, protocol: str, host: str, port: str, proxied_path: str) -> str:
        """The address that is really asked: the one that was looked at, and no token in its query."""
        uri = super().get_client_uri(protocol, host, port, proxied_path)
        path, _, query = uri.partition("?")
        path = path.replace(f"://{host}:", f"://{self.address}:", 1)
        if any(name == "token" for name, _ in parse_qsl(query, keep_blank_values=True)):
            kept = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k != "token"]
            query = urlencode(kept)
        return f"{path}?{query}" if query else path

    def proxy_request_headers(self) -> Any:
        headers = super().proxy_request_headers()
        for name in PRIVATE_HEADERS:
            headers.pop(name, None)
        for name in [n for n in headers if n.lower().startswith("x-jupyter")]:
            del headers[name]
        cookies = [c.strip() for c in headers.pop("Cookie", "").split(";")]
        own = [c for c in cookies if c and not PRIVATE_COOKIES.match(c)]
        if own:
            headers["Cookie"] = "; ".join(own)
        # Django wants to know the page that a form was sent from; which of our pages it was is not told.
        referrer = urlsplit(headers.pop("Referer", ""))
        if referrer.path.startswith(self._prefix()) and "token=" not in referrer.query:
            headers["Referer"] = referrer.geturl()
        return headers

    def proxy_request_options(self) -> dict[str, Any]:
        return {**super().proxy_request_options(), "connect_timeout": 5.0}

    def add_header(self, name: str, value: Any) -> None:
        safe = self._safe(name, value)
        if safe is not None:
            super().add_header(name, safe)

    def _set_safe_header(self, name: str, value: Any) -> None:
        safe = self._safe(name, value)
        if safe is not None:
            self._set_header(name, safe)

    def _flush_confined(self, include_footers: bool = False) -> None:
        visitor = getattr(self.current_user, "username", None)
        if visitor != read_topology().user and not self._headers_written:
            super().add_header("Content-Security-Policy", SANDBOX)
        self._flush(include_footers)

    def _safe(self, name: str, value: Any) -> Any:
        """The header's value as the visitor may get it, or None."""
        if name.lower() in ORIGIN_WIDE:
            return None
        if name.lower() != "set-cookie":
            return value
        # the hub's login sets cookies by this handler, too: those are ours, not the machine's
        ours = [cookie.OutputString(None) for cookie in getattr(self, "_new_cookie", {}).values()]
        return value if value in ours else self._confined(value)

    def _confined(self, value: str) -> str | None:
        """A machine's cookie, for its own pages only; None for one that would pass for ours."""
        name = value.partition("=")[0].strip()
        if not name or PRIVATE_COOKIES.match(name):
            return None
        parts = [p for p in value.split(";") if p.partition("=")[0].strip().lower() not in ("path", "domain")]
        return ";".join([*parts, f" Path={self._prefix()}"])

    def _prefix(self) -> str:
        host, port = self.path_args[:2]
        return self._get_context_path(host, port).rstrip("/") + "/"

    def _machine(self, host: str) -> Machine:
        topology = read_topology()
        try:
            return next(
                (m for m in topology.machines if host in (m.host, f"{m.name}.{m.lab}")), None
            ) or topology.find(host)
        except UnknownMachine as error:
            raise web.HTTPError(403, str(error)) from None

    def _explain(self, machine: Machine, port: str, error: Exception) -> None:
        self.log.info("No page from %s:%s: %s", machine.host, port, error)
        if isinstance(error, ConnectionRefusedError):
            what = f"Nothing listens on port {port} of {machine.title}."
            do = "Start your server, have it listen on 0.0.0.0 (not on 127.0.0.1 alone), then reload."
        elif self.address and "during request" in str(error):
            what = f"The server on port {port} of {machine.title} took too long to answer."
            do = "Look at its log in a terminal on the machine, then reload this page."
        elif self.address and "imeout" not in str(error) and getattr(error, "errno", None) not in _FAR:
            what = f"What listens on port {port} of {machine.title} sends no page."
            do = "Is it a web server? Look at its log in a terminal on the machine, then reload."
        else:
            what = f"{machine.title} does not answer on port {port}."
            do = "Open a terminal on it: that starts it, if it does not run. Then reload this page."
        self.set_status(502, "Bad Gateway")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(PAGE.format(what=html.escape(what), do=html.escape(do)))


async def resolve(topology: Topology, machine: Machine) -> str:
    """The address of a machine on a network that the workspace shares with its machines.

    Raises:
        OSError: it has none now; a name that leads anywhere else, to the hub's network, to our own
            host or out into the world, counts as none.
    """
    hub = urlsplit(topology.service_url).hostname or "localhost"
    return await asyncio.to_thread(_resolve, machine.host, hub)


def _resolve(host: str, hub: str) -> str:
    address = ipaddress.IPv4Address(socket.gethostbyname(host))
    forbidden = ipaddress.IPv4Address(socket.gethostbyname(hub))
    for network in attached_networks():
        # A network's first address is its gateway: the host on which all this runs.
        if address in network and forbidden not in network and address != network[1]:
            return str(address)
    raise OSError(f"{host} is {address}, which is on none of the student's networks")


def attached_networks() -> list[ipaddress.IPv4Network]:
    """The networks that this host is on itself, from the kernel's routing table."""
    networks = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        _, target, gateway, _, _, _, _, mask, *_ = line.split()
        if int(gateway, 16) == 0 and int(mask, 16) != 0:
            network, netmask = (ipaddress.IPv4Address(bytes.fromhex(x)[::-1]) for x in (target, mask))
            networks.append(ipaddress.IPv4Network(f"{network}/{netmask}"))
    return [n for n in networks if not n.is_link_local and not n.is_loopback]


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{what}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 20vh auto; padding: 0 1rem;
         color: #222; background: #fff }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #eee; background: #111 }} }}
</style>
<h1>{what}</h1>
<p>{do}</p>
<p><a href="">Reload</a></p>
</html>
"""
"""What a visitor sees instead of a page that cannot be had."""


def load(app: Any) -> None:
    """Load jupyter-server-proxy into a Jupyter server, with our handler where it would proxy to any host.

    The first handler that fits an address gets it, so jupyter-server-proxy may not be loaded before
    us: our configuration switches it off as an extension of its own.
    """
    base = app.web_app.settings["base_url"]
    app.web_app.add_handlers(
        ".*",
        [
            (
                url_path_join(base, rf"/proxy{kind}/([^/:@]+):(\d+)(/.*|)"),
                MachineProxyHandler,
                {"absolute_url": bool(kind)},
            )
            for kind in ("", "/absolute")
        ],
    )
    jupyter_server_proxy._load_jupyter_server_extension(app)
