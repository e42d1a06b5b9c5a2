"""The way in to a server: by ssh, with the service's key, to the pinned host key and no other."""

import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from ...keys import host_key, service_key
from ...spec import MachineRef, MachineSpec
from ..base import MachineError
from ..ssh import MemoryFile, SshSession, is_ssh
from ..tools import PATH
from . import userdata

SETUP_SECONDS = 600.0
SETUP = "/var/lib/machineroom-setup"


class Door:
    """Sessions on the servers of an installation, by the keys that follow from its `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._key = MemoryFile(service_key(secret).private)

    def user_data(self, spec: MachineSpec) -> str:
        """What makes a new server let us in, and be known by its host key."""
        ref = spec.ref
        pinned = host_key(self._secret, ref.owner, ref.course, ref.lab, ref.machine).private
        service = service_key(self._secret).public
        return userdata.script(uuid4().hex, spec.authorized_key, service, pinned)

    def session(self, ref: MachineRef, address: Callable[[], str]) -> SshSession:
        """A session on the machine that is reached at `address`."""
        pinned = host_key(self._secret, ref.owner, ref.course, ref.lab, ref.machine).public
        return SshSession(address, str(ref), self._key, pinned)

    def answers(self, ref: MachineRef, address: str, patience: float) -> bool:
        """Whether root gets in at `address`, to the right machine, waited for."""
        end = time.monotonic() + patience
        with self.session(ref, lambda: address) as session:
            while True:
                if is_ssh(address, 2.0):
                    with suppress(MachineError):
                        if session.run("true", timeout=10).rc == 0:
                            return True
                if time.monotonic() > end:
                    return False
                time.sleep(1)

    def set_up(self, spec: MachineSpec, address: str) -> None:
        """Run the lab's set-up script on the machine. Raises MachineError with what it said."""
        end = f"end-{uuid4().hex}"
        put = f"umask 077; mkdir -p /var/lib; cat >{SETUP} <<'{end}'\n{spec.setup}\n{end}\nchmod 700 {SETUP}"
        run = f"export DEBIAN_FRONTEND=noninteractive PATH={PATH}; {SETUP}; set -- $?; rm -f {SETUP}; exit $1"
        with self.session(spec.ref, lambda: address) as session:
            result = session.run(put)
            if result.rc == 0:
                result = session.run(run, timeout=SETUP_SECONDS)
        if result.rc:
            how = f"did not end within {SETUP_SECONDS:g} s" if result.timed_out else f"ended with {result.rc}"
            said = (result.stdout + result.stderr).decode(errors="replace").strip()[-2000:]
            raise MachineError(f"{spec.ref}: its set-up script {how}; mend it. It said:\n{said}")
