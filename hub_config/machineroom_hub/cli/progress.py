"""Progress on the terminal: a bar per image, a line per machine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from machineroom_spawners.drivers.base import Progress
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from .common import status_console


def _bars() -> Bars:
    return Bars(
        TextColumn("{task.fields[name]:<14}"),
        BarColumn(24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.description}"),
        console=status_console,
        disable=not status_console.is_terminal,  # a log gets lines
    )


@contextmanager
def many() -> Iterator[Callable[[str, int, str], None]]:
    """A bar for each name that is told of: `told(name, percent, sentence)`."""
    with ExitStack() as shown:
        bars = _bars()
        known: dict[str, TaskID] = {}
        spoken: dict[str, str] = {}
        lock = Lock()

        def told(name: str, percent: int, sentence: str) -> None:
            with lock:
                if not known:
                    shown.enter_context(bars)  # not before: an error may be all that there is to show
                if name not in known:
                    known[name] = bars.add_task("", total=100, name=name)
            bars.update(known[name], completed=percent, description=sentence)
            headline = sentence.partition(":")[0]
            if not status_console.is_terminal and spoken.get(name) != headline:
                status_console.print(f"  {name}: {headline}")  # a log wants lines, few of them, and no bars
            spoken[name] = headline

        yield told


@contextmanager
def one(name: str) -> Iterator[Progress]:
    """A single bar, for a driver's `progress` argument."""
    with many() as told:
        yield lambda percent, sentence: told(name, percent, sentence)
