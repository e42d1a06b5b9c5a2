"""The kit: Debian's own `ps`, `ip`, `systemctl`, … for looking at machines, out of their students' reach.

Busybox lacks some tools, and has others in words of its own. These are taken from the image `lab` with
every library that they need, and sealed: program loader, libraries and whatever else would be code are
looked for in the kit, which machines have read-only, and nowhere on the machine. `/etc/ld.so.preload`,
a library put in the place of another, a name service of the student's, OpenSSL's configuration: none of
it runs in them. What they *say* is another matter: `systemctl` asks the machine's init. See
`machineroom_spawners.drivers.trust`.
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import tarfile
from pathlib import Path

import docker
from machineroom_spawners.drivers.objects import TOOLS as MOUNTED
from machineroom_spawners.names import image as image_tag

from ..host.engine import TOOLS
from ..room import Room

IMAGE = "lab"
"""The image whose tools these are."""

KIT = f"{MOUNTED}/kit"
"""Where machines see the kit."""

PROGRAMS = """
    curl date dpkg dpkg-query findmnt free getent hostname ip journalctl lsblk lsof mount pgrep ping pkill ps
    pstree setpriv ss ssh ssh-keygen sysctl systemctl tar top uptime visudo w wget who
""".split()  # noqa: SIM905

_COLLECT = r"""
set -eu
mkdir -p /kit/real /kit/lib
for name; do
    path=$(command -v "$name") || continue
    cp -L "$path" "/kit/real/$name"
    ldd "$path" | sed -nE 's/^.* => (\/[^ ]+) .*$/\1/p; s/^\t(\/[^ ]+) .*$/\1/p' >>/kit/needed
done
sort -u /kit/needed | while read -r path; do cp -Lf "$path" /kit/lib/; done
rm /kit/needed
"""

_ASIDE = b"/sys/"
"""A folder that nobody can put anything into: paths that must lead nowhere are turned to it."""

_SYSTEMCTL = f"""#!{MOUNTED}/busybox sh
# Whether a unit is enabled is asked of its files, not of the machine's init. That a service runs is
# believed of init only while the kernel knows a process in the service's control group.
systemctl={KIT}/real/systemctl
case ${{1-}} in
    is-enabled) exec $systemctl --root=/ "$@" ;;
    is-active) shift ;;
    *) exec $systemctl "$@" ;;
esac
options= units= code=3
for word; do
    case $word in
        -*) options="$options $word" ;;
        *) units="$units $word" ;;
    esac
