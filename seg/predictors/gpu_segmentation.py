"""Frames to masks on the GPU where the network is: only bytes and a few scores cross the bus."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from seg.errors import EngineFailure, ShapeError
from seg.imaging.letterbox import Letterbox, Size, resize_matrices
from seg.models.decode import decode
from seg.results import Float32, UInt8
from seg.spec import ModelSpec

MAX_SIZES = 8  # pairs of frame size and canvas whose matrices are kept, about 10 MB each


class TensorRuntime(Protocol):
    """A runtime that also takes and returns tensors of its own device."""

    @property
    def spec(self) -> ModelSpec:
        """What the network is."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""

    def run_tensors(self, images: Tensor) -> Mapping[str, Tensor]:
        """Enqueues the network's work on the current stream.

        Args:
            images: float32 `(B, 3, H, W)` RGB, 0..1, on the device.

        Returns:
            The spec's outputs by name, on the device; the caller's own tensors.
        """


class GpuSegmentation:
    """Fits frames onto a network's canvas and turns its scores into labels, on its device.

    What `Letterbox` and `seg.predictors.decode` do on the processor. Resizes are linear, so each
    is a product with two matrices, made of the processor's own weights
    (`seg.imaging.letterbox.resize_matrices`): pixels of the canvas differ by at most one gray
    level, where rounding falls to the other side. Frames of several sizes and calls from several
    threads share nothing but these matrices.

    Args:
        runtime: Of a network with a segmentation output.
        output: The name of that output.
    """

    def __init__(self, runtime: TensorRuntime, output: str) -> None:
        self.device, self._runtime, self._output = runtime.device, runtime, output
        color = torch.tensor(runtime.spec.pad_rgb, device=self.device)
        self._pad_rgb = color.view(1, 3, 1, 1)
        self._fit = functools.lru_cache(MAX_SIZES)(self._fit_matrices)
        self._back = functools.lru_cache(MAX_SIZES)(self._back_matrices)

    def __call__(
        self, images: Sequence[UInt8], letterboxes: Sequence[Letterbox]
    ) -> list[tuple[Float32, UInt8]]:
        """Segments frames that share a canvas.

        Args:
            images: Each uint8 `(H, W, 3)` BGR.
            letterboxes: Of each, with one `canvas_hw`.

        Returns:
            For each, logits float32 `(C, h, w)` and labels uint8 `(H, W)`; both the caller's.

        Raises:
            ShapeError: A frame is not of its letterbox's size.
            EngineFailure: The device failed.
        """
        pairs = list(zip(images, letterboxes, strict=True))
        canvases = [self.pack(self.upload(image), box) for image, box in pairs]
        logits = self.run(canvases[0] if len(canvases) == 1 else torch.cat(canvases))
        return [
            self.download(one[None], self.decode(one[None], box))
            for one, box in zip(logits, letterboxes, strict=True)
        ]

    def upload(self, image: UInt8) -> Tensor:
        """Copies a frame to the device, uint8 `(H, W, 3)` BGR."""
        with self._computing():
            frame = self._pinned(image.shape)
            frame.numpy()[:] = image
            return frame.to(self.device, non_blocking=True)

    def pack(self, frame: Tensor, letterbox: Letterbox) -> Tensor:
        """As `Letterbox.pack`: uint8 `(H, W, 3)` BGR -> float32 `(1, 3, *canvas_hw)` RGB 0..1."""
        if frame.shape[:2] != letterbox.frame_hw:
            got = tuple(frame.shape[:2])
            raise ShapeError(f"This letterbox is for {letterbox.frame_hw}; got {got}.")
        with self._computing():
            rows, columns = self._fit(letterbox)
            height, width = letterbox.image_hw
            fitted = rows @ frame.permute(2, 0, 1).flip(0).float() @ columns
            canvas = self._pad_rgb.expand(1, 3, *letterbox.canvas_hw).contiguous()
            # Whole gray levels, as the processor's canvas has them.
            canvas[0, :, :height, :width] = (fitted + 0.5).floor_().clamp_(0, 255) / 255
            return canvas

    def run(self, canvases: Tensor) -> Tensor:
        """Runs the network: `(B, 3, *canvas_hw)` -> float32 logits `(B, C, h, w)`."""
        with self._computing():
            return self._runtime.run_tensors(canvases)[self._output].float()

    def decode(self, logits: Tensor, letterbox: Letterbox) -> Tensor:
        """As `seg.predictors.decode.decode_logits`: `(1, C, h, w)` -> uint8 `(H, W)`."""
        with self._computing():
            rows, columns = self._back(letterbox, (logits.shape[2], logits.shape[3]))

            def enlarge(maps: Tensor) -> Tensor:
                return (rows @ maps[0, 0] @ columns)[None, None]

            return decode(logits, enlarge, at_once=False)[0]

    def download(self, logits: Tensor, labels: Tensor) -> tuple[Float32, UInt8]:
        """Copies one frame's logits and labels to the processor; waits for all that came before."""
        with self._computing():
            mask = self._pinned(labels.shape)
            mask.copy_(labels, non_blocking=True)
            scores: Float32 = logits[0].cpu().numpy()
            self.wait()
            return np.array(scores), mask.numpy().copy()

    def wait(self) -> None:
        """Waits until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _pinned(self, shape: Sequence[int]) -> Tensor:
        # Pinned memory is what a GPU can fetch while the processor does something else; torch keeps
        # it for the next frame.
        return torch.empty(*shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")

    def _fit_matrices(self, letterbox: Letterbox) -> tuple[Tensor, Tensor]:
        return self._upload_matrices(*resize_matrices(letterbox.frame_hw, letterbox.image_hw))

    def _back_matrices(self, letterbox: Letterbox, grid_hw: Size) -> tuple[Tensor, Tensor]:
        """Returns the matrices from the network's grid to the frame: two resizes, one product."""
        height, width = letterbox.image_hw
        up, across = resize_matrices(grid_hw, letterbox.canvas_hw)
        rows, columns = resize_matrices(letterbox.image_hw, letterbox.frame_hw)
        return self._upload_matrices(rows @ up[:height], across[:, :width] @ columns)

    def _upload_matrices(self, rows: Float32, columns: Float32) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(rows).to(self.device), torch.from_numpy(columns).to(self.device)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Computes without gradients, and says in one line that the device failed."""
        try:
            with torch.inference_mode():
                yield
        except RuntimeError as error:
            raise EngineFailure(f"{self.device} failed: {error}") from error
