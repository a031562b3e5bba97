"""Comparison: what several trainings scored, as a table with intervals and as an image.

A training is compared by its last epoch: its best on the validation images would flatter it.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from seg.evaluation.report import markdown_table
from seg.files.atomic import atomic_write
from seg.training.run import Row, write_csv

# Student's t at 97.5 %, for 1 to 19 degrees of freedom.
T_975: tuple[float, ...] = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)
MOST_FOLDS = len(T_975) + 1


class Result(NamedTuple):
    """What one of several trainings scored.

    Attributes:
        overrides: What differs from others, but for fold and seed.
        fold: From 1; 0 is the data's own split.
        row: The last row of its log.
        seed: Its seed.
    """

    overrides: str
    fold: int
    row: Row
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What the runs of one choice of options score together: its folds and seeds.

    Attributes:
        overrides: As the trial's.
        means: Mean of each score over the runs.
        margins: Half the 95 % interval of each mean; NaN where there is one run.
        num_runs: How many there are.
    """

    overrides: str
    means: Row
    margins: Row
    num_runs: int


def summarize(results: Sequence[Result], metrics: Mapping[str, str]) -> list[Summary]:
    """Puts the runs of each choice of options together, by the metrics of the task."""
    found: dict[str, list[Row]] = {}
    for result in results:
        found.setdefault(result.overrides, []).append(result.row)
    summaries = []
    for overrides, group in found.items():
        ends = {key: mean_and_margin([row[key] for row in group]) for key in metrics}
        means, margins = ({key: pair[i] for key, pair in ends.items()} for i in (0, 1))
        summaries.append(Summary(overrides, means, margins, len(group)))
    return summaries


def mean_and_margin(scores: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and half its 95 % interval, by Student's t; NaN for a single score.

    Folds share images to learn from, so the true interval is somewhat wider: Bengio and
    Grandvalet, 2004.
    """
    count = len(scores)
    if count < 2:
        return float(np.mean(scores)), math.nan
    deviation = float(np.std(scores, ddof=1))
    return float(np.mean(scores)), T_975[min(count, MOST_FOLDS) - 2] * deviation / math.sqrt(count)


def table(summaries: Sequence[Summary], metrics: Mapping[str, str]) -> str:
    """Returns the summaries as a Markdown table, the best by the first metric first."""
    heads = ["options", "runs", *metrics.values()]
    rows = []
    for summary in _ranked(summaries, metrics):
        cells = [summary.overrides or "-", str(summary.num_runs)]
        for key in metrics:
            margin = summary.margins[key]
            extra = "" if math.isnan(margin) else f" ± {margin:.4f}"
            cells.append(f"{summary.means[key]:.4f}{extra}")
        rows.append(cells)
    lines = markdown_table(heads, rows)
    if any(summary.num_runs > 1 for summary in summaries):
        lines += ["", "± is half the 95 % interval of the mean over the runs, by Student's t."]
    return "\n".join(lines)


def draw_comparison(summaries: Sequence[Summary], metrics: Mapping[str, str]) -> Figure:
    """Draws the first metric of each choice of options, the best above, with its interval."""
    key, label = next(iter(metrics.items()))
    ranked = _ranked(summaries, metrics)[::-1]
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    margins = [0 if math.isnan(s.margins[key]) else s.margins[key] for s in ranked]
    axes.errorbar([s.means[key] for s in ranked], range(len(ranked)), xerr=margins, fmt="o")
    axes.set_yticks(range(len(ranked)), [s.overrides or "all runs" for s in ranked])
    axes.set(xlabel=f"validation {label}, last epoch", ylim=(-0.5, len(ranked) - 0.5))
    axes.grid(axis="x")
    return figure


def draw_histories(histories: Mapping[str, Sequence[Sequence[Row]]], monitor: str) -> Figure:
    """Draws training loss and monitored score over the epochs, a color for each choice of options.

    Args:
        histories: The logs of the runs of each choice, one line each.
        monitor: The score's column.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, (name, runs) in enumerate(histories.items()):
        for number, history in enumerate(runs):
            epochs, label = [row["epoch"] for row in history], (name or "all runs") * (not number)
            for axes, key in ((left, "train_loss"), (right, monitor)):
                values = [row[key] for row in history]
                axes.plot(epochs, values, color=f"C{index}", label=label or None, alpha=0.7)
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right.set(xlabel="epoch", ylabel=f"validation {monitor}")
    right.legend()
    return figure


def write(folder: Path, results: Sequence[Result], metrics: Mapping[str, str]) -> str:
    """Writes `trials.csv`, `trials.md` and `trials.png`; returns the table."""
    summaries = summarize(results, metrics)
    text = table(summaries, metrics)
    rows: list[dict[str, float | str]] = []
    for result in results:
        about: dict[str, float | str] = {
            "overrides": result.overrides,
            "fold": result.fold,
            "seed": result.seed,
            "epochs": result.row["epoch"],
        }
        rows.append(about | {key: result.row[key] for key in metrics})
    write_csv(folder / "trials.csv", rows)
    with atomic_write(folder / "trials.md") as part:
        part.write_text(text + "\n", "utf-8")
    with atomic_write(folder / "trials.png") as part:
        draw_comparison(summaries, metrics).savefig(part, dpi=100)
    return text


def _ranked(summaries: Sequence[Summary], metrics: Mapping[str, str]) -> list[Summary]:
    first = next(iter(metrics))
    return sorted(summaries, key=lambda summary: -summary.means[first])
