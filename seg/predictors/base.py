"""Predictor: an image in, a result out, on any runtime."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar, Unpack

import numpy as np

from seg.errors import EngineFailure, SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.fits import FITS, Fit
from seg.imaging.letterbox import Size, check_image, check_size, hw_of
from seg.kinds import Device
from seg.results import Float32, UInt8
from seg.runtimes.base import Runtime
from seg.runtimes.open import EngineOptions, open_runtime
from seg.spec import Output

MAX_BATCH = 8  # images that a list is cut into; more hold memory and gain no speed

ResultT = TypeVar("ResultT")


class Predictor(ABC, Generic[ResultT]):
    """Turns images of any size into results of one task.

    It keeps nothing of the images it has seen, so threads with frames of different sizes may share
    one.

    Args:
        model: A model file (`.onnx`, `.xml`, `.pt`, `.engine`), or a runtime that is already open
            and stays the caller's to close. Omitted, the embedded model, which finds people.
        device: A `seg.kinds.Device`; only for a file.
        input_hw: Size to fit images into, height first; None takes the model's own. A static graph
            takes any that fits on its canvas.
        fit: How images are fitted, of `seg.imaging.fits.FITS`; None takes the model's own way.
        engine: `runtime`, the `seg.kinds.Engine` for a file, which else goes by the suffix;
            `precision`, what OpenVINO or torch computes in, which else is theirs to choose; and
            `modes`, how torch runs, of `compile` and `graph`. Only for a file.

    Attributes:
        task: What it predicts: a key of `seg.predictors.open.PREDICTORS`, of a spec's outputs, and
            of the results of a frame.
        options: Names of the arguments that a caller may set beyond these.
        fits: The ways of fitting images that it can come back from.
        outputs: The model's outputs for this task.
        output: The first of them, which of most tasks is the only one.
        runtime: The engine.
        input_hw: Size that images are fitted into, height first.
        owns_runtime: Whether closing it closes the runtime.

    Raises:
        ArtifactError: The file is missing, foreign or damaged.
        EngineMissing: The engine's package or the device is not available.
        SpecMismatch: The model is for another task, or a size is not what it takes.
    """

    task: ClassVar[str]
    options: ClassVar[Collection[str]] = ()
    fits: ClassVar[Collection[str]] = ("letterbox",)

    def __init__(
        self,
        model: str | Path | Runtime = DEFAULT_MODEL,
        device: str = Device.AUTO,
        input_hw: Size | None = None,
        *,
        fit: str | None = None,
        **engine: Unpack[EngineOptions],
    ) -> None:
        self.owns_runtime = not isinstance(model, Runtime)
        if not isinstance(model, Runtime):
            model = open_runtime(model, device, **engine)
        elif engine:
            raise TypeError(f"A runtime that is open takes no {', '.join(engine)}.")
        self.runtime, self._is_closed = model, False
        spec = model.spec
        try:
            self.outputs: tuple[Output, ...] = spec.outputs_for(self.task)
            self.output = self.outputs[0]
            self.input_hw = input_hw or spec.input_hw
            check_size(self.input_hw)
            self._fit = fit or spec.fit
            if self._fit not in self.fits:
                expected = " or ".join(self.fits)
                raise SpecMismatch(f"Expected a model that fits by {expected}; got {self._fit}.")
        except SpecMismatch:
            self.close()
            raise

    @property
    def description(self) -> str:
        """What really runs, human-readable: architecture, engine, device, precision, size."""
        height, width = self.input_hw
        engine = f"{self.runtime.spec.arch} on {self.runtime.description}"
        how = "fitted into" if self._fit == "letterbox" else "cropped to"
        return f"{engine}; frames {how} {width}x{height}"

    @property
    def fit_key(self) -> tuple[str, Size]:
        """How images are fitted, and into which size; alike where it is equal."""
        return self._fit, self.input_hw

    @property
    def is_multi_pass(self) -> bool:
        """Whether an image takes several runs of the network."""
        return False

    def __call__(self, image: UInt8) -> ResultT:
        """Predicts one image.

        Args:
            image: uint8 `(H, W, 3)` BGR, any size from 1 x 1. It is not changed.

        Raises:
            ShapeError: The image has another dtype or layout.
            EngineFailure: The engine failed, or this is closed.
        """
        return self.predict([image])[0]

    def predict(self, images: Sequence[UInt8]) -> list[ResultT]:
        """Predicts many images, those with the same canvas together.

        The results are those of each image alone, to the rounding of the engine.

        Args:
            images: Each as of a call, of any sizes.

        Raises:
            ShapeError: As of a call.
            EngineFailure: As of a call.
        """
        self._check_open()
        for image in images:
            check_image(image)
        fits = [self.fit(hw_of(image)) for image in images]
        results: dict[int, ResultT] = {}
        for group in _groups(fits):
            chosen = [images[i] for i in group], [fits[i] for i in group]
            results |= zip(group, self._predict(*chosen), strict=True)
        return [results[index] for index in range(len(images))]

    def fit(self, frame_hw: Size) -> Fit:
        """Returns the way from images of a size to this model's canvas.

        Raises:
            SpecMismatch: The image, fitted, does not fit on the canvas.
        """
        spec = self.runtime.spec
        return FITS[self._fit].fit(frame_hw, self.input_hw, spec.stride, spec.canvas_hw)

    def run(self, pixels: Float32) -> Float32:
        """Runs the network on packed images, for tasks with one output; see `run_outputs`."""
        return self.run_outputs(pixels)[self.output.name]

    def run_outputs(self, pixels: Float32) -> dict[str, Float32]:
        """Runs the network on packed images: `(B, 3, H', W')` -> this task's outputs by name.

        Raises:
            SpecMismatch: The outputs are not what the spec says.
            EngineFailure: The engine failed, or not every number is finite.
        """
        return self.outputs_in(self.runtime.run(pixels))

    def outputs_in(self, made: Mapping[str, Float32]) -> dict[str, Float32]:
        """Returns this task's outputs of all that a runtime returned; raises as `run_outputs`."""
        found = {output.name: made[output.name] for output in self.outputs}
        for array in found.values():
            self._check_scores(array)
        return found

    def close(self) -> None:
        """Frees the engine, unless the runtime was the caller's; harmless twice."""
        self._is_closed = True
        if self.owns_runtime:
            self.runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def results_of(
        self, outputs: Mapping[str, Float32], pixels: Float32, fits: Sequence[Fit]
    ) -> Sequence[ResultT]:
        """Turns what the network returned into results.

        Args:
            outputs: This task's outputs by name, of at least the images, one after the other.
            pixels: The packed images, `(B, 3, H', W')`.
            fits: The way of each image to the canvas.

        Raises:
            SpecMismatch: The outputs are not what the spec says.
        """

    def _predict(self, images: Sequence[UInt8], fits: Sequence[Fit]) -> Sequence[ResultT]:
        """Predicts images that share a canvas, at most `MAX_BATCH`."""
        pixels = self.pack_all(images, fits)
        return self.results_of(self.run_outputs(pixels), pixels, fits)

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineFailure("This predictor is closed; open the model again.")

    def pack_all(self, images: Sequence[UInt8], fits: Sequence[Fit]) -> Float32:
        """Puts images onto one canvas: `(B, 3, H', W')`, which the network takes."""
        pad_rgb = self.runtime.spec.pad_rgb
        packed = [fit.pack(image, pad_rgb) for image, fit in zip(images, fits, strict=True)]
        return packed[0] if len(packed) == 1 else np.concatenate(packed)

    def _check_scores(self, scores: Float32) -> None:
        if not np.isfinite(scores).all():
            raise EngineFailure(f"Not every score is finite: {self.runtime.description}.")


def _groups(fits: Sequence[Fit]) -> Iterator[list[int]]:
    """Yields the indices of those with the same canvas, at most `MAX_BATCH` at once."""
    groups: Mapping[Size, list[int]] = defaultdict(list)
    for index, fit in enumerate(fits):
        groups[fit.canvas_hw].append(index)
    for group in groups.values():
        for start in range(0, len(group), MAX_BATCH):
            yield group[start : start + MAX_BATCH]
