"""Segmenter: a frame in, a mask out, on any engine."""

from pathlib import Path

import numpy as np

from seg.closing import Closing
from seg.errors import EngineFailure, SpecMismatch
from seg.geometry import Letterbox, Size, check_image
from seg.results import Float32, Mask, UInt8
from seg.runtimes import open_runtime
from seg.runtimes.base import Runtime


class Segmenter(Closing):
    """Segments frames of any size with one model.

    Args:
        model: A model file (`.onnx`, `.xml`, `.pt`), or a runtime that is already open.
        device: `auto`, `cpu` or `cuda`; only for a file.
        input_hw: Size to fit frames into, height first; None takes the model's own. A static
            graph takes any that fits on its canvas.
        runtime: The engine for a file, such as `openvino`; None goes by the suffix.
        precision: What OpenVINO computes in, `float32` or `bfloat16`; None leaves it the choice.

    Raises:
        ArtefactError: The file is missing, foreign or damaged.
        EngineMissing: The engine's package or the device is not available.
    """

    def __init__(
        self,
        model: str | Path | Runtime,
        device: str = "auto",
        input_hw: Size | None = None,
        *,
        runtime: str | None = None,
        precision: str | None = None,
    ) -> None:
        if not isinstance(model, Runtime):
            model = open_runtime(model, device, runtime, precision)
        self.runtime = model
        self.input_hw = input_hw or self.runtime.spec.input_hw
        self._letterbox: Letterbox | None = None

    @property
    def description(self) -> str:
        """What really runs, for people: architecture, engine, device, precision, size."""
        spec, (height, width) = self.runtime.spec, self.input_hw
        return f"{spec.arch} on {self.runtime.description}; frames fitted into {width}x{height}"

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
        check_image(image)
        letterbox = self.letterbox((image.shape[0], image.shape[1]))
        logits = self.logits(letterbox.pack(image, self.runtime.spec.pad_rgb))
        return Mask(labels_of(logits, letterbox), self.classes)

    def letterbox(self, frame_hw: Size) -> Letterbox:
        """Returns the way to this model's canvas and back, fitted anew when the size changes."""
        if self._letterbox is None or self._letterbox.frame_hw != frame_hw:
            spec = self.runtime.spec
            self._letterbox = Letterbox.fit(frame_hw, self.input_hw, spec.stride, spec.canvas_hw)
        return self._letterbox

    def logits(self, pixels: Float32) -> Float32:
        """Runs the network on a packed frame: `(1, 3, H, W)` -> `(C, h, w)`."""
        logits: Float32 = self.runtime.run(pixels)["logits"][0]
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


def labels_of(logits: Float32, letterbox: Letterbox) -> UInt8:
    """Enlarges score maps to the frame and takes the likeliest class of each pixel.

    Two classes need one map, their difference: a tenth of the cost of an argmax over both. More
    keep a running maximum, so only two maps exist at a time. Ties go to the lower label.

    Args:
        logits: float32 `(C, h, w)`.
        letterbox: The way back to the frame.

    Returns:
        uint8 `(H, W)`, 0 to C - 1.
    """
    if len(logits) == 2:
        return (letterbox.unpack(logits[1] - logits[0]) > 0).view(np.uint8)
    labels = np.zeros(letterbox.frame_hw, np.uint8)
    best = letterbox.unpack(logits[0])
    for label in range(1, len(logits)):
        scores = letterbox.unpack(logits[label])
        labels[scores > best] = label
        np.maximum(best, scores, out=best)
    return labels
