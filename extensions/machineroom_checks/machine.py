"""A machine as a check sees it: testinfra's Host over a run's channel, and a record of what was seen."""

import base64
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from .facts import way

Ask = Callable[..., dict[str, Any]]
"""Asks the runner to run a command on a machine: `ask(machine, command, timeout)`."""

SHOWN = 200
"""So many characters of an output or value stand in a sentence for the student."""

_LOOKS = frozenset(
    """
    apt cat curl crontab date df dig dpkg du getent groups head host hostname id ip journalctl last ls lsblk
    mount nginx nproc pgrep pip ping ps python python3 readlink runlevel ss stat systemctl tail timedatectl
    tree uname uptime wc wget which who whoami
    """.split()  # noqa: SIM905
)
"""Programs that show something; their command lines may be told to the student. Others compare, and
hold what is asked for: `grep -q 8080 …`."""


_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Unreachable(Exception):
    """A machine cannot be reached: its text is for the student."""


class Sight:
    """What a check has looked at so far, as phrases for the student."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] = []
        self._depth = 0
        self.stderr = ""

    def clear(self) -> None:
        """Forget everything: the next check begins."""
        self._seen.clear()
        self._depth = 0

    @contextlib.contextmanager
    def quietly(self) -> Iterator[bool]:
        """Looks within are part of a larger one, and not noted; yields whether this one is noted itself."""
        self._depth += 1
        try:
            yield self._depth == 1
        finally:
            self._depth -= 1

    def look(self, subject: str, phrase: Callable[[Any], str], read: Callable[[], Any]) -> Any:
        """The value of `read()`, noted as `phrase(value)` unless it is part of a larger look."""
        with self.quietly() as noted:
            try:
                value = read()
            except (AssertionError, RuntimeError):
                if noted:
                    self._note(subject, f"could not be read ({self._why()})")
                raise
            if noted:
                self._note(subject, phrase(value))
            return value

    def _note(self, subject: str, phrase: str) -> None:
        if (subject, phrase) not in self._seen:
            self._seen.append((subject, phrase))

    def _why(self) -> str:
        """What the last command complained of: of `stat: …: No such file or directory` the last part."""
        lines = self.stderr.strip().splitlines()
        return lines[-1].rpartition(": ")[2][:SHOWN] if lines else "an unexpected answer"

    def sentence(self) -> str:
        """The last three things that were seen, such as "file /srv/notes: exists, mode 0755"."""
        parts: list[str] = []
        before = None
        for subject, phrase in self._seen[-3:]:
            if subject == before:
                parts[-1] += f", {phrase}"
            else:
                parts.append(f"{subject}: {phrase}")
            before = subject
        return "; ".join(parts)


class Backend(BaseBackend):
    """testinfra's way to a machine: every command is asked of the runner."""

    NAME = "machineroom"

    def __init__(self, name: str, ask: Ask) -> None:
        super().__init__(name)
        self._ask = ask

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        text = self.get_command(command, *args)
        answer = self._ask(self.hostname, text, kwargs.get("timeout"))
        if "error" in answer:
            raise Unreachable(answer["error"])
        stdout, stderr = (base64.b64decode(answer[stream]) for stream in ("stdout", "stderr"))
        return self.result(answer["rc"], text.encode(), stdout, stderr)

    def decode(self, data: bytes) -> str:
        return data.decode("utf-8", "replace")

    def encode(self, data: str) -> bytes:
        return data.encode("utf-8", "replace")


class Machine(Host):
    """testinfra's Host, which also notes what is looked at. `address` is its IP address.

    `run` takes `timeout=` in seconds, besides testinfra's arguments.
    """

    def __init__(self, name: str, address: str, ask: Ask, sight: Sight) -> None:
        self.name = name
        self.address = address
        self._sight = sight
        super().__init__(Backend(name, ask))
        self.backend.set_host(self)

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        def read() -> CommandResult:
            result = self.backend.run(command, *args, **kwargs)
            self._sight.stderr = result.stderr
            return result

        return self._sight.look(_told(self.backend.get_command(command, *args)), _outcome, read)

    def exists(self, command: str) -> bool:
        return self._sight.look(
            f"command {command}",
            lambda value: _phrase("exists", value),
            lambda: self._has(command),
        )

    def find_command(self, command: str, extrapaths: Iterable[str] = ()) -> str:
        """The command as it is: a path would mean the machine's own, the bare name means ours."""
        del extrapaths
        return command

    def _has(self, command: str) -> bool:
        """Whether the machine has a program: the shell that we ask has others of its own."""
        paths = [command] if "/" in command else [f"{folder}/{command}" for folder in _PROGRAMS]
        question = " || ".join(["{ [ -f %s ] && [ -x %s ]; }"] * len(paths))
        return self.backend.run(question, *[path for path in paths for _ in range(2)]).rc == 0

    def __getattr__(self, name: str) -> Any:
        with self._sight.quietly():
            module = way(self, name) or super().__getattr__(name)
        if isinstance(module, type):
            module = _noted(module, name.replace("_", " "), self._sight)
            setattr(self, name, module)
        return module


