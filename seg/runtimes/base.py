"""Runtime: a network ready to run, whatever the engine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from seg.closing import Closing
from seg.errors import ShapeError
from seg.imaging.letterbox import Letterbox
from seg.kinds import Precision
from seg.results import Float32
from seg.spec import ModelSpec

if TYPE_CHECKING:
    from seg.runtimes.on_device import DeviceFrames


class Runtime(Closing, ABC):
    """A network ready to run: float32 pictures in, named float32 arrays out.

    Attributes:
        spec: What the network is.
        description: What really runs, for people: engine, version, device, precision.
        precision: The coarsest type that weights or scores have on the way, such as `bfloat16`.
        metadata: What else the file says of itself, by key.
        enqueued_s: Seconds of the last run until a GPU had all of its work and the processor was
            free again; None where the run is the processor's own work.
    """

    spec: ModelSpec
    description: str
    precision: Precision = Precision.FLOAT32
    metadata: Mapping[str, str] = MappingProxyType({})
    enqueued_s: float | None = None

    def run(self, images: Float32) -> Mapping[str, Float32]:
        """Runs the network once.

        A graph for a fixed number of pictures runs as often as it takes, the last time filled up.

        Args:
            images: float32 `(B, 3, H, W)` RGB, 0..1, B at least 1. `H` and `W` are the spec's
                canvas, or any multiples of its stride where it has none.

        Returns:
            `{"logits": float32 (B, C, h, w)}`; the arrays belong to the caller.

        Raises:
            ShapeError: `images` has another shape or dtype.
            EngineFailure: The engine failed.
        """
        self._check(images)
        count = self.spec.batch or len(images)
        if count == len(images):
            return self._run(np.ascontiguousarray(images))
        filling = np.zeros((-len(images) % count, *images.shape[1:]), np.float32)
        filled = np.concatenate([images, filling])
        parts = [self._run(filled[i : i + count]) for i in range(0, len(filled), count)]
        return {k: np.concatenate([p[k] for p in parts])[: len(images)] for k in parts[0]}

    def frames(self, letterbox: Letterbox) -> "DeviceFrames | None":
        """Returns what carries frames to masks on the engine's own device, for one pair of sizes.

        None where that is the processor: then packing and the way back are the caller's.
        """
        return None

    @abstractmethod
    def _run(self, images: Float32) -> Mapping[str, Float32]:
        """Runs the network on checked, contiguous input."""

    def _check(self, images: Float32) -> None:
        has_layout = images.ndim == 4 and images.shape[1] == 3 and len(images) > 0
        if images.dtype != np.float32 or not has_layout:
            raise ShapeError(
                f"Images are float32 (B, 3, H, W) RGB; got {images.dtype} {images.shape}."
            )
        hw = images.shape[2:]
        canvas, stride = self.spec.canvas_hw, self.spec.stride
        if canvas is not None and hw != canvas:
            raise ShapeError(f"This model takes {canvas[0]}x{canvas[1]}; got {hw[0]}x{hw[1]}.")
        if min(hw) < 1 or hw[0] % stride or hw[1] % stride:
            nearest = tuple(max(stride, round(side / stride) * stride) for side in hw)
            raise ShapeError(
                f"Input {hw[0]}x{hw[1]} is not a multiple of {stride}; "
                f"nearest is {nearest[0]}x{nearest[1]}."
            )
