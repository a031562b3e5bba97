"""Runtimes that fit images as another artifact does, so that two can be compared."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Letterbox, Size
from seg.results import Float32
from seg.runtimes.base import Runtime

if TYPE_CHECKING:
    from seg.runtimes.on_device import DeviceFrames


class FittedRuntime(Runtime):
    """Another runtime's network, to which images are fitted differently.

    Args:
        runtime: Does the work; stays the caller's to close.
        input_hw: Size that images are fitted into.
        canvas_hw: The canvas that they get; None keeps the runtime's own rule.

    Raises:
        SpecMismatch: The runtime is a static graph of another canvas.
    """

    def __init__(self, runtime: Runtime, input_hw: Size, canvas_hw: Size | None = None) -> None:
        own = runtime.spec.canvas_hw
        if canvas_hw and own not in (None, canvas_hw):
            raise SpecMismatch(
                f"One model takes {own[1]}x{own[0]} and the other {canvas_hw[1]}x{canvas_hw[0]}; "
                "compare two of the same canvas, or one with a model that takes any."
            )
        self.spec = dataclasses.replace(
            runtime.spec, input_hw=input_hw, canvas_hw=own or canvas_hw, batch=None
        )
        self.description, self.precision = runtime.description, runtime.precision
        self.metadata, self._runtime = runtime.metadata, runtime

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        return self._runtime.run(images)

    def frames(self, letterbox: Letterbox) -> "DeviceFrames | None":
        """As of `Runtime`."""
        return self._runtime.frames(letterbox)


class ReferenceRuntime(FittedRuntime):
    """The reference of a comparison; keeps the last input and outputs.

    Images are packed on the CPU, whatever the runtime offers.

    Attributes:
        images: float32 `(B, 3, H, W)`, what was run last.
        outputs: What came out, by name.
    """

    images: Float32
    outputs: Mapping[str, Float32]

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        self.images, self.outputs = images, super()._run(images)
        return self.outputs

    def frames(self, letterbox: Letterbox) -> None:
        """Returns None."""
