"""A figure: the same thing measured several times, ours and stock's."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Figure:
    """What was measured, in which unit, ours and stock's runs; `against` says what stock is here."""

    name: str
    unit: str
    ours: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    against: str = ""

    @property
    def ratio(self) -> float | None:
        """Stock's median over ours: above 1, ours is that many times quicker or smaller."""
        if not self.ours or not self.stock or statistics.median(self.ours) == 0:
            return None
        return statistics.median(self.stock) / statistics.median(self.ours)

    def row(self) -> list[str]:
        """The figure as cells of the table: name, our median, stock's, ratio, what stock is, runs."""
        ratio = f"{self.ratio:.2f}×" if self.ratio else "–"
        runs = f"{len(self.ours)}/{len(self.stock)}"
        return [self.name, _median(self.ours, self.unit), _median(self.stock, self.unit), ratio, self.against, runs]

    def plain(self) -> dict[str, Any]:
        """The figure for JSON, every run included."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "stock": self.stock,
            "ratio": self.ratio,
            "against": self.against,
        }


COLUMNS = ["figure", "ours", "stock", "stock/ours", "stock is", "runs"]


def _median(runs: list[float], unit: str) -> str:
    return f"{statistics.median(runs):.3g} {unit}" if runs else "–"


def plot(figures: list[Figure], path: Path) -> None:
    """Draw every figure that has both sides as a bar: ours relative to stock's median."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    both = [f for f in figures if f.ratio]
    shape, axes = pyplot.subplots(figsize=(9, 0.45 * len(both) + 1.4), layout="constrained")
    relative = [1 / f.ratio for f in both if f.ratio]
    axes.barh([f.name for f in both], relative, color=["#1b7f5c" if r <= 1 else "#b3541e" for r in relative])
    axes.axvline(1, color="#444", linewidth=1)
    axes.set_xlabel("ours, as a share of stock's median (left of the line: less)")
    axes.invert_yaxis()
    shape.savefig(path)
    pyplot.close(shape)