def _noted(module: type, kind: str, sight: Sight) -> type:
    """`module`, such as testinfra's File, with every public look at an instance noted."""

    def subject(instance: Any) -> str:
        given = [str(value) for value in vars(instance)["_given"]]
        return " ".join([kind, *given])

    def initialise(instance: Any, *args: Any, **kwargs: Any) -> None:
        vars(instance)["_given"] = (*args, *kwargs.values())
        module.__init__(instance, *args, **kwargs)  # type: ignore[misc]

    def attribute(name: str, member: Any) -> property:
        def get(instance: Any) -> Any:
            return sight.look(
                subject(instance),
                lambda value: _phrase(name, value),
                lambda: member.__get__(instance, module),
            )

        return property(get)

    def method(name: str, member: Callable[..., Any]) -> Callable[..., Any]:
        def call(instance: Any, *args: Any, **kwargs: Any) -> Any:
            return sight.look(
                subject(instance),
                lambda value: _phrase(name, value),
                lambda: member(instance, *args, **kwargs),
            )

        return call

    members: dict[str, Any] = {"__init__": initialise}
    for name in dir(module):
        member = inspect.getattr_static(module, name)
        if name.startswith("_"):
            continue
        if isinstance(member, (property, functools.cached_property)):
            members[name] = attribute(name, member)
        elif inspect.isfunction(member):
            members[name] = method(name, member)
    return type(module.__name__, (module,), members)


class Machines(Mapping[str, Machine]):
    """The machines of the lab, by name."""

    def __init__(self, addresses: Mapping[str, str], ask: Ask, sight: Sight) -> None:
        self._machines = {name: Machine(name, address, ask, sight) for name, address in addresses.items()}

    def __getitem__(self, name: str) -> Machine:
        if name not in self._machines:
            raise LookupError(f"this lab has no machine '{name}'; it has: {', '.join(self) or 'none'}")
        return self._machines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._machines)

    def __len__(self) -> int:
        return len(self._machines)


class Output(str):
    """What Root'n'Roll's `s.run` gives: the standard output as a str without white space around it."""

    command: str
    stdout: str
    stderr: str
    return_code: int

    @property
    def rc(self) -> int:
        return self.return_code

    @property
    def succeeded(self) -> bool:
        return self.return_code == 0

    @property
    def failed(self) -> bool:
        return self.return_code != 0


class RootNRoll:
    """Root'n'Roll's fixture `s`: the default machine, in the words of its check scripts."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.ip = machine.address

    def run(self, command: str) -> Output:
        """Run a shell command as root."""
        result = self._machine.run(command)
        output = Output(result.stdout.strip())
        output.command, output.stdout, output.stderr = command, str(output), result.stderr.strip()
        output.return_code = result.rc
        return output

    sudo = run


_WORDS = {
    "is_file": "a regular file",
    "is_directory": "a directory",
    "is_symlink": "a symbolic link",
    "is_pipe": "a pipe",
    "is_socket": "a socket",
    "contains": "with what is asked for in it",
    "user": "owner",
    "content_string": "content",
}


def _phrase(name: str, value: Any) -> str:
    """What a look at the attribute `name` gave, in words."""
    if name == "mode" and isinstance(value, int):
        return f"mode {value:04o}"
    words = _WORDS.get(name, name.removeprefix("is_").replace("_", " "))
    if name == "exists":
        return "exists" if value else "does not exist"
    if isinstance(value, bool):
        return words if value else f"not {words}"
    return f"{words} {_short(value)}"


def _outcome(result: CommandResult) -> str:
    output = result.stdout.strip() or result.stderr.strip()
    printed = f"printed {_short(output)}" if output else "printed nothing"
    if result.rc == -1:
        return f"did not end in time; {printed}"
    return f"{printed} and exited {result.rc}"


def _told(command: str) -> str:
    """How a command is named to the student, who must not read from it what is asked for."""
    if len(command) <= SHOWN and not set(command) & set("|&;<>()$`\\\"'*?[]{}!#\n"):
        words = command.split()
        if words and words[0] in _LOOKS:
            return f"`{command}`"
    return "a command that looks at it"


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
