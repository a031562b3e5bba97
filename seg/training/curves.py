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
    """Draws the parts of the loss on the left and the scores on the right.

    A part that the validation measures, too, is drawn dashed in the same color: these two can be
    compared. The sums cannot, where training has parts that validation has not.

    Args:
        history: The log's rows, at least one.
        metrics: The scores by column, and what they are called.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for index, name in enumerate(loss_parts(history[0])):
        for key, style in ((f"train_{name}", "-"), (f"val_{name}", "--")):
            if key in history[0]:
                values = [row[key] for row in history]
                label = f"{name}, {'training' if style == '-' else 'validation'}"
                left.plot(epochs, values, style, color=f"C{index}", label=label, marker=".")
    for key, label in metrics.items():
        if key in history[0] and not key.startswith("val_"):
            right.plot(epochs, [row[key] for row in history], label=label, marker=".")
    for axes in (left, right):
        if axes.lines:
            axes.legend()
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="validation", ylim=(0, 1))
    return figure


def loss_parts(row: Row) -> list[str]:
    """Returns the parts of the loss that a row of the log has, without their sum."""
    names = [key.partition("_")[2] for key in row if key.startswith(("train_", "val_"))]
    return [name for name in dict.fromkeys(names) if name != "loss"]
