"""A figure: the same thing measured several times, ours and stock's."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = ["figure", "ours", "stock", "times better", "runs", "stock is"]


@dataclass
class Figure:
    """What was measured in which unit: every run of ours and of stock's, and what stock is here.

    >>> spawn = Figure("spawn", "s", ours=[2.0, 4.0, 3.0], stock=[6.0], against="DockerSpawner")
    >>> spawn.row()
    ['spawn', '3.00 s', '6.00 s', '2.00×', '3/1', 'DockerSpawner']
    """

    name: str
    unit: str
    against: str = ""
    more_is_better: bool = False
    ours: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the medians has to know, such as how many of stock's did not come up at all."""

    @property
    def better(self) -> float | None:
        """How many times better our median is than stock's; below 1, ours is worse. None without both."""
        if not self.ours or not self.stock:
            return None
        ours, stock = statistics.median(self.ours), statistics.median(self.stock)
        small, large = (stock, ours) if self.more_is_better else (ours, stock)
        return large / small if small > 0 else None

    def row(self) -> list[str]:
        """The figure as cells of the table, in the order of `COLUMNS`."""
        better = f"{self.better:.2f}×" if self.better is not None else "–"
        runs = f"{len(self.ours)}/{len(self.stock)}"
        said = "; ".join(filter(None, [self.against, *self.notes]))
        return [self.name, _median(self.ours, self.unit), _median(self.stock, self.unit), better, runs, said]

    def plain(self) -> dict[str, Any]:
        """The figure for JSON, with every run."""
        return {
            "name": self.name,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "ours": self.ours,
            "stock": self.stock,
            "better": self.better,
            "against": self.against,
            "notes": self.notes,
        }


def _median(runs: list[float], unit: str) -> str:
    if not runs:
        return "–"
    value = statistics.median(runs)
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f} {unit}"


def plot(figures: list[Figure], path: Path) -> None:
    """Draw every figure that has both sides as a bar: how many times better than stock."""
    import matplotlib as mpl  # half a second, which only this needs

    mpl.use("Agg")
    from matplotlib import pyplot

    better = {figure.name: figure.better for figure in figures if figure.better is not None}
    shape, axes = pyplot.subplots(figsize=(9, 0.4 * len(better) + 1.6), layout="constrained")
    colours = ["#1b7f5c" if value >= 1 else "#b3541e" for value in better.values()]
    bars = axes.barh(list(better), [value - 1 for value in better.values()], left=1, color=colours)
    axes.bar_label(bars, [f"{value:.2f}×" for value in better.values()], padding=3)
    axes.axvline(1, color="#444", linewidth=1)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xlabel("times better than stock's median (right of the line: better)")
    axes.invert_yaxis()
    try:
        shape.savefig(path)
    finally:
        pyplot.close(shape)
