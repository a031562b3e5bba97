"""Validation of a segmentation network: its scores, and overlays on validation images."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from seg.data.samples import IGNORE, Sample
from seg.evaluation.segmentation import evaluate_segmenter
from seg.files.atomic import atomic_write
from seg.imaging.contact_sheet import tile
from seg.imaging.letterbox import Letterbox
from seg.imaging.overlay import Overlay
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, Mask, UInt8
from seg.training.losses import PLAIN, segmentation_losses
from seg.training.tasks.segmentation_config import LossWeights

TILE = 320
TILES = 8


def validate(
    segmenter: Segmenter, samples: Sequence[Sample], weights: LossWeights = PLAIN
) -> dict[str, float]:
    """Measures a network on validation images.

    Args:
        segmenter: The network as the apps run it.
        samples: The images.
        weights: Of the losses, as in training; auxiliary heads do not count.

    Returns:
        `val_loss`, the mean loss on the canvas, its parts as `val_ce` and so on, and `iou` of the
        foreground, `miou` and `pixel_accuracy` at the images' own size.
    """
    losses: dict[str, list[float]] = {}

    def observe(logits: Float32, labels: UInt8, letterbox: Letterbox) -> None:
        packed = torch.from_numpy(letterbox.pack_labels(labels)).long()
        parts = segmentation_losses([torch.from_numpy(logits)[None]], packed[None], weights)
        for name, part in parts.items():
            losses.setdefault(f"val_{name}", []).append(float(part))

    scores = evaluate_segmenter(segmenter, samples, observe).scores
    means = {name: float(np.mean(values)) for name, values in losses.items()}
    return {
        "val_loss": sum(means.values()),
        **means,
        "iou": scores["foreground_iou"],
        "miou": scores["miou"],
        "pixel_accuracy": scores["pixel_accuracy"],
    }


def draw_overlays(segmenter: Segmenter, samples: Sequence[Sample], path: Path) -> None:
    """Writes some validation images with the network's masks, and below them the labels."""
    with atomic_write(path) as part:
        # Not imwrite, which leaves a cut file and says nothing where the disk is full.
        part.write_bytes(cv2.imencode(".png", contact_sheet(segmenter, samples))[1].tobytes())


def contact_sheet(segmenter: Segmenter, samples: Sequence[Sample]) -> UInt8:
    """Draws some validation images: the network's masks above, the labels below."""
    rows: list[list[UInt8]] = [[], []]
    for sample in samples[:: max(1, len(samples) // TILES)][:TILES]:
        image, labels = sample.load()
        known = np.where(labels == IGNORE, 0, labels)
        for row, mask in zip(rows, (segmenter(image), Mask(known, segmenter.classes)), strict=True):
            row.append(tile(Overlay().draw(image, mask), TILE))
    return np.vstack([np.hstack(row) for row in rows])
