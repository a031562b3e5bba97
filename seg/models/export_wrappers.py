"""What is put around a network for an export: half precision inside, bytes in and masks out."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.decode import decode
from seg.spec import ModelSpec


class HalfPrecisionNet(nn.Module):
    """A copy of a network in a 16-bit type; float32 images in, float32 outputs."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.dtype = copy.deepcopy(net).to(dtype), dtype

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """`(B, 3, H, W)` RGB 0..1 -> what the network returns, one tensor or a tuple."""
        made: Tensor | tuple[Tensor, ...] = self.net(images.to(self.dtype))
        return made.float() if isinstance(made, Tensor) else tuple(one.float() for one in made)


class MaskNet(nn.Module):
    """Everything but the resize in one graph: raw frames in, labels out.

    The frame is at the size of the canvas already; what does not fill it is padded with the mean
    color, rounded to bytes, right and below.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor) -> Tensor:
        """`(B, H, W, 3)` uint8 BGR -> labels `(B, H, W)` uint8."""
        images = frames.permute(0, 3, 1, 2).flip(1).float() / 255
        size = (frames.shape[1], frames.shape[2])

        def enlarge(maps: Tensor) -> Tensor:
            # With half-pixel centers, as seg.imaging.letterbox does.
            return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)

        return decode(self.net(images), enlarge, at_once=True)


def example_input(spec: ModelSpec) -> tuple[Tensor, Any]:
    """Returns an input to trace with, and which of its sides are free."""
    if spec.canvas_hw and spec.input_kind == "frames":
        return torch.zeros(spec.batch or 1, *spec.canvas_hw, 3, dtype=torch.uint8), None
    if spec.canvas_hw:
        return torch.rand(spec.batch or 1, 3, *spec.canvas_hw), None
    # A batch of one would be taken for a constant (torch.export specializes sizes 0 and 1).
    images = torch.rand(2, 3, 2 * spec.stride, 3 * spec.stride)
    rows, columns = (spec.stride * torch.export.Dim(name) for name in ("rows", "cols"))
    return images, ({0: torch.export.Dim("batch"), 2: rows, 3: columns},)


def wrap(net: nn.Module, spec: ModelSpec) -> nn.Module:
    """Returns what a spec's `precision` and `outputs` ask for; `net` itself is not changed."""
    inner = HalfPrecisionNet(net, torch.float16) if spec.precision == "float16" else net
    return (MaskNet(inner) if spec.input_kind == "frames" else inner).eval()
