"""Proxy, hub and service as background processes, watched and restarted by supervisord.

Each is a process of its own so that restarting one leaves the others alone: shells and
notebooks do not pass through hub or service at all.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from ..room import SOURCE, Room
from . import HostError

PROGRAMS = ("proxy", "hub", "service")


@dataclass(frozen=True)
class Program:
    """A program that supervisord runs: its name, its command, and environment of its own."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]


def programs(room: Room, gateway: str, proxy: Path, node: Path) -> list[Program]:
    """The room's programs. `gateway` is the hub network's address of this host.

    What a program was started from stands in its environment, so that a changed clone, another
    address or a new course, whose scopes the hub reads at its start, restarts just the programs
    that it concerns.
    """
    public = ["--ip", "127.0.0.1", "--port", str(room.port)]
    if room.subdomains:
        public.append("--host-routing")
    api = ("--api-ip", "127.0.0.1", "--api-port", str(room.proxy_api_port))
    hub = f"http://{gateway}:{room.hub_port}/hub"
    python = (sys.executable, "-m")
    config = str(SOURCE / "hub_config" / "jupyterhub_config.py")
    state = {
        "MACHINEROOM_STATE": str(room.state),
        "MACHINEROOM_CODE": code_digest(),
        "MACHINEROOM_URL": room.url,
        "PYTHONFAULTHANDLER": "1",  # what ends in C code says where, in its log
    }
    courses = {
        "MACHINEROOM_COURSES": ",".join(sorted(p.parent.name for p in room.courses.glob("*/course.yml")))
    }
    return [
        Program(
            "proxy",
            (str(node), str(proxy), *public, *api, "--error-target", f"{hub}/error", "--log-level", "warn"),
            {"CONFIGPROXY_AUTH_TOKEN": room.token("proxy")},
        ),
        Program("hub", (*python, "jupyterhub", "--config", config), {**state, **courses}),
        Program(
            "service",
            (*python, "machineroom_hub.service", "--host", gateway, "--hub-api-url", f"{hub}/api"),
            state,
        ),
    ]


def code_digest() -> str:
    """A digest of all Python that hub and service run from this clone."""
    digest = hashlib.sha256()
    for root in ("hub_config", "spawners", "extensions"):
        for path in sorted((SOURCE / root).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def configuration(room: Room, chosen: list[Program]) -> str:
    """The text of supervisord's configuration. Pure."""
    socket, pid = room.run / "supervisor.sock", room.run / "supervisord.pid"
    parts = [
        f"[unix_http_server]\nfile={socket}\nchmod=0600\n",
        f"[supervisord]\nlogfile={room.logs / 'supervisord.log'}\npidfile={pid}\nchildlogdir={room.logs}\n"
        "logfile_maxbytes=1MB\nlogfile_backups=2\n",
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n",
        f"[supervisorctl]\nserverurl=unix://{socket}\n",
    ]
    for program in chosen:
        environment = ",".join(f'{k}="{_literal(v)}"' for k, v in program.environment.items())
        parts.append(
            f"[program:{program.name}]\n"
            f"command={' '.join(_literal(word) for word in program.command)}\n"
            f"directory={room.state / 'run'}\n"
            f"environment={environment}\n"
            f"stdout_logfile={room.logs / program.name}.log\n"
            "stdout_logfile_maxbytes=10MB\nstdout_logfile_backups=3\nredirect_stderr=true\n"
            # a crash loop goes on, slower and slower: what was missing may come back
            "autorestart=true\nstartsecs=2\nstartretries=1000\nstopasgroup=true\nkillasgroup=true\nstopwaitsecs=20\n"
        )
    return "\n".join(parts)


def start(room: Room, chosen: list[Program]) -> None:
    """Start supervisord and the programs, or bring running ones to a changed configuration."""
    for folder in (room.run, room.logs):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = room.run / "supervisord.conf"
    text = configuration(room, chosen)
    changed = not path.is_file() or path.read_text() != text
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
    if _rpc(room) is None:
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        if done.returncode:
            raise HostError(f"supervisord did not start: {done.stdout}{done.stderr}")
    elif changed:
        control(room, "update")
    for name, state in states(room).items():
        if state in ("STOPPED", "EXITED", "FATAL"):
            control(room, "start", name)


def restart(room: Room, *names: str) -> None:
    """Restart some of the programs; what they serve comes back by itself."""
    control(room, "restart", *names)


def stop(room: Room) -> None:
    """Stop all programs and supervisord itself."""
    proxy = _rpc(room)
    if proxy is None:
        return
    pid: Any = proxy.supervisor.getPID()
    proxy.supervisor.shutdown()
    # it stops answering before its programs have ended
    wait(lambda: not Path(f"/proc/{pid}/root").exists(), 60, f"supervisord (process {pid}) does not end")


def states(room: Room) -> dict[str, str]:
    """Each program's state in supervisord's words; empty when supervisord does not run."""
    proxy = _rpc(room)
    if proxy is None:
        return {}
    infos: Any = proxy.supervisor.getAllProcessInfo()
    return {str(info["name"]): str(info["statename"]) for info in infos}


def control(room: Room, *words: str) -> None:
    """Have supervisorctl do something. Raises HostError with its words."""
    conf = str(room.run / "supervisord.conf")
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ERROR" in done.stdout:
        raise HostError(f"{' '.join(words)}: {done.stdout.strip()}; see ./machineroom logs {words[-1]}")


def wait(ready: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Wait until `ready()`. Raises HostError with the complaint when it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise HostError(complaint)
        time.sleep(0.1)


def _rpc(room: Room) -> ServerProxy | None:
    socket = room.run / "supervisor.sock"
    proxy = ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{socket}"))
    try:
        proxy.supervisor.getState()
    except (OSError, Fault):
        return None
    return proxy


def _literal(word: str) -> str:
    return word.replace("%", "%%")
