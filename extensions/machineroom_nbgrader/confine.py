"""Run a command that reads the system and one folder, and nothing that belongs to whoever runs it.

A student's notebook is graded in the grader's workspace. Landlock (Linux 5.13) takes away from its kernel the
gradebook, other students' work, keys, other processes' environments, and since Linux 6.12 signals to them.
Used as a script: `python -I confine.py FOLDER HOME CONNECTION_FILE COMMAND…`; standard library only.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/opt", "/proc", "/sys")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "shm")
_PRIVATE = "/etc/machineroom"

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def available() -> int:
    """The version of Landlock that this host's kernel offers; 0 for none."""
    return max(0, _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def confine(readable: Iterator[Path], writable: Iterator[Path]) -> None:
    """From now on this process, and all that it starts, opens nothing but these. Raises OSError."""
    abi = available()
    everything = (1 << (13 if abi < 2 else 14 if abi < 3 else 15 if abi < 5 else 16)) - 1
    attributes = _Ruleset(everything, 0, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    for paths, access in ((readable, _READ), (writable, everything)):
        for path in paths:
            _allow(ruleset, path, access & everything)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    # root without capabilities: with them it would still read other processes' memory
    if _libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this system, or not for us anyway
        return
    try:
        rule = _PathBeneath(access if path.is_dir() else access & _ON_FILES, handle)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    result = _libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {errno.errorcode.get(code, code)}")
    return result


def _readable() -> Iterator[Path]:
    yield from map(Path, _SYSTEM)
    yield from (path for path in Path("/etc").iterdir() if str(path) != _PRIVATE)
    yield from map(Path, (sys.prefix, sys.base_prefix))
    yield from map(Path, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))


def main(folder: str, home: str, connection: str, *command: str) -> None:
    """Become `command`, which may write into `folder`, `home` and its `connection` file."""
    if available():
        writable = [Path(folder), Path(home), Path(connection), *(Path("/dev", name) for name in _DEVICES)]
        confine(_readable(), iter(writable))
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
