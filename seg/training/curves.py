"""Curves: a run's losses and scores over its epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from seg.files.atomic import atomic_write
from seg.training.run import Row


def draw_curves(history: Sequence[Row], metrics: Mapping[str, str], path: Path) -> None:
    """Writes losses and scores as an image."""
    with atomic_write(path) as part:
        curves(history, metrics).savefig(part, dpi=100)


def curves(history: Sequence[Row], metrics: Mapping[str, str]) -> Figure:
    """Draws losses on the left and scores on the right.

    Args:
        history: The log's rows, at least one.
        metrics: The scores by column, and what they are called.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    losses = {"train_loss": "training", "val_loss": "validation"}
    scores = {key: label for key, label in metrics.items() if key not in losses}
    for axes, columns in ((left, losses), (right, scores)):
        for key, label in columns.items():
            if key in history[0]:
                axes.plot(epochs, [row[key] for row in history], label=label, marker=".")
        axes.legend()
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="validation", ylim=(0, 1))
    return figure
