"""Comparison: what several trainings scored, as a table with intervals and as a picture.

A training is compared by its last epoch: its best on the validation images would flatter it.
"""

import dataclasses
import math
from collections.abc import Sequence
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
SCORES = ("iou", "miou", "pixel_accuracy", "val_loss")
# Choices, fold, and the last row of the log.
Result = tuple[str, int, Row]


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What the folds of one choice score together.

    Attributes:
        choices: As the trials'.
        means: Mean of each score over the folds.
        margins: Half the 95 % interval of each mean; NaN where there is one fold.
        num_folds: How many there are.
    """

    choices: str
    means: Row
    margins: Row
    num_folds: int


def summarize(results: Sequence[Result]) -> list[Summary]:
    """Puts the folds of each choice together."""
    found: dict[str, list[Row]] = {}
    for choices, _, row in results:
        found.setdefault(choices, []).append(row)
    summaries = []
    for choices, group in found.items():
        ends = {key: mean_and_margin([row[key] for row in group]) for key in SCORES}
        means, margins = ({key: pair[i] for key, pair in ends.items()} for i in (0, 1))
        summaries.append(Summary(choices, means, margins, len(group)))
    return summaries


def mean_and_margin(scores: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and half its 95 % interval, by Student's t; NaN for a single score.

    Folds share pictures to learn from, so the true interval is somewhat wider: Bengio and
    Grandvalet, 2004.
    """
    count = len(scores)
    if count < 2:
        return float(np.mean(scores)), math.nan
    deviation = float(np.std(scores, ddof=1))
    return float(np.mean(scores)), T_975[count - 2] * deviation / math.sqrt(count)


def table(summaries: Sequence[Summary]) -> str:
    """Returns the summaries as a Markdown table, the best IoU first."""
    heads = ["choices", "folds", "IoU", "mIoU", "pixel accuracy", "validation loss"]
    rows = []
    for summary in _ranked(summaries):
        cells = [summary.choices or "-", str(summary.num_folds)]
        for key in SCORES:
            margin = summary.margins[key]
            extra = "" if math.isnan(margin) else f" ± {margin:.4f}"
            cells.append(f"{summary.means[key]:.4f}{extra}")
        rows.append(cells)
    lines = markdown_table(heads, rows)
    if any(summary.num_folds > 1 for summary in summaries):
        lines += ["", "± is half the 95 % interval of the mean over the folds, by Student's t."]
    return "\n".join(lines)


def draw_comparison(summaries: Sequence[Summary]) -> Figure:
    """Draws the IoU of each choice, the best above, with its interval."""
    ranked = _ranked(summaries)[::-1]
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    margins = [0 if math.isnan(s.margins["iou"]) else s.margins["iou"] for s in ranked]
    axes.errorbar([s.means["iou"] for s in ranked], range(len(ranked)), xerr=margins, fmt="o")
    axes.set_yticks(range(len(ranked)), [s.choices or "all folds" for s in ranked])
    axes.set(xlabel="validation IoU of the foreground, last epoch", ylim=(-0.5, len(ranked) - 0.5))
    axes.grid(axis="x")
    return figure


def write(folder: Path, results: Sequence[Result]) -> str:
    """Writes `trials.csv`, `trials.md` and `trials.png`; returns the table."""
    summaries = summarize(results)
    text = table(summaries)
    rows: list[dict[str, float | str]] = []
    for choices, fold, row in results:
        about: dict[str, float | str] = {"choices": choices, "fold": fold, "epochs": row["epoch"]}
        rows.append(about | {key: row[key] for key in SCORES})
    write_csv(folder / "trials.csv", rows)
    with atomic_write(folder / "trials.md") as part:
        part.write_text(text + "\n", "utf-8")
    with atomic_write(folder / "trials.png") as part:
        draw_comparison(summaries).savefig(part, dpi=100)
    return text


def _ranked(summaries: Sequence[Summary]) -> list[Summary]:
    return sorted(summaries, key=lambda summary: -summary.means["iou"])
