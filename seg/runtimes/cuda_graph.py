"""A CUDA graph between fixed buffers: what every engine on a GPU does around its own work."""

import time
from collections.abc import Callable

import torch

from seg.results import Float32

CUDA = torch.device("cuda")


class Replay:
    """Pinned and device buffers on both sides of work that is recorded once and replayed.

    Args:
        shape_in: Of the pictures, float32.
        shape_out: Of the logits, float32.

    Attributes:
        images: The device's buffer that the work reads.
        logits: The one that it writes.
        stream: Where it runs.
        enqueued_s: Seconds that the last run took to enqueue copies and work.
    """

    def __init__(self, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> None:
        self.enqueued_s = 0.0
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._host_in, self.images = _pair(shape_in)
        self._host_out, self.logits = _pair(shape_out)

    def capture(self, work: Callable[[], None], warmups: int = 1) -> None:
        """Records `work`, which only enqueues on `stream`.

        Args:
            work: Reads `images` and writes `logits`.
            warmups: Runs before: lazy initialisation would end up in the graph.
        """
        torch.cuda.synchronize()
        with torch.cuda.stream(self.stream):
            for _ in range(warmups):
                work()
        self.stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self.stream):
            work()

    def run(self, images: Float32) -> Float32:
        """Copies in, replays, copies out, waits; the result is the caller's."""
        start = time.perf_counter()
        self._host_in.numpy()[:] = images
        with torch.cuda.stream(self.stream):
            self.images.copy_(self._host_in, non_blocking=True)
            self._graph.replay()
            self._host_out.copy_(self.logits, non_blocking=True)
        self.enqueued_s = time.perf_counter() - start
        self.stream.synchronize()
        logits: Float32 = self._host_out.numpy().copy()
        return logits

    def on_device(self, images: torch.Tensor) -> torch.Tensor:
        """Enqueues a replay on the current stream, for pictures that are on the device already.

        Returns:
            The buffer that the next run writes into.
        """
        self.images.copy_(images)
        self._graph.replay()
        return self.logits


def _pair(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a pinned and a device buffer, float32."""
    return torch.empty(shape, pin_memory=True), torch.empty(shape, device=CUDA)
