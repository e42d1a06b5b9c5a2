"""What keeps a run of checks to itself: namespaces, a file system of its own, no rights, and limits.

Needs root, and gives it up. The fork server enters its file system once; each run gets its own
processes, folder and user id, so runs see neither each other nor anything of the host's but the
operating system and Python.
"""

import ctypes
import os
import resource
import sys
import sysconfig
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_NEWNS, _NEWUTS, _NEWIPC, _NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 1, 2, 4, 8, 32
_BIND, _REC, _PRIVATE, _DETACH = 4096, 16384, 1 << 18, 2
_SET_PDEATHSIG, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _SIGKILL = 1, 24, 38, 9

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/etc", "/run/systemd/resolve")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

FOLDER = "/checks"
"""The one folder that a run may write to: its check files, home and temporary files. 32 MB."""

FIRST_USER, USERS = 61184, 4096
"""Runs get their user ids from here: systemd's range for users that exist while a process does."""

LIMITS = {
    resource.RLIMIT_AS: 512 << 20,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 16 << 20,
    resource.RLIMIT_NOFILE: 256,
    resource.RLIMIT_NPROC: 24,
}


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode())
    _check(result, f"mount {source} on {target}")


def enter_file_system() -> None:
    """Leave the host's files for good: only the operating system and this Python remain, read-only."""
    _check(_libc.unshare(_NEWNS), "unshare")
    _mount("none", "/", "", _REC | _PRIVATE)
    root = "/sys"  # a folder that is always there and holds nothing we need; only we see the mount
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    for path in _visible():
        _show(path, root)
    for name in ("proc", FOLDER):
        Path(f"{root}/{name}").mkdir()
    for device in _DEVICES:
        target = Path(root + device)
        target.parent.mkdir(exist_ok=True)
        target.touch()
        _mount(device, str(target), "", _BIND)
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _DETACH), "umount")
    os.chdir("/")
    _mount("none", "/", "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _visible() -> list[Path]:
    """The folders of the system and of this Python, none within another; some are links."""
    wanted = [
        Path(p) for p in (*_SYSTEM, sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *sys.path)
    ]
    shown: list[Path] = []
    for path in sorted({p for p in wanted if p.is_absolute() and p.exists()}):
        if not any(path.is_relative_to(other) and not other.is_symlink() for other in shown):
            shown.append(path)
    return shown


def _show(path: Path, root: str) -> None:
    """Let `path` appear below `root`, read-only; who may enter the folders above it no longer matters."""
    target = Path(f"{root}{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and path.parent == Path("/"):
        target.symlink_to(path.readlink())
        return
    if path.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    _mount(str(path), str(target), "", _BIND | _REC)
    _mount("none", str(target), "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def new_namespaces() -> None:
    """Put what this process forks next into namespaces of its own, as their first process."""
    _check(_libc.unshare(_NEWNS | _NEWUTS | _NEWIPC | _NEWPID), "unshare")


def own_folders() -> None:
    """As the first process of a run: its own /proc and `FOLDER`, which end with the run."""
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _mount("tmpfs", FOLDER, "tmpfs", _NOSUID | _NODEV, "mode=1777,size=32m,nr_inodes=4096")


def die_with_parent() -> None:
    """Be killed when the process that forked this one ends."""
    _check(_libc.prctl(_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl")


def drop_rights(user: int, cpu_seconds: int) -> None:
    """Become the user id `user`, with no capability and no way to gain one, under the limits."""
    Path("/proc/self/oom_score_adj").write_text("1000")
    for kind, limit in {**LIMITS, resource.RLIMIT_CPU: cpu_seconds}.items():
        resource.setrlimit(kind, (limit, limit))
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        _check(_libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _check(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
