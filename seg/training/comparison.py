"""Comparison: what several trainings scored, as a table with intervals and as an image.

A training is compared by its last epoch: its best on the validation images would flatter it.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

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
# Overrides, fold, and the last row of the log.
Result = tuple[str, int, Row]


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What the folds of one choice of options score together.

    Attributes:
        overrides: As the trial's.
        means: Mean of each score over the folds.
        margins: Half the 95 % interval of each mean; NaN where there is one fold.
        num_folds: How many there are.
    """

    overrides: str
    means: Row
    margins: Row
    num_folds: int


def summarize(results: Sequence[Result], metrics: Mapping[str, str]) -> list[Summary]:
    """Puts the folds of each choice of options together, by the metrics of the task."""
    found: dict[str, list[Row]] = {}
    for overrides, _, row in results:
        found.setdefault(overrides, []).append(row)
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
    return float(np.mean(scores)), T_975[count - 2] * deviation / math.sqrt(count)


def table(summaries: Sequence[Summary], metrics: Mapping[str, str]) -> str:
    """Returns the summaries as a Markdown table, the best by the first metric first."""
    heads = ["options", "folds", *metrics.values()]
    rows = []
    for summary in _ranked(summaries, metrics):
        cells = [summary.overrides or "-", str(summary.num_folds)]
        for key in metrics:
            margin = summary.margins[key]
            extra = "" if math.isnan(margin) else f" ± {margin:.4f}"
            cells.append(f"{summary.means[key]:.4f}{extra}")
        rows.append(cells)
    lines = markdown_table(heads, rows)
    if any(summary.num_folds > 1 for summary in summaries):
        lines += ["", "± is half the 95 % interval of the mean over the folds, by Student's t."]
    return "\n".join(lines)


def draw_comparison(summaries: Sequence[Summary], metrics: Mapping[str, str]) -> Figure:
    """Draws the first metric of each choice of options, the best above, with its interval."""
    key, label = next(iter(metrics.items()))
    ranked = _ranked(summaries, metrics)[::-1]
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    margins = [0 if math.isnan(s.margins[key]) else s.margins[key] for s in ranked]
    axes.errorbar([s.means[key] for s in ranked], range(len(ranked)), xerr=margins, fmt="o")
    axes.set_yticks(range(len(ranked)), [s.overrides or "all folds" for s in ranked])
    axes.set(xlabel=f"validation {label}, last epoch", ylim=(-0.5, len(ranked) - 0.5))
    axes.grid(axis="x")
    return figure


def write(folder: Path, results: Sequence[Result], metrics: Mapping[str, str]) -> str:
    """Writes `trials.csv`, `trials.md` and `trials.png`; returns the table."""
    summaries = summarize(results, metrics)
    text = table(summaries, metrics)
    rows: list[dict[str, float | str]] = []
    for overrides, fold, row in results:
        about: dict[str, float | str] = {
            "overrides": overrides,
            "fold": fold,
            "epochs": row["epoch"],
        }
        rows.append(about | {key: row[key] for key in metrics})
    write_csv(folder / "trials.csv", rows)
    with atomic_write(folder / "trials.md") as part:
        part.write_text(text + "\n", "utf-8")
    with atomic_write(folder / "trials.png") as part:
        draw_comparison(summaries, metrics).savefig(part, dpi=100)
    return text


def _ranked(summaries: Sequence[Summary], metrics: Mapping[str, str]) -> list[Summary]:
    first = next(iter(metrics))
    return sorted(summaries, key=lambda summary: -summary.means[first])
