"""Gain and cost of test-time variants: averaged scales, guided filters.

Differences are paired by image: a small sample moves all variants' scores up and down together, so
two intervals may overlap widely although one variant is better on every resample.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg.data.samples import Sample
from seg.evaluation.report import markdown_table
from seg.imaging.guided_filter import EPSILON, GuidedFilter, luminance
from seg.imaging.letterbox import hw_of
from seg.metrics import Interval, SegmentationMetrics, bootstrap_intervals
from seg.predictors.segmenter import Segmenter
from seg.predictors.tta import Prediction
from seg.progress import track
from seg.results import Float32, UInt8

SCORES = {"foreground_iou": "IoU", "boundary_iou": "boundary IoU", "boundary_f": "boundary F"}


@dataclasses.dataclass(frozen=True, slots=True)
class Variant:
    """A way to predict masks with a model.

    Attributes:
        name: Human-readable.
        tta: As for `Segmenter`.
        epsilon: Of a `GuidedFilter` on the scores; None: unfiltered.
        radius: Of its windows; None: a cell of the scores, as `Segmenter` has it.
    """

    name: str
    tta: int = 0
    epsilon: float | None = None
    radius: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """The scores of a variant.

    Attributes:
        variant: The variant.
        rows: Its metrics of each image, flat, `(N, K)`.
        num_classes: Of the model.
        ms: Median time of an image from frame to labels, without reading and scoring it.
    """

    variant: Variant
    rows: NDArray[np.float64]
    num_classes: int
    ms: float

    @property
    def scores(self) -> dict[str, float]:
        """The scores of `SCORES` over all images."""
        return _scores(self.rows.sum(0), self.num_classes)

    def gain(self, plain: "Result") -> dict[str, tuple[float, Interval]]:
        """Returns each score's difference from `plain`'s, with its bootstrap 95 % interval."""
        width = self.rows.shape[1]

        def difference(row: NDArray[np.float64]) -> dict[str, float]:
            mine, other = (_scores(part, self.num_classes) for part in (row[:width], row[width:]))
            return {key: mine[key] - other[key] for key in SCORES}

        pairs = np.hstack([self.rows, plain.rows])
        ranges = bootstrap_intervals(pairs, difference)
        return {key: (value, ranges[key]) for key, value in difference(pairs.sum(0)).items()}

    def to_dict(self, plain: "Result") -> dict[str, Any]:
        """Returns plain values for JSON: scores, and gains over another variant."""
        gains = {
            key: {"gain": value, "interval_95": list(interval)}
            for key, (value, interval) in self.gain(plain).items()
        }
        variant = dataclasses.asdict(self.variant)
        return variant | {"scores": self.scores, "gains": gains, "ms_per_image": self.ms}


def compare(
    plain: Segmenter, samples: Sequence[Sample], variants: Sequence[Variant]
) -> list[Result]:
    """Predicts every image with every variant and scores the masks.

    Args:
        plain: The model, without test-time augmentation; the variants share its runtime.
        samples: Images with labels.
        variants: At least one.
    """
    by_tta = {
        variant.tta: Segmenter(plain.runtime, input_hw=plain.input_hw, tta=variant.tta)
        for variant in variants
    }
    num_classes = len(plain.classes)
    metrics_by_variant: list[list[NDArray[np.float64]]] = [[] for _ in variants]
    seconds: list[list[float]] = [[] for _ in variants]
    for sample in track(samples, "comparing"):
        image, truth = sample.load()
        objects = sample.objects(hw_of(image))
        for index, variant in enumerate(variants):
            labels, elapsed = predict(by_tta[variant.tta], image, variant)
            metrics_by_variant[index].append(
                SegmentationMetrics.of_image(truth, labels, num_classes, objects).to_row()
            )
            seconds[index].append(elapsed)
    return [
        Result(variant, np.stack(rows), num_classes, 1000 * float(np.median(times)))
        for variant, rows, times in zip(variants, metrics_by_variant, seconds, strict=True)
    ]


def predict(segmenter: Segmenter, image: UInt8, variant: Variant) -> tuple[UInt8, float]:
    """Returns an image's labels and the seconds from frame to labels.

    Args:
        segmenter: With the variant's `tta`, unguided.
        image: uint8 `(H, W, 3)` BGR.
        variant: What to apply.
    """
    started = time.perf_counter()
    predictions = segmenter.predict_logits(image)
    spent = time.perf_counter() - started
    # A guided segmenter has these pixels at hand, so packing them again is not counted.
    pixels = [_network_input(segmenter, image, one) for one in predictions]
    started = time.perf_counter()
    if variant.epsilon:
        predictions = [
            dataclasses.replace(one, refine=_filter(one, inputs, variant))
            for one, inputs in zip(predictions, pixels, strict=True)
        ]
    labels = segmenter.decode(predictions)
    return labels, spent + time.perf_counter() - started


def _network_input(segmenter: Segmenter, image: UInt8, prediction: Prediction) -> Float32:
    """Returns the network's input for a prediction, without padding: `(1, 3, h, w)`."""
    frame = np.ascontiguousarray(image[:, ::-1]) if prediction.is_mirrored else image
    height, width = prediction.letterbox.image_hw
    return prediction.letterbox.pack(frame, segmenter.runtime.spec.pad_rgb)[:, :, :height, :width]


def _filter(prediction: Prediction, pixels: Float32, variant: Variant) -> GuidedFilter:
    cell = max(1, prediction.letterbox.canvas_hw[0] // prediction.logits.shape[1])
    return GuidedFilter(luminance(pixels), variant.radius or cell, variant.epsilon or EPSILON)


def _scores(row: NDArray[np.float64], num_classes: int) -> dict[str, float]:
    scores = SegmentationMetrics(num_classes).from_row(row).compute()
    return {key: scores[key] for key in SCORES}


def table(results: Sequence[Result]) -> list[str]:
    """Returns Markdown: the first variant's scores in %, the others' gains over it in points."""
    rows = []
    plain = results[0]
    for result in results:
        cells = [f"{100 * value:.2f}" for value in result.scores.values()]
        if result is not plain:
            gains = result.gain(plain).values()
            cells = [
                f"{100 * value:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
                for value, (low, high) in gains
            ]
        rows.append([result.variant.name, *cells, f"{result.ms:.1f}"])
    return markdown_table(["variant", *SCORES.values(), "ms per image"], rows)
