"""A benchmark run: opens the candidates, times them in turn, and collects the rows."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from seg.benchmark.entries import Entry
from seg.benchmark.interleave import Times, interleave
from seg.benchmark.model_only import ModelTiming, time_model
from seg.benchmark.model_only import markdown as model_only_table
from seg.benchmark.pipelines import ModelPipeline, TimedPipeline, TutorialPipeline
from seg.benchmark.report import BenchmarkRow, markdown, recommend
from seg.data.samples import Sample
from seg.errors import EngineMissing, SpecMismatch
from seg.evaluation.segmentation import evaluate_segmenter
from seg.files.checksum import sha256_of

TUTORIAL = "tutorial"
logger = logging.getLogger("dinoseg")
OpenSamples = Callable[[Sequence[str]], Sequence[Sample]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig:
    """What is benchmarked.

    Attributes:
        clip: The video.
        entries: The models.
        baseline_device: Where the tutorial's loop runs; None leaves it out.
        num_frames: Frames of each candidate that count.
        warmup: Frames before, which do not.
        batches: Numbers of images at once at which models are timed without video, too.
        target_fps: Rate to recommend a model for; every engine, precision and size that an entry
            leaves open is tried, and what this machine lacks is left out.
    """

    clip: Path
    entries: Sequence[Entry]
    baseline_device: str | None = None
    num_frames: int = 100
    warmup: int = 10
    batches: Sequence[int] = ()
    target_fps: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkResult:
    """What was measured.

    Attributes:
        about: What it was measured on.
        models: SHA-256 of each file.
        rows: One for each candidate.
        model_only: One for each model and batch.
        recommendation: For the target rate; None where there is none.
    """

    about: Mapping[str, str]
    models: Mapping[str, str]
    rows: Sequence[BenchmarkRow]
    model_only: Sequence[ModelTiming]
    recommendation: str | None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "about": dict(self.about),
            "models": dict(self.models),
            "rows": [row.to_dict(self._baseline) for row in self.rows],
            "model_only": [row.to_dict() for row in self.model_only],
            "recommendation": self.recommendation,
        }

    def to_markdown(self) -> str:
        """Returns the tables, and the recommendation below them."""
        parts = [markdown(self.rows, self._baseline, self.about)]
        parts += [model_only_table(self.model_only)] if self.model_only else []
        parts += [self.recommendation] if self.recommendation else []
        return "\n\n".join(parts)

    @property
    def _baseline(self) -> BenchmarkRow | None:
        return next((row for row in self.rows if row.name == TUTORIAL), None)


def run_benchmark(
    config: BenchmarkConfig, about: Mapping[str, str], open_samples: OpenSamples | None
) -> BenchmarkResult:
    """Times every candidate, and measures the accuracy of the models.

    Args:
        config: What to benchmark.
        about: What it is measured on, for the report.
        open_samples: Returns the images with labels for a model's classes; None: no accuracy.

    Raises:
        SegError: A model, the clip or an engine fails, or two models have the same name.
    """
    with _open(config) as pipelines:
        times = interleave(pipelines, config.num_frames, config.warmup)
        models = [pipeline for pipeline in pipelines if isinstance(pipeline, ModelPipeline)]
        model_only = [
            time_model(model.name, model.segmenter, batch, config.num_frames, config.warmup)
            for model in models
            for batch in config.batches
        ]
        samples = open_samples(models[0].segmenter.classes) if models and open_samples else ()
        rows = [_row(pipeline, times[pipeline.name], samples) for pipeline in pipelines]
    candidates = [row for row in rows if row.name != TUTORIAL]
    target = config.target_fps
    return BenchmarkResult(
        about=about,
        models={str(entry.path): sha256_of(entry.path) for entry in config.entries},
        rows=rows,
        model_only=model_only,
        recommendation=recommend(candidates, target) if target else None,
    )


@contextmanager
def _open(config: BenchmarkConfig) -> Iterator[list[TimedPipeline]]:
    """Opens every candidate; with a target rate, leaves out what this machine lacks."""
    pipelines: list[TimedPipeline] = []
    with ExitStack() as stack:
        if config.baseline_device:
            from seg.benchmark.tutorial import open_tutorial

            runtime = open_tutorial(config.baseline_device)
            pipelines.append(TutorialPipeline(TUTORIAL, config.clip, runtime))
            stack.enter_context(pipelines[-1])
        entries = config.entries
        if config.target_fps:
            entries = [variant for entry in entries for variant in entry.variants()]
        for entry in entries:
            try:
                pipeline = ModelPipeline(entry.name, config.clip, entry.open())
            except EngineMissing as error:
                if not config.target_fps:
                    raise
                logger.warning("left out: %s: %s", entry.name, error)
                continue
            pipelines.append(stack.enter_context(pipeline))
            logger.info("%s: %s", pipeline.name, pipeline.segmenter.description)
        names = [pipeline.name for pipeline in pipelines]
        if len(set(names)) < len(names):
            raise SpecMismatch(
                "Two models have the same name; name each file once, or with other options."
            )
        yield pipelines


def _row(pipeline: TimedPipeline, times: Times, samples: Sequence[Sample]) -> BenchmarkRow:
    if isinstance(pipeline, TutorialPipeline):
        spec = pipeline.runtime.spec
        imgsz = (spec.canvas_hw or spec.input_hw)[::-1]
        engine = pipeline.runtime.description
        return BenchmarkRow(name=pipeline.name, engine=engine, imgsz=imgsz, times=times)
    assert isinstance(pipeline, ModelPipeline)
    segmenter = pipeline.segmenter
    found = evaluate_segmenter(segmenter, samples) if samples else None
    return BenchmarkRow(
        name=pipeline.name,
        engine=segmenter.runtime.description,
        imgsz=segmenter.input_hw[::-1],
        times=times,
        iou=found.scores["foreground_iou"] if found else None,
        interval=found.intervals["foreground_iou"] if found else None,
    )
