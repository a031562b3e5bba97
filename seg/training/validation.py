"""What a training shows of itself: scores, curves, and overlays on validation pictures."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

from seg.data.samples import IGNORE, Sample
from seg.evaluation.evaluate import Evaluation
from seg.evaluation.figures import tile
from seg.evaluation.segmentation import evaluate_segmenter
from seg.files.atomic import atomic_write
from seg.imaging.letterbox import Letterbox
from seg.imaging.overlay import Overlay
from seg.metrics import SegmentationMetrics
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, Mask, UInt8
from seg.training.losses import segmentation_loss
from seg.training.run import Row, Run

TILE = 320
TILES = 8


def validate(
    segmenter: Segmenter, samples: Sequence[Sample]
) -> tuple[Evaluation[SegmentationMetrics], float]:
    """Measures a network on validation pictures.

    Returns:
        The evaluation, at the pictures' own size, and the mean cross-entropy on the canvas.
    """
    losses: list[float] = []

    def observe(logits: Float32, labels: UInt8, letterbox: Letterbox) -> None:
        packed = torch.from_numpy(letterbox.pack_labels(labels)).long()
        losses.append(float(segmentation_loss([torch.from_numpy(logits)[None]], packed[None])))

    return evaluate_segmenter(segmenter, samples, observe), float(np.mean(losses))


def draw(run: Run, segmenter: Segmenter, samples: Sequence[Sample]) -> None:
    """Writes the run's pictures: `curves.png` and `overlays.png`."""
    with atomic_write(run.folder / "curves.png") as part:
        curves(run.history).savefig(part, dpi=100)
    with atomic_write(run.folder / "overlays.png") as part:
        # Not imwrite, which leaves a cut file and says nothing where the disk is full.
        part.write_bytes(cv2.imencode(".png", contact_sheet(segmenter, samples))[1].tobytes())


def curves(history: Sequence[Row]) -> Figure:
    """Draws losses and IoU over the epochs."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for key, label in (("train_loss", "training"), ("val_loss", "validation")):
        left.plot(epochs, [row[key] for row in history], label=label, marker=".")
    for key, label in (("iou", "IoU of the foreground"), ("miou", "mIoU")):
        right.plot(epochs, [row[key] for row in history], label=label, marker=".")
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="validation IoU", ylim=(0, 1))
    left.legend()
    right.legend()
    return figure


def contact_sheet(segmenter: Segmenter, samples: Sequence[Sample]) -> UInt8:
    """Draws some validation pictures: the network's masks above, the labels below."""
    rows: list[list[UInt8]] = [[], []]
    for sample in samples[:: max(1, len(samples) // TILES)][:TILES]:
        image, labels = sample.load()
        known = np.where(labels == IGNORE, 0, labels)
        for row, mask in zip(rows, (segmenter(image), Mask(known, segmenter.classes)), strict=True):
            row.append(tile(Overlay().draw(image, mask), TILE))
    return np.vstack([np.hstack(row) for row in rows])
