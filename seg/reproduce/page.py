"""The results page: Markdown with the scores and all that is needed to judge them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg.evaluation.report import markdown_table
from seg.reproduce.plan import ResultRow
from seg.reproduce.steps import ROOT, Record, Step

QUICK = """**A test of the steps: every training was cut short after one epoch of a few views.
These numbers mean nothing.**"""
PROTOCOL = """One training of each recipe, seed 0. Measured on the images of `{data}` that
`apps/evaluate.py` takes for validation (24 of Penn-Fudan's 170, by a fixed rule), which no training
saw. Every score is of one confusion matrix of all their pixels, at the images' own size; people
whom the data set leaves unlabeled count as errors where they are found. In parentheses: the
bootstrap 95 % interval, which is wide with so few images.

*Last epoch* was not chosen by these images. *Best epoch by these images* was, as in the
tutorial, and is therefore too optimistic. Minutes are wall clock of the training command, computing
the features included; downloads, evaluation and a distilled network's teacher are not.
`lite` as shipped was trained on more images than these (weights/person-lite.md).
[metrics.md](metrics.md) says what the scores are."""

SCORES = ("foreground_iou", "miou", "boundary_iou")
CLASSES = """One training of each kind, seed 0, on the same images, measured on those of `val/`. In
parentheses: the bootstrap 95 % interval over images. Rates were not tuned on them."""


def render_page(
    steps: Sequence[Step],
    rows: Sequence[ResultRow],
    records: Mapping[str, Record],
    about: Mapping[str, str],
    *,
    data: str,
    quick: bool,
    class_rows: Sequence[ResultRow] = (),
) -> str:
    """Returns the page.

    Args:
        steps: All steps, in order.
        rows: The lines of the table; the JSON files of their evaluations exist.
        records: What is known of each step, by name.
        about: Machine, versions and the like, human-readable.
        data: Name of the data set.
        quick: Whether the trainings were cut short.
        class_rows: The lines of the table of classifiers; empty: there is none.
    """
    lines = ["# Results", "", "Written by `make reproduce`; nothing here is filled in by hand.", ""]
    lines += [QUICK, ""] if quick else []
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", PROTOCOL.format(data=data), ""]
    heads = ["model", "fitted into", "person IoU", "mIoU", "boundary IoU", "minutes of training"]
    lines += markdown_table(heads, [_cells(row, records, SCORES) for row in rows])
    if class_rows:
        lines += ["", "## Whole images", "", CLASSES, ""]
        heads = ["model", "cropped to", "top-1", "minutes of training"]
        lines += markdown_table(heads, [_cells(row, records, ("top1",)) for row in class_rows])
    lines += ["", "## Commands", "", "In this order, each as a user may type it:", ""]
    lines += [f"    {without_local_paths(step.line)}" for step in steps]
    return "\n".join(lines) + "\n"


def _cells(row: ResultRow, records: Mapping[str, Record], keys: Sequence[str]) -> list[str]:
    report = json.loads(row.evaluation.output.read_text("utf-8"))
    scores = [_score(report, key) for key in keys]
    minutes = _minutes(records[row.training.name]) if row.training else "-"
    return [row.model, row.size, *scores, minutes]


def _score(report: Mapping[str, Any], key: str) -> str:
    """Returns a score and its interval in %, or a dash where it has none."""
    low, high = report["intervals_95"][key]
    if None in (report[key], low, high):
        return "-"
    return f"{100 * report[key]:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _minutes(record: Record) -> str:
    """Returns a training's minutes; those of a killed run were not counted."""
    return f"{'' if record.is_timing_complete else 'over '}{record.seconds / 60:.1f}"


def without_local_paths(text: str) -> str:
    """Returns a command without the checkout's place, and with this user's home folder as `~`."""
    return text.replace(f"{ROOT}/", "").replace(str(Path.home()), "~")
