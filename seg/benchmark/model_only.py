"""A model without video: synchronized runs on images in memory, several at once."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from seg.benchmark.interleave import PERCENTS, Clock
from seg.evaluation.report import markdown_table
from seg.imaging.letterbox import round_up
from seg.predictors.segmenter import Segmenter


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelTiming:
    """Times of a model from images in RAM to scores in RAM, copies to a GPU included.

    Attributes:
        name: Its name in the report.
        engine: What actually ran.
        canvas: Width and height of the network's input.
        batch: Images at once.
        ms: Of one run, synchronized, at `PERCENTS`.
        enqueued_ms: Of it, until a GPU had its work, at `PERCENTS`; None where there is no GPU.
    """

    name: str
    engine: str
    canvas: tuple[int, int]
    batch: int
    ms: tuple[float, ...]
    enqueued_ms: tuple[float, ...] | None = None

    @property
    def rate(self) -> float:
        """Images per second, at the median."""
        return 1e3 * self.batch / self.ms[0] if self.ms[0] > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self) | {"images_per_second": self.rate}


def time_model(
    name: str,
    segmenter: Segmenter,
    batch: int,
    runs: int,
    warmup: int,
    clock: Clock = time.perf_counter,
) -> ModelTiming:
    """Times a model on noise of its own size; raises as `Runtime.run` does."""
    spec = segmenter.runtime.spec
    hw = spec.canvas_hw or round_up(segmenter.input_hw, spec.stride)
    images = np.random.default_rng(0).random((batch, 3, *hw), np.float32)
    times, enqueued = [], []
    for _ in range(warmup + runs):
        start = clock()
        segmenter.runtime.run(images)
        times.append(clock() - start)
        enqueued.append(segmenter.runtime.enqueued_s)
    taken = [seconds for seconds in enqueued[warmup:] if seconds is not None]
    return ModelTiming(
        name=name,
        engine=segmenter.runtime.description,
        canvas=hw[::-1],
        batch=batch,
        ms=_percentiles(times[warmup:]),
        enqueued_ms=_percentiles(taken) if taken else None,
    )


def _percentiles(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(1e3 * float(value) for value in np.percentile(seconds, PERCENTS))


def markdown(rows: Sequence[ModelTiming]) -> str:
    """Returns a Markdown table."""
    heads = ["model only", "engine", "canvas", "batch", "ms enqueued", "ms a run", "images/s"]
    lines = []
    for row in rows:
        enqueued, ms = (
            " / ".join(f"{value:.2f}" for value in values or ())
            for values in (row.enqueued_ms, row.ms)
        )
        canvas = f"{row.canvas[0]}x{row.canvas[1]}"
        batch, rate = str(row.batch), f"{row.rate:.1f}"
        lines.append([row.name, row.engine, canvas, batch, enqueued, ms, rate])
    return "\n".join(markdown_table(heads, lines))
