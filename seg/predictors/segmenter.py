"""Segmenter: a frame in, a mask out, on any engine."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seg.closing import Closing
from seg.errors import EngineFailure, SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.guided_filter import GuidedFilter, luminance
from seg.imaging.letterbox import Letterbox, Size, check_image, hw_of, round_up
from seg.predictors.tta import RATIOS, Look, covering, mean_labels, slide
from seg.results import Float32, Mask, UInt8
from seg.runtimes.base import Runtime
from seg.runtimes.open import open_runtime

if TYPE_CHECKING:
    from seg.runtimes.on_device import DeviceFrames


class Segmenter(Closing):
    """Segments frames of any size with one model.

    Args:
        model: A model file (`.onnx`, `.xml`, `.pt`), or a runtime that is already open; left out,
            the embedded model, which finds people.
        device: `auto`, `cpu` or `cuda`; only for a file.
        input_hw: Size to fit frames into, height first; None takes the model's own. A static
            graph takes any that fits on its canvas.
        runtime: The engine for a file, such as `openvino`; None goes by the suffix.
        precision: What OpenVINO or torch computes in (`seg.kinds.Engine`);
            None leaves it the choice.
        modes: How torch runs, of `compile` and `graph`.
        tta: 0 looks once. N looks at the first N ratios 1, 1.32, 1.73, 2.28, 3, in windows of the
            model's canvas that slide by half of it, each also mirrored, and averages: slower,
            and no better for `lite` (docs/benchmarks.md). It is what the original calls
            HEAD_SCALE_COUNT (`seg.predictors.tta`).
        guided: Whether masks are drawn to the picture's edges (`seg.imaging.guided_filter`).

    Raises:
        ArtifactError: The file is missing, foreign or damaged.
        EngineMissing: The engine's package or the device is not available.
        SpecMismatch: `tta` is none of 0 to 5.
    """

    task = "segment"

    def __init__(
        self,
        model: str | Path | Runtime = DEFAULT_MODEL,
        device: str = "auto",
        input_hw: Size | None = None,
        *,
        runtime: str | None = None,
        precision: str | None = None,
        modes: Collection[str] = (),
        tta: int = 0,
        guided: bool = False,
    ) -> None:
        if not 0 <= tta <= len(RATIOS):
            raise SpecMismatch(f"tta is a number of scales from 0 to {len(RATIOS)}; got {tta}.")
        self.tta, self.guided = tta, guided
        if not isinstance(model, Runtime):
            model = open_runtime(model, device, runtime, precision, modes)
        self.runtime = model
        self.input_hw = input_hw or self.runtime.spec.input_hw
        self._letterbox: Letterbox | None = None
        self._frames: DeviceFrames | None = None

    @property
    def description(self) -> str:
        """What really runs, for people: architecture, engine, device, precision, size."""
        spec, (height, width) = self.runtime.spec, self.input_hw
        extras = [f"; averaged over {self.tta} scales, mirrored too"] if self.tta else []
        extras += ["; drawn to the picture's edges"] if self.guided else []
        fitted = f"frames fitted into {width}x{height}"
        return f"{spec.arch} on {self.runtime.description}; {fitted}{''.join(extras)}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; index 0 is the background."""
        return self.runtime.spec.classes

    def __call__(self, image: UInt8) -> Mask:
        """Segments one frame.

        Args:
            image: uint8 `(H, W, 3)` BGR, any size from 1 x 1. It is not changed.

        Returns:
            A mask of the frame's own size.

        Raises:
            ShapeError: The image has another dtype or layout.
            EngineFailure: The engine failed.
        """
        return Mask(self.labels(self.looks(image)), self.classes)

    def looks(self, image: UInt8) -> list[Look]:
        """Runs the network on a frame: once, or with `tta` in pairs, the second one mirrored.

        Raises as a call does.
        """
        check_image(image)
        frame_hw = hw_of(image)
        if not self.tta:
            frames = self.on_device(frame_hw)
            return [self._seen(image, frames) if frames else self._look(*self.pack(image))]
        spec, input_hw = self.runtime.spec, self.input_hw
        window_hw = spec.canvas_hw or round_up(input_hw, spec.stride)
        boxes = [
            covering(frame_hw, input_hw, window_hw, spec.stride, r) for r in RATIOS[: self.tta]
        ]
        mirrored = np.ascontiguousarray(image[:, ::-1])
        return [
            self._look(box.pack(picture, spec.pad_rgb), box, window_hw, is_mirrored)
            for box in boxes
            for picture, is_mirrored in ((image, False), (mirrored, True))
        ]

    def labels(self, looks: list[Look]) -> UInt8:
        """Turns a frame's looks into classes, uint8 `(H, W)` of the frame's size."""
        if len(looks) > 1:
            return mean_labels(looks)
        if looks[0].labels is not None:
            return looks[0].labels
        return labels_of(looks[0].logits, looks[0].letterbox, looks[0].refine)

    def pack(self, image: UInt8) -> tuple[Float32, Letterbox]:
        """Fits a frame onto the canvas of a single look.

        Args:
            image: uint8 `(H, W, 3)` BGR. It is not changed.

        Returns:
            What `logits` takes, `(1, 3, H', W')`, and the way back to the frame.

        Raises:
            ShapeError: The image has another dtype or layout.
        """
        check_image(image)
        letterbox = self.letterbox(hw_of(image))
        return letterbox.pack(image, self.runtime.spec.pad_rgb), letterbox

    def on_device(self, frame_hw: Size) -> "DeviceFrames | None":
        """Returns what makes masks of such frames on the engine's own device.

        None where that is the processor, and where masks are guided, which the processor does.
        """
        self.letterbox(frame_hw)
        return None if self.guided else self._frames

    def _seen(self, image: UInt8, frames: "DeviceFrames") -> Look:
        logits, labels = frames.run(image)
        return Look(self._checked(logits), frames.letterbox, labels=labels)

    def _look(
        self,
        pixels: Float32,
        letterbox: Letterbox,
        window_hw: Size | None = None,
        is_mirrored: bool = False,
    ) -> Look:
        """Runs the network on a canvas, whole or in windows."""
        if window_hw:
            logits = slide(self.logits, pixels, window_hw, self.runtime.spec.stride)
        else:
            logits = self.logits(pixels)
        if not self.guided:
            return Look(logits, letterbox, None, is_mirrored)
        height, width = letterbox.image_hw
        guide = luminance(pixels[:, :, :height, :width])
        # As wide as a cell of the network's grid: what it could not see is taken from the picture.
        radius = max(1, letterbox.canvas_hw[0] // logits.shape[1])
        return Look(logits, letterbox, GuidedFilter(guide, radius), is_mirrored)

    def letterbox(self, frame_hw: Size) -> Letterbox:
        """Returns the way to this model's canvas and back, fitted anew when the size changes."""
        if self._letterbox is None or self._letterbox.frame_hw != frame_hw:
            spec = self.runtime.spec
            self._letterbox = Letterbox.fit(frame_hw, self.input_hw, spec.stride, spec.canvas_hw)
            self._frames = self.runtime.frames(self._letterbox)
        return self._letterbox

    def logits(self, pixels: Float32) -> Float32:
        """Runs the network on a packed frame: `(1, 3, H, W)` -> `(C, h, w)`."""
        return self._checked(self.runtime.run(pixels)["logits"][0])

    def _checked(self, logits: Float32) -> Float32:
        if len(logits) != len(self.classes):
            raise SpecMismatch(
                f"The model says {len(self.classes)} classes and returns {len(logits)} maps."
            )
        if not np.isfinite(logits).all():
            raise EngineFailure(f"Not every score is finite: {self.runtime.description}.")
        return logits

    def close(self) -> None:
        """Frees the engine; harmless twice."""
        self.runtime.close()


def labels_of(
    logits: Float32, letterbox: Letterbox, refine: Callable[[Float32], Float32] | None = None
) -> UInt8:
    """Enlarges score maps to the frame and takes the likeliest class of each pixel.

    Two classes need one map, their difference: a tenth of the cost of an argmax over both. More
    keep a running maximum, so only two maps exist at a time. Ties go to the lower label.

    Args:
        logits: float32 `(C, h, w)`.
        letterbox: The way back to the frame.
        refine: Filters each map on the fitted picture.

    Returns:
        uint8 `(H, W)`, 0 to C - 1.
    """
    if len(logits) == 2:
        return (letterbox.unpack(logits[1] - logits[0], refine) > 0).view(np.uint8)
    labels = np.zeros(letterbox.frame_hw, np.uint8)
    best = letterbox.unpack(logits[0], refine)
    for label in range(1, len(logits)):
        scores = letterbox.unpack(logits[label], refine)
        labels[scores > best] = label
        np.maximum(best, scores, out=best)
    return labels
