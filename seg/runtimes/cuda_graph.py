"""A CUDA graph between fixed buffers: what every engine on a GPU does around its own work."""

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from seg.results import Float32

CUDA = torch.device("cuda")
Shape = tuple[int, ...]


class CudaGraphRunner:
    """Pinned and device buffers on both sides of work that is recorded once and replayed.

    One caller at a time: whoever owns it holds a lock.

    Args:
        input_shape: Of the images, float32.
        output_shapes: Of each output, float32, by its name.

    Attributes:
        images: The device's buffer that the work reads.
        outputs: Those that it writes, by name.
        stream: Where it runs.
        enqueued_s: Seconds that the last run took to enqueue copies and work.
    """

    def __init__(self, input_shape: Shape, output_shapes: Mapping[str, Shape]) -> None:
        self.enqueued_s = 0.0
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._host_images, self.images = _pair(input_shape)
        pairs = {name: _pair(shape) for name, shape in output_shapes.items()}
        self._host_outputs = {name: host for name, (host, _) in pairs.items()}
        self.outputs = {name: device for name, (_, device) in pairs.items()}

    def capture(self, work: Callable[[], None], warmups: int = 1) -> None:
        """Records `work`, which only enqueues on `stream`.

        Args:
            work: Reads `images` and writes `outputs`.
            warmups: Runs before: lazy initialization would end up in the graph.
        """
        torch.cuda.synchronize()
        with torch.cuda.stream(self.stream):
            for _ in range(warmups):
                work()
        self.stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self.stream):
            work()

    def run(self, images: Float32) -> dict[str, Float32]:
        """Copies in, replays, copies out, waits; the results are the caller's."""
        start = time.perf_counter()
        self._host_images.numpy()[:] = images
        with torch.cuda.stream(self.stream):
            self.images.copy_(self._host_images, non_blocking=True)
            self._graph.replay()
            for name, buffer in self.outputs.items():
                self._host_outputs[name].copy_(buffer, non_blocking=True)
        self.enqueued_s = time.perf_counter() - start
        self.stream.synchronize()
        return {name: host.numpy().copy() for name, host in self._host_outputs.items()}

    def run_tensors(self, images: Tensor) -> dict[str, Tensor]:
        """Enqueues a replay on the current stream, for images that are on the device already.

        Args:
            images: As many as the buffer holds, or fewer: the rest keeps what it had.

        Returns:
            The outputs of these images; the caller's, since the next replay overwrites the buffers.
        """
        self.images[: len(images)].copy_(images)
        self._graph.replay()
        return {name: buffer[: len(images)].clone() for name, buffer in self.outputs.items()}


def _pair(shape: Shape) -> tuple[Tensor, Tensor]:
    """Returns a pinned and a device buffer, float32."""
    return torch.empty(shape, pin_memory=True), torch.empty(shape, device=CUDA)
