"""Quality: what other ways of drawing a model's masks gain over the plain one, and what they cost.

Differences are taken picture by picture: sets of few pictures move every way's score up and down
together, so two intervals may overlap widely where one way is better on each redrawn set.
"""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from seg.data.samples import Sample
from seg.evaluation.report import markdown_table
from seg.imaging.guided_filter import EPSILON, GuidedFilter, luminance
from seg.imaging.letterbox import hw_of
from seg.metrics import Interval, SegmentationMetrics, bootstrap_intervals
from seg.predictors.segmenter import Segmenter
from seg.predictors.tta import Prediction
from seg.results import Float32, UInt8

SCORES = {"foreground_iou": "IoU", "boundary_iou": "boundary IoU", "boundary_f": "boundary F"}


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """A way of drawing masks.

    Attributes:
        name: For people.
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
    """What a way scored.

    Attributes:
        way: The way.
        rows: Its tallies, flat, `(N, K)`, one for each picture.
        num_classes: Of the model.
        ms: Median time of a picture from frame to labels, without reading and scoring it.
    """

    way: Way
    rows: NDArray[np.float64]
    num_classes: int
    ms: float

    @property
    def scores(self) -> dict[str, float]:
        """The scores of `SCORES` over all pictures."""
        return _scores(self.rows.sum(0), self.num_classes)

    def gain(self, plain: "Result") -> dict[str, tuple[float, Interval]]:
        """Returns each score's difference from another way, and where 95 % of redrawn ones lie."""
        width = self.rows.shape[1]

        def difference(row: NDArray[np.float64]) -> dict[str, float]:
            mine, other = (_scores(part, self.num_classes) for part in (row[:width], row[width:]))
            return {key: mine[key] - other[key] for key in SCORES}

        pairs = np.hstack([self.rows, plain.rows])
        ranges = bootstrap_intervals(pairs, difference)
        return {key: (value, ranges[key]) for key, value in difference(pairs.sum(0)).items()}


def compare(plain: Segmenter, samples: Sequence[Sample], ways: Sequence[Way]) -> list[Result]:
    """Draws every picture in every way and scores the masks.

    Args:
        plain: The model, looking once and unguided; other numbers of looks share its runtime.
        samples: Pictures with labels.
        ways: At least one.
    """
    by_tta = {
        way.tta: Segmenter(plain.runtime, input_hw=plain.input_hw, tta=way.tta) for way in ways
    }
    num_classes = len(plain.classes)
    tallies: list[list[NDArray[np.float64]]] = [[] for _ in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    for sample in tqdm(samples, "comparing", leave=False, disable=None):
        image, truth = sample.load()
        objects = sample.objects(hw_of(image))
        for index, way in enumerate(ways):
            labels, elapsed = draw(by_tta[way.tta], image, way)
            tallies[index].append(
                SegmentationMetrics.of_image(truth, labels, num_classes, objects).to_row()
            )
            seconds[index].append(elapsed)
    return [
        Result(way, np.stack(rows), num_classes, 1000 * float(np.median(times)))
        for way, rows, times in zip(ways, tallies, seconds, strict=True)
    ]


def draw(segmenter: Segmenter, image: UInt8, way: Way) -> tuple[UInt8, float]:
    """Returns a picture's labels and the seconds from frame to labels.

    Args:
        segmenter: With the way's `tta`, unguided.
        image: uint8 `(H, W, 3)` BGR.
        way: How to draw.
    """
    started = time.perf_counter()
    looks = segmenter.predict_logits(image)
    spent = time.perf_counter() - started
    # A segmenter that filters has these pixels at hand, so packing them anew is not counted.
    pixels = [_seen(segmenter, image, look) for look in looks] if way.epsilon else []
    started = time.perf_counter()
    if way.epsilon:
        guides = [_filter(look, one, way) for look, one in zip(looks, pixels, strict=True)]
        looks = [
            dataclasses.replace(look, refine=guide)
            for look, guide in zip(looks, guides, strict=True)
        ]
    labels = segmenter.decode(looks)
    return labels, spent + time.perf_counter() - started


def _seen(segmenter: Segmenter, image: UInt8, look: Prediction) -> Float32:
    """Returns what a look's network saw of a picture, without padding: `(1, 3, h, w)`."""
    frame = np.ascontiguousarray(image[:, ::-1]) if look.is_mirrored else image
    height, width = look.letterbox.image_hw
    return look.letterbox.pack(frame, segmenter.runtime.spec.pad_rgb)[:, :, :height, :width]


def _filter(look: Prediction, pixels: Float32, way: Way) -> GuidedFilter:
    cell = max(1, look.letterbox.canvas_hw[0] // look.logits.shape[1])
    return GuidedFilter(luminance(pixels), way.radius or cell, way.epsilon or EPSILON)


def _scores(row: NDArray[np.float64], num_classes: int) -> dict[str, float]:
    scores = SegmentationMetrics(num_classes).from_row(row).compute()
    return {key: scores[key] for key in SCORES}


def table(results: Sequence[Result]) -> list[str]:
    """Returns Markdown: the first way's scores in %, the others' gains over it in points."""
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
        rows.append([result.way.name, *cells, f"{result.ms:.1f}"])
    return markdown_table(["way", *SCORES.values(), "ms per picture"], rows)
