"""Runtimes that fit images as another artifact does, so that two can be compared."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Size
from seg.results import Float32
from seg.runtimes.base import Runtime


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
        spec = dataclasses.replace(
            runtime.spec, input_hw=input_hw, canvas_hw=own or canvas_hw, batch=None
        )
        super().__init__(spec, runtime.description, runtime.precision, runtime.metadata)
        self._runtime, self.offers_tensors = runtime, runtime.offers_tensors
        if runtime.offers_tensors:
            tensors: Any = runtime
            self.device, self.run_tensors = tensors.device, tensors.run_tensors

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        return self._runtime.run(images)


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

    def __init__(self, runtime: Runtime, input_hw: Size, canvas_hw: Size | None = None) -> None:
        super().__init__(runtime, input_hw, canvas_hw)
        self.offers_tensors = False
