"""A chart of accuracy against frames per second, with the Pareto front."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from seg.benchmark.report import BenchmarkRow, pareto_front


def draw(rows: Sequence[BenchmarkRow], path: Path, about: str) -> None:
    """Draws the chart; rows without IoU are lines at their rate.

    Args:
        rows: What was measured.
        path: Ends in `.png` or `.svg`.
        about: What it was measured on, written below.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    best = pareto_front(rows)
    axes.plot([row.fps for row in best], [row.iou or 0.0 for row in best], color="0.8")
    for row in rows:
        if row.iou is None:
            axes.axvline(row.fps, color="0.5", linestyle=":", label=row.name)
        else:
            axes.plot(row.fps, row.iou, "o", label=row.name)
    # Beside the axes: names at the points would cover each other where engines draw equal masks.
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    axes.set_xscale("log")
    axes.set_xlabel(f"frames per second, end to end\n{about}")
    axes.set_ylabel("foreground IoU")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
