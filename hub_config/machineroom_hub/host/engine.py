"""The Docker engine: found, installed from the distribution, or started where there is no systemd.

An engine that was here before us is never restarted and never reconfigured unasked. What it
lacks is said together with the change that mends it, and made only on `--configure-docker`.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from . import HostError, packages

RUNTIME = "machineroom"
LIB = Path("/usr/local/lib/machineroom")
RUNTIME_PATH = LIB / "machineroom-runc"
TOOLS = LIB / "tools"
DAEMON_JSON = Path("/etc/docker/daemon.json")
PID = Path("/run/machineroom-dockerd.pid")
"""The process of an engine that we started ourselves, and for whom; absent when it is the host's own."""
DATA = Path("/var/lib/docker")
OLDEST = (20, 10)

Say = Callable[[str], None]


def client(timeout: int = 120) -> docker.DockerClient | None:
    """A client of the engine, or None when none answers."""
    try:
        found = docker.from_env(timeout=timeout)
        found.ping()
    except (DockerException, OSError):
        return None
    return found


def ensure(say: Say, owner: str, *, configure: bool = False) -> docker.DockerClient:
    """An engine that answers, is new enough, and knows our OCI runtime.

    `owner` is who may stop it again, should it have to be started: a room's id, or "test".

    Raises:
        HostError: with the change that it takes; `configure` allows us to make that change.
    """
    install_files()
    engine = client()
    if engine is None:
        if elsewhere := os.environ.get("DOCKER_HOST"):
            raise HostError(
                f"no Docker engine answers at DOCKER_HOST={elsewhere}, and one that you chose is not ours to "
                "start: start it, or unset DOCKER_HOST to use this host's own"
            )
        if not shutil.which("dockerd"):
            write_daemon_json()  # before the package starts it, so that it need not be restarted
            packages.install(["docker.io"], say)
        start(say, owner)
        engine = client()
    if engine is None:
        raise HostError("the Docker engine does not answer on its socket; see `journalctl -u docker`")
    version = str(engine.version()["Version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise HostError(f"the Docker engine is {version}; Machineroom needs 20.10 or newer")
    if not has_runtime(engine):
        if not configure:
            raise HostError(runtime_advice())
        add_runtime(engine, say)
    return engine


def install_files() -> None:
    """Put the OCI runtime and the tools that machines get where the engine finds them."""
    from machineroom_spawners import runtime

    TOOLS.mkdir(parents=True, exist_ok=True)
    busybox = next(Path(f) for f in packages.NEEDED["busybox-static"] if Path(f).exists())
    # who may run busybox but not read it cannot read its descriptors or environment either (user namespaces)
    for source, target, mode in (
        (Path(runtime.__file__), RUNTIME_PATH, 0o755),
        (busybox, TOOLS / "busybox", 0o711),
    ):
        if target.is_file() and target.read_bytes() == source.read_bytes():
            target.chmod(mode)
            continue
        part = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, part)
        part.chmod(mode)
        part.replace(target)  # machines may be running with the old one: replaced, never rewritten


def has_runtime(engine: docker.DockerClient) -> bool:
    """Whether the engine knows our OCI runtime, under which systemd boots in machines."""
    return RUNTIME in (engine.info().get("Runtimes") or {})


def daemon_settings(current: dict) -> dict:
    """`daemon.json` with our runtime in it, all else as it was."""
    runtimes = {**current.get("runtimes", {}), RUNTIME: {"path": str(RUNTIME_PATH)}}
    return {**current, "runtimes": runtimes}


def runtime_advice() -> str:
    """What to tell the owner of an engine that lacks our runtime."""
    change = json.dumps({"runtimes": {RUNTIME: {"path": str(RUNTIME_PATH)}}})
    return (
        f"the Docker engine does not know the OCI runtime '{RUNTIME}', under which systemd boots inside a "
        f"machine without privileges. It wants this in {DAEMON_JSON}:\n    {change}\n"
        "and then a reload (no restart, containers go on): kill -HUP $(pidof dockerd)\n"
        "`./machineroom up --configure-docker` does both."
    )


def add_runtime(engine: docker.DockerClient, say: Say) -> None:
    """Add our runtime to `daemon.json` and let the running engine read it again."""
    say(f"Adding the runtime '{RUNTIME}' to {DAEMON_JSON} and reloading the engine")
    current = json.loads(DAEMON_JSON.read_text()) if DAEMON_JSON.is_file() else {}
    if DAEMON_JSON.is_file():
        shutil.copy2(DAEMON_JSON, DAEMON_JSON.with_suffix(".json.before-machineroom"))
    _write(daemon_settings(current))
    for pid in _pids("dockerd"):
        os.kill(pid, signal.SIGHUP)
    _wait(
        lambda: has_runtime(engine), 10, f"the engine did not take up the runtime; is {DAEMON_JSON} in use?"
    )


def write_daemon_json() -> None:
    """Settings for an engine that we are about to install: runtime, user namespaces, live restore."""
    if not DAEMON_JSON.is_file():
        _write({**daemon_settings({}), "userns-remap": "default", "live-restore": True})


def start(say: Say, owner: str) -> None:
    """Start the installed engine: by systemd where it runs, else as a process of our own."""
    if Path("/run/systemd/system").is_dir():
        say("Starting the Docker engine (systemctl start docker)")
        subprocess.run(["systemctl", "start", "docker"], check=False)
        _wait(lambda: client() is not None, 60, "see `journalctl -u docker`")
        return
    say("Starting the Docker engine (no systemd here: as a process of its own)")
    log = Path("/var/log/machineroom-dockerd.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["dockerd", *start_flags()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    PID.write_text(f"{process.pid} {owner}")

    def answers() -> bool:
        if process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            raise HostError(f"dockerd ended at once:\n{tail}\nIts whole log is {log}")
        return client() is not None

    _wait(answers, 60, f"its log is {log}")


def start_flags() -> list[str]:
    """Flags for an engine that we start: our runtime; user namespaces unless older images would vanish."""
    settings = json.loads(DAEMON_JSON.read_text()) if DAEMON_JSON.is_file() else {}
    flags = [] if "runtimes" in settings else [f"--add-runtime={RUNTIME}={RUNTIME_PATH}"]
    remapped_before = any(DATA.glob("[0-9]*.[0-9]*"))
    used_before = (DATA / "image").exists() or (DATA / "containers").exists()
    if "userns-remap" not in settings and (remapped_before or not used_before):
        flags.append("--userns-remap=default")
    return flags


def stop(say: Say, owner: str) -> bool:
    """Stop the engine if it was started for `owner` and nothing runs in it; says whether it was stopped."""
    if not PID.is_file():
        return False
    number, _, started_for = PID.read_text().partition(" ")
    pid = int(number)
    engine = client(timeout=10)
    if started_for != owner or not _alive(pid) or (engine and engine.containers.list()):
        return False
    say("Stopping the Docker engine that Machineroom started")
    os.kill(pid, signal.SIGTERM)
    _wait(lambda: not _alive(pid), 60, "dockerd does not end")
    PID.unlink(missing_ok=True)
    return True


def purge(engine: Any, room_id: str) -> None:
    """Remove every container, network and volume of a room; its images are for `images.remove_images`."""
    ours = {"label": f"machineroom.room={room_id}"}
    for container in engine.containers.list(all=True, filters=ours, ignore_removed=True):
        with contextlib.suppress(NotFound):  # stopped by its hub just now, which removes it
            container.remove(force=True, v=True)
    for network in engine.networks.list(filters=ours):
        network.remove()
    for volume in engine.volumes.list(filters=ours):
        volume.remove(force=True)


def _write(settings: dict) -> None:
    DAEMON_JSON.parent.mkdir(parents=True, exist_ok=True)
    part = DAEMON_JSON.with_suffix(".json.part")
    part.write_text(json.dumps(settings, indent=2) + "\n")
    part.replace(DAEMON_JSON)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # it may be our own child
    try:
        return "dockerd" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _pids(program: str) -> list[int]:
    found = subprocess.run(["pidof", program], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def _wait(ready: Callable[[], bool], seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise HostError(f"waited {seconds:.0f} s for the Docker engine in vain: {complaint}")
        time.sleep(0.2)
