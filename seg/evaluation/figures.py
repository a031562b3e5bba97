"""Figures: the confusion matrix, and the images that a model does worst on."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.data.samples import IGNORE, Sample
from seg.errors import EngineMissing
from seg.evaluation.evaluate import Evaluation
from seg.files.atomic import atomic_write
from seg.imaging.annotators import Caption
from seg.imaging.contact_sheet import tile
from seg.imaging.overlay import Overlay
from seg.metrics import SegmentationMetrics
from seg.predictors.segmenter import Segmenter
from seg.results import Mask, UInt8

TILE, ROWS = 320, 12
# Colors are BGR.
MISSED, FALSE_POSITIVE, WRONG_CLASS = (60, 60, 235), (235, 130, 40), (40, 215, 235)
LEGEND = "red: missed, blue: false positive, yellow: wrong class"
CONFUSION, WORST = "confusion.png", "worst.png"


def require_matplotlib() -> None:
    """Raises EngineMissing unless matplotlib, which draws the matrix, is installed."""
    try:
        importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise EngineMissing("--figures needs matplotlib: pip install matplotlib") from error


def write_figures(
    folder: Path,
    evaluation: Evaluation[SegmentationMetrics],
    segmenter: Segmenter,
    samples: Sequence[Sample],
) -> None:
    """Writes `confusion.png` and `worst.png` into a folder, each whole or not at all.

    Args:
        folder: Made where it is missing.
        evaluation: Of these samples.
        segmenter: The model that was measured; it runs again on the worst images.
        samples: Images with labels.

    Raises:
        EngineMissing: matplotlib, which draws the matrix, is not installed.
        ArtifactError: The folder cannot be written to.
    """
    with atomic_write(folder / CONFUSION) as part:
        draw_confusion(part, evaluation.metrics.confusion.counts, evaluation.classes)
    chosen = [samples[index] for index in evaluation.worst_first[:ROWS]]
    if chosen:
        with atomic_write(folder / WORST) as part:
            # Not imwrite, which leaves a cut file and says nothing where the disk is full.
            sheet = np.vstack([error_row(segmenter, one) for one in chosen])
            part.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())


def draw_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Draws a confusion matrix; each row is a true class and its shares add up to 1.

    Args:
        path: A PNG.
        counts: int64 `(C, C)`, rows are true classes.
        classes: C names.

    Raises:
        EngineMissing: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 3 + min(0.45 * len(classes), 25)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="labeled")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= 25:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=color)
    figure.savefig(path, dpi=100)


def error_row(segmenter: Segmenter, sample: Sample) -> UInt8:
    """Draws an image three times side by side: its labels, the prediction, the errors."""
    image, labels = sample.load()
    mask = segmenter(image)
    known = Mask(np.where(labels == IGNORE, 0, labels).astype(np.uint8), mask.classes)
    overlay = Overlay()
    drawn = (
        (overlay.draw(image, known), sample.name),
        (overlay.draw(image, mask), "prediction"),
        (error_map(image, labels, mask.labels), LEGEND),
    )
    return np.hstack([_captioned(tile(part, TILE), text) for part, text in drawn])


def error_map(image: UInt8, labels: UInt8, predicted: UInt8) -> UInt8:
    """Paints the wrong pixels onto the image in gray; 255 in the labels is never wrong.

    Args:
        image: uint8 `(H, W, 3)` BGR.
        labels: uint8 `(H, W)`, true classes or 255.
        predicted: uint8 `(H, W)`.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    painted = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8) // 2 + 64
    wrong = (labels != predicted) & (labels != IGNORE)
    painted[wrong & (predicted == 0)] = MISSED
    painted[wrong & (labels == 0)] = FALSE_POSITIVE
    painted[wrong & (predicted > 0) & (labels > 0)] = WRONG_CLASS
    return painted


def _captioned(image: UInt8, text: str) -> UInt8:
    return Overlay().draw(image, Caption(text))
