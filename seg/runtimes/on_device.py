"""Frames to masks on the device where the network is: only bytes and a few scores cross the bus."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from seg.errors import EngineFailure, ShapeError
from seg.imaging.letterbox import Letterbox, Size, check_image, resizing
from seg.results import Float32, UInt8

Network = Callable[[Tensor], Tensor]
Given = ParamSpec("Given")
Made = TypeVar("Made")


def _computed(
    stage: Callable[Concatenate["DeviceFrames", Given], Made],
) -> Callable[Concatenate["DeviceFrames", Given], Made]:
    """Runs a stage without gradients, and says in one line that the device failed."""

    @functools.wraps(stage)
    def run(frames: "DeviceFrames", /, *given: Given.args, **named: Given.kwargs) -> Made:
        try:
            with torch.inference_mode():
                return stage(frames, *given, **named)
        except RuntimeError as error:
            raise EngineFailure(f"{frames.device} failed: {error}") from error

    return run


class DeviceFrames:
    """Carries frames of one size onto a network's canvas, and its scores back, on its device.

    What `Letterbox` does on the processor. Its resizes are linear, so each is a product with two
    matrices, made of the processor's own weights (`seg.imaging.letterbox.resizing`): pixels of the
    canvas differ by at most one grey level, where rounding falls to the other side.

    Args:
        letterbox: Between the frames and the canvas.
        pad_rgb: Colour of the padding, RGB 0..1.
        device: Where the network is.
        network: `(1, 3, *canvas_hw)` RGB 0..1 -> logits `(1, C, h, w)`, both there.
    """

    def __init__(
        self,
        letterbox: Letterbox,
        pad_rgb: tuple[float, float, float],
        device: torch.device,
        network: Network,
    ) -> None:
        self.letterbox, self.device, self._network = letterbox, device, network
        colour = torch.tensor(pad_rgb, device=device).view(1, 3, 1, 1)
        self._canvas = colour.expand(1, 3, *letterbox.canvas_hw).contiguous()
        self._fit = self._matrices(*resizing(letterbox.frame_hw, letterbox.image_hw))
        self._back: dict[Size, tuple[Tensor, Tensor]] = {}
        # Pinned memory is what a GPU can fetch while the processor does something else.
        pinned = device.type == "cuda"
        self._frame = torch.empty((*letterbox.frame_hw, 3), dtype=torch.uint8, pin_memory=pinned)
        self._labels = torch.empty(letterbox.frame_hw, dtype=torch.uint8, pin_memory=pinned)

    def run(self, image: UInt8) -> tuple[Float32, UInt8]:
        """Segments a frame.

        Args:
            image: uint8 `(H, W, 3)` BGR of the letterbox's `frame_hw`.

        Returns:
            Logits float32 `(C, h, w)`, and labels uint8 `(H, W)`; both are the caller's.

        Raises:
            ShapeError: The image is none, or of another size.
            EngineFailure: The device failed.
        """
        logits = self.score(self.pack(self.upload(image)))
        return self.download(logits, self.labels(logits))

    @_computed
    def upload(self, image: UInt8) -> Tensor:
        """Copies a frame to the device; raises ShapeError as `run` does."""
        check_image(image)
        if image.shape[:2] != self.letterbox.frame_hw:
            raise ShapeError(f"These frames are {self.letterbox.frame_hw}; got {image.shape[:2]}.")
        self._frame.numpy()[:] = image
        return self._frame.to(self.device, non_blocking=True)

    @_computed
    def pack(self, frame: Tensor) -> Tensor:
        """As `Letterbox.pack`: uint8 `(H, W, 3)` BGR -> float32 `(1, 3, *canvas_hw)` RGB 0..1."""
        rows, columns = self._fit
        height, width = self.letterbox.image_hw
        fitted = rows @ frame.permute(2, 0, 1).flip(0).float() @ columns
        # Whole grey levels, as the processor's canvas has them.
        self._canvas[0, :, :height, :width] = (fitted + 0.5).floor_().clamp_(0, 255) / 255
        return self._canvas

    @_computed
    def score(self, pixels: Tensor) -> Tensor:
        """Runs the network."""
        return self._network(pixels)

    @_computed
    def labels(self, logits: Tensor) -> Tensor:
        """As `seg.predictors.segmenter.labels_of`: `(1, C, h, w)` -> uint8 `(H, W)`."""
        scores = logits[0].float()
        rows, columns = self._way_back((scores.shape[1], scores.shape[2]))
        if len(scores) == 2:
            return ((rows @ (scores[1] - scores[0]) @ columns) > 0).to(torch.uint8)
        best = rows @ scores[0] @ columns
        labels = torch.zeros_like(best, dtype=torch.uint8)
        for label in range(1, len(scores)):
            found = rows @ scores[label] @ columns
            labels[found > best] = label
            torch.maximum(best, found, out=best)
        return labels

    @_computed
    def download(self, logits: Tensor, labels: Tensor) -> tuple[Float32, UInt8]:
        """Copies both to the processor, and waits for all that came before."""
        self._labels.copy_(labels, non_blocking=True)
        scores: Float32 = logits[0].float().cpu().numpy()
        self.wait()
        return np.array(scores), self._labels.numpy().copy()

    def wait(self) -> None:
        """Waits until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _way_back(self, grid_hw: Size) -> tuple[Tensor, Tensor]:
        """Returns the matrices from the network's grid to the frame: two resizes, one product."""
        if grid_hw not in self._back:
            box = self.letterbox
            height, width = box.image_hw
            up, across = resizing(grid_hw, box.canvas_hw)
            rows, columns = resizing(box.image_hw, box.frame_hw)
            self._back[grid_hw] = self._matrices(rows @ up[:height], across[:, :width] @ columns)
        return self._back[grid_hw]

    def _matrices(self, rows: Float32, columns: Float32) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(rows).to(self.device), torch.from_numpy(columns).to(self.device)
