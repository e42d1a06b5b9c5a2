"""testinfra's modules as they must be where the student is root: each asks what cannot be put on for it.

testinfra chooses its ways by what it finds on the machine (a line in `/etc/os-release`, a program called
`apk`, a folder), and so would let the student choose. Machines are Debian; here the way is given.
"""

from typing import Any

from testinfra.modules.base import InstanceModule, Module
from testinfra.modules.file import GNUFile
from testinfra.modules.package import DebianPackage
from testinfra.modules.process import PosixProcess
from testinfra.modules.service import SystemdService, SysvService

READ, SUMMED = 1 << 10, 256 << 10
"""Files that are larger, in KB, are not read into a check, and not read through for a checksum."""

_PLAIN = (
    "[ ! -e %s ] || [ -f %s ] || {{ echo 'it is not a plain file' >&2; exit 1; }}; "
    "! find -L %s -maxdepth 0 -size +{largest}k 2>/dev/null | grep -q . || "
    "{{ echo 'it is larger than {largest} KB' >&2; exit 1; }}; "
)

_INSTALLED = """
cd /var/lib/dpkg/info
[ -f %s.list ] && list=%s.list || list=$(ls %s:*.list)
found=
while read -r path; do
    case $path in
        /usr/share/doc/*|/usr/share/man/*|/usr/share/info/*|/usr/share/locale/*|/usr/share/lintian/*) ;;
        /usr/*|/bin/*|/sbin/*|/lib*)
            [ -e "$path" ] || [ -L "$path" ] || [ -e "$path.distrib" ] || {
                echo "$path is missing" >&2
                exit 1
            }
            [ -d "$path" ] || found=1 ;;
    esac
done <"$list"
[ "$found" ] || { echo "none of its files is there" >&2; exit 1; }
"""


class NotRead(RuntimeError):
    """A file could not be read; the last command's stderr says why."""


class _File(GNUFile):
    """Content is read of plain files alone: a pipe would never end, and a sparse file hardly."""

    def _guarded(self, command: str, largest: int) -> Any:
        result = self.run(_PLAIN.format(largest=largest) + command, *[self.path] * 4)
        if result.rc != 0:
            raise NotRead(self.path)
        return result

    def _get_content(self, decode: bool) -> Any:
        result = self._guarded("cat -- %s", READ)
        return result.stdout if decode else result.stdout_bytes

    def contains(self, pattern: str) -> bool:
        """Whether a line of the file matches `pattern`, as grep understands it."""
        plain = f"[ -f %s ] && ! find -L %s -maxdepth 0 -size +{SUMMED}k | grep -q ."
        return self.run_test(f"{plain} && grep -qs -- %s %s", *[self.path] * 2, pattern, self.path).rc == 0

    @property
    def md5sum(self) -> str:
        return self._guarded("md5sum -- %s", SUMMED).stdout.split()[0]

    @property
    def sha256sum(self) -> str:
        return self._guarded("sha256sum -- %s", SUMMED).stdout.split()[0]


class _Package(DebianPackage):
    """A package is installed when dpkg says so and what it brought is there: its data base is a text file."""

    @property
    def is_installed(self) -> bool:
        said = self.run_test("dpkg-query -f '${Status}' -W %s", self.name)
        if said.rc != 0 or said.stdout.split()[-2:] != ["ok", "installed"]:
            return False
        return self.run(_INSTALLED, *[self.name] * 3).rc == 0


def _service(host: Any) -> type[Module]:
    """What the kernel runs as the first process says how services are asked after."""
    first = host.run("readlink /proc/1/exe").stdout.strip()
    return SystemdService if first.endswith("/systemd") else SysvService


def way(host: Any, name: str) -> Any | None:
    """Our module `name` for a host, or None where testinfra's own will do."""
    modules: dict[str, type[Module]] = {"file": _File, "package": _Package, "process": PosixProcess}
    module = _service(host) if name == "service" else modules.get(name)
    if module is None:
        return None
    made = type(module.__name__, (module,), {"_host": host})  # as `get_module` does once it has chosen
    return made() if issubclass(module, InstanceModule) else made
