"""Runtime: a network ready to run, whatever the engine."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Self

import numpy as np

from seg.errors import ArtifactError, EngineFailure, ShapeError
from seg.kinds import Precision
from seg.results import Float32
from seg.spec import ModelSpec


class Runtime(ABC):
    """A network ready to run: float32 images in, named float32 arrays out.

    It may be called from several threads, which wait for each other where the engine has one set
    of buffers. It knows no task: fitting images and reading scores are a predictor's work.

    Args:
        spec: What the network is.
        description: What really runs, human-readable: engine, version, device, precision.
        precision: The coarsest type that weights or outputs have on the way.
        metadata: The file's other metadata, by key.
        max_batch: Most images at once; None where any number runs.

    Attributes:
        enqueued_s: Seconds of the last run until a GPU had all of its work and the processor was
            free again; None where the run is the processor's own work.
        offers_tensors: Whether it is a `seg.predictors.gpu_segmentation.TensorRuntime`, too.
    """

    enqueued_s: float | None = None
    offers_tensors = False

    def __init__(
        self,
        spec: ModelSpec,
        description: str,
        precision: Precision,
        metadata: Mapping[str, str] = MappingProxyType({}),
        max_batch: int | None = None,
    ) -> None:
        self._spec, self.description, self.precision = spec, description, precision
        self.metadata, self.max_batch = metadata, max_batch
        self._lock = threading.RLock()
        self._is_closed = False

    @property
    def spec(self) -> ModelSpec:
        """What the network is."""
        return self._spec

    def run(self, images: Float32) -> dict[str, Float32]:
        """Runs the network.

        More images than the engine takes at once are split; a graph of a fixed batch is filled up.

        Args:
            images: float32 `(B, 3, H, W)` RGB, 0..1, B at least 1. `H` and `W` are the spec's
                canvas, or any multiples of its stride where it has none.

        Returns:
            Each of the spec's outputs by its name, float32 `(B, ...)`; the caller's own arrays.

        Raises:
            ShapeError: `images` has another shape or dtype.
            EngineFailure: The engine failed, or the runtime is closed.
        """
        self._check(images)
        parts = [self._run_open(part) for part in self._split(np.ascontiguousarray(images))]
        if len(parts) == 1 and self.spec.batch in (None, len(images)):
            return dict(parts[0])
        return {k: np.concatenate([p[k] for p in parts])[: len(images)] for k in parts[0]}

    def open_reference(self) -> "Runtime | None":
        """Opens the same weights in eager float32 on the CPU, for a self-test.

        Returns:
            The caller's to close; None where an artifact has no weights that torch can read, and
            carries its source's scores instead.
        """
        return None

    def close(self) -> None:
        """Frees the engine; harmless twice. `run` then says that it is closed."""
        with self._lock:
            self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def _run(self, images: Float32) -> Mapping[str, Float32]:
        """Runs the network on checked, contiguous input of a batch that the engine takes."""

    def _run_open(self, images: Float32) -> Mapping[str, Float32]:
        with self._lock:
            self._check_open()
            return self._run(images)

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineFailure("This runtime is closed; open the model again.")

    def _split(self, images: Float32) -> Iterator[Float32]:
        size = self.spec.batch or self.max_batch or len(images)
        for start in range(0, len(images), size):
            part = images[start : start + size]
            if self.spec.batch and len(part) < size:
                filling = np.zeros((size - len(part), *part.shape[1:]), np.float32)
                part = np.concatenate([part, filling])
            yield part

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


def check_outputs(spec: ModelSpec, found: Sequence[str], name: str) -> None:
    """Raises ArtifactError unless a file returns everything that its spec names.

    Args:
        spec: Of the file.
        found: Names of the arrays that its graph returns.
        name: The file's.
    """
    expected = [output.name for output in spec.outputs]
    if not set(expected) <= set(found):
        raise ArtifactError(
            f"{name} returns {', '.join(found)}; its spec says {', '.join(expected)}. "
            "Export it again with export/to_onnx.py."
        )