done
for unit in $units; do
    said=$($systemctl is-active $options -- "$unit")
    this=$?
    id=$($systemctl show -p Id -p SubState -- "$unit")
    state=${{id##*SubState=}}
    id=${{id#*Id=}} id=${{id%%
*}}
    case $this$id in
        0*.service) [ "$state" = exited ] || grep -qsF "/$id" /proc/[0-9]*/cgroup || said=inactive this=3 ;;
    esac
    [ -z "$said" ] || printf '%s\\n' "$said"
    [ $this = 0 ] && code=0
    [ $code = 0 ] || code=$this
done
exit $code
"""

_CURL = f"""#!{MOUNTED}/busybox sh
# without the ~/.curlrc of whoever has the machine
exec {KIT}/real/curl -q "$@"
"""

_WRAPPED = {"systemctl": _SYSTEMCTL, "curl": _CURL}


def install(client: docker.DockerClient, room: Room, tools: Path = TOOLS) -> Path:
    """Put the kit of the room's image `lab` into the folder `tools`, unless it is there already.

    All installations of a host share one; the one that was built last is everybody's.
    """
    image = client.images.get(image_tag(room.id, IMAGE))
    made_by = hashlib.sha256(Path(__file__).read_bytes() + str(image.id).encode())
    folder = tools / f"kit-{made_by.hexdigest()[:12]}"
    link = tools / "kit"
    with (tools / ".kit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            part = tools / "kit-part"
            shutil.rmtree(part, ignore_errors=True)
            _unpack(_collect(client, room, str(image.id)), part)
            part.rename(folder)
        if not link.is_symlink() or link.readlink() != Path(folder.name):
            new = tools / ".kit.new"
            new.unlink(missing_ok=True)
            new.symlink_to(folder.name)
            new.replace(link)
        for other in tools.glob("kit-*"):
            if other != folder:
                shutil.rmtree(other)
    return folder


def _collect(client: docker.DockerClient, room: Room, image: str) -> bytes:
    """The programs and their libraries, as the tar archive of a folder `kit`."""
    container = client.containers.create(
        image,
        entrypoint=["/bin/sh", "-c", _COLLECT, "collect"],
        command=PROGRAMS,
        name=f"mr-{room.id}-build-kit-{os.getpid()}",
        network_disabled=True,
    )
    try:
        container.start()
        code = container.wait(timeout=120)["StatusCode"]
        if code:
            said = container.logs(tail=10).decode(errors="replace").strip()
            raise RuntimeError(f"the tools for looking at machines could not be collected: {said}")
        chunks, _ = container.get_archive("/kit")
        return b"".join(chunks)
    finally:
        container.remove(force=True)


def _unpack(archive: bytes, folder: Path) -> None:
    """Write the kit, every file of it sealed."""
    for name in ("bin", "real", "lib"):
        (folder / name).mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {m.name.removeprefix("kit/"): tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
    loader = next(name for name in files if Path(name).name.startswith("ld-linux"))
    multiarch = _multiarch(files["lib/libc.so.6"])
    for name, data in files.items():
        if name == loader:
            # its own folder first, in which others find it by its name as well
            _write(folder / "ld.so", seal_loader(data, multiarch), 0o711)
            (folder / name).symlink_to("../ld.so")
        elif name.startswith("lib/"):
            _write(folder / name, seal(data, multiarch), 0o644)
        else:
            # executable only, like busybox: what runs from it cannot be traced by a student who is root
            _write(folder / name, seal(data, multiarch), 0o711)
            tool = Path(name).name
            if tool in _WRAPPED:
                _write(folder / "bin" / tool, _WRAPPED[tool].encode(), 0o755)
            else:
                (folder / "bin" / tool).symlink_to(f"../real/{tool}")
    (folder / "bin" / "sh").symlink_to("../../busybox")


def seal(data: bytes, multiarch: bytes) -> bytes:
    """A program or library that looks for code in the kit alone: its loader, and no path to other code."""
    data = re.sub(
        rb"/lib(?:64)?/ld-linux[-\w]*\.so\.\d(?=\0)", lambda m: _fit(f"{KIT}/ld.so".encode(), m), data
    )
    for path in (b"/usr/lib/" + multiarch + b"/", b"/usr/lib/locale", b"/usr/lib/ssl", b"/usr/libexec/"):
        data = data.replace(path, _ASIDE.ljust(len(path), b"/"))
    return data


def seal_loader(data: bytes, multiarch: bytes) -> bytes:
    """The program loader, which finds libraries in the kit alone and preloads nothing."""
    home = f"{KIT}/lib/".encode()
    turned = {
        b"/usr/lib/" + multiarch + b"/": home,
        b"/lib/" + multiarch + b"/": home,
        b"\0/usr/lib/\0": b"\0" + _ASIDE,
        b"\0/lib/\0": b"\0" + _ASIDE,
        b"/etc/ld.so.preload": _ASIDE,
        b"/etc/ld.so.cache": _ASIDE,
    }
    for path, to in turned.items():
        if path not in data:
            raise RuntimeError(f"this program loader knows no {path!r}: it cannot be sealed")
        end = b"\0" if path.endswith(b"\0") else b""
        data = data.replace(path, to.ljust(len(path) - len(end), b"/") + end)
    return data


def _fit(path: bytes, match: re.Match[bytes]) -> bytes:
    return path.ljust(len(match[0]), b"\0")


def _multiarch(libc: bytes) -> bytes:
    """Debian's name of the architecture, such as x86_64-linux-gnu, as its libc spells it."""
    found = re.search(rb"/usr/lib/([a-z0-9_]+-linux-gnu\w*)/gconv", libc)
    if not found:
        raise RuntimeError("this is not Debian's libc: the tools for looking at machines cannot be sealed")
    return found[1]


def _write(path: Path, data: bytes, mode: int) -> None:
    path.write_bytes(data)
    path.chmod(mode)
