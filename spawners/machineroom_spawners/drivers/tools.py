"""The tools that commands on machines use: busybox, the kit, and what is left to the machine itself."""

import re
from dataclasses import dataclass
from typing import Self

from .objects import TOOLS

BUSYBOX = f"{TOOLS}/busybox"

KIT = f"{TOOLS}/kit/bin"
"""Tools of Debian's that run no code of the machine's; `machineroom_hub.images.kit` makes them."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a machine's own programs are. A session has the kit before these; scripts that are to run as a
student would run them set it back."""

ENVIRONMENT = (
    f"PATH={PATH}",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "SHELL=/bin/bash",
    "LANG=C.UTF-8",
)

FROM_THE_MACHINE = re.compile(
    r"\b(adduser|addgroup|crontab|date|deluser|delgroup|dpkg|free|halt|hostname|init|ip|last|less|logger|man"
    r"|mount|passwd|ping|poweroff|ps|reboot|su|sysctl|tar|top|wget|who)\b"
)
"""Applets of busybox that differ too much from Debian's tools: the kit's or the machine's are taken."""

_SEARCH = re.compile(r"(?<![-\w/.])(command\s+-[vV]|which|type|hash)\b")
"""Asks whether the machine has a program, to which the kit must not say yes."""

_WORD = re.compile(r"[a-z][a-z0-9-]*")

INVENTORY = f"{BUSYBOX} --list; echo /; cd {KIT} && echo *"
"""The command that `Tools.of` reads the answer of."""


@dataclass(frozen=True)
class Tools:
    """What the tools folder of a machine holds: busybox's applets, and the programs of the kit."""

    applets: frozenset[str] = frozenset()
    kit: frozenset[str] = frozenset()

    @classmethod
    def of(cls, inventory: str) -> Self:
        applets, _, kit = inventory.partition("\n/\n")
        return cls(frozenset(applets.split()), frozenset(kit.split()) - {"*", "sh"})

    def __bool__(self) -> bool:
        return bool(self.applets)

    def ours(self, command: str) -> frozenset[str]:
        """The tools that `command` does not get from the machine."""
        kept = frozenset(tool for tool in self.applets if not FROM_THE_MACHINE.fullmatch(tool))
        return kept | self._kit(command)

    def preferred(self, command: str) -> str:
        """Shell code that puts the kit before busybox, and busybox before the machine, as far as it goes."""
        if not self:
            return ":"
        kit = self._kit(command)
        first = "".join(
            f'{tool}() {{ {KIT}/{tool} "$@"; }}; '
            for tool in sorted(kit & self.applets & set(_WORD.findall(command)))
        )
        own = "".join(
            f'for d in /usr/bin /usr/sbin /bin /sbin; do [ -x $d/{tool} ] && eval "{tool}() {{ $d/{tool} '
            f'\\"\\$@\\"; }}" && break; done; '
            for tool in sorted(set(FROM_THE_MACHINE.findall(command)) - kit)
        )
        return (f"PATH={KIT}:$PATH; " if kit else "") + first + own

    def _kit(self, command: str) -> frozenset[str]:
        """The kit's programs, none of which counts where the machine is asked what it has."""
        return frozenset() if _SEARCH.search(command) else self.kit
