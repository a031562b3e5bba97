"""Position embeddings for images of any size, by DINOv2's own two recipes, and a cache of them.

Shape letters are those of `seg.models.backbones.vit`.
"""

import math
import weakref
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.imaging.letterbox import Size


def resize_positions(positions: Tensor, grid_hw: Size, antialias: bool) -> Tensor:
    """Interpolates a position embedding to another grid, bicubic and in float32.

    The released weights learned under two recipes, and the wrong one moves the embedding by
    4-14 %. Plain models sample by the factor `(h + 0.1) / side`, which is not the ratio of the
    sizes; register models sample by that ratio and antialias.

    Args:
        positions: `(1, 1 + side * side, D)`: the class token's row, then a square grid's.
        grid_hw: The grid wanted.
        antialias: True for the recipe of the register models.

    Returns:
        `(1, 1 + h * w, D)` in the dtype of `positions`; `positions` itself where the grid is that
        size already.
    """
    side = math.isqrt(positions.shape[1] - 1)
    if grid_hw == (side, side):
        return positions
    of_class, of_patches = positions[:, :1].float(), positions[:, 1:].float()
    square = of_patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, side, side)
    if antialias:
        resized = F.interpolate(square, size=grid_hw, mode="bicubic", antialias=True)
    else:
        factors = [(length + 0.1) / side for length in grid_hw]
        resized = F.interpolate(square, scale_factor=factors, mode="bicubic")
    rows = resized.flatten(2).transpose(1, 2)  # (1, D, h, w) -> (1, h * w, D)
    return torch.cat((of_class, rows), dim=1).to(positions.dtype)


def resize_in_graph(positions: Tensor, grid_hw: Size) -> Tensor:
    """As `resize_positions` of a plain model, in operators that a graph of any size holds.

    ONNX's Resize samples by the ratio of the sizes, not by the recipe's factor, so the weights of
    the bicubic kernel are formed here, and interpolation is a matrix product on either side.
    """
    side = math.isqrt(positions.shape[1] - 1)
    of_class, of_patches = positions[:, :1].float(), positions[:, 1:].float()
    square = of_patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, side, side)
    # Tensors, for Python's arithmetic would fix the sizes in the graph.
    places = [torch.arange(length, dtype=torch.float32) for length in grid_hw]
    is_trained = (places[0][-1] == side - 1) & (places[1][-1] == side - 1)
    down, across = (_bicubic(along, side, is_trained) for along in places)
    resized = down @ square @ across.T
    rows = resized.flatten(2).transpose(1, 2)  # (1, D, h, w) -> (1, h * w, D)
    return torch.cat((of_class, rows), dim=1).to(positions.dtype)


def _bicubic(places: Tensor, side: int, is_trained: Tensor) -> Tensor:
    """Returns what each of `(n,)` places takes from each of `side`, `(n, side)`."""
    # The trained grid is returned untouched by the original: factor 1 is the identity.
    factor = torch.where(is_trained, 1.0, (places[-1] + 1.1) / side)
    centers = (places + 0.5) / factor - 0.5
    left = centers.floor()
    weights = torch.zeros_like(centers)[:, None]
    for tap in (-1, 0, 1, 2):
        source = (left + tap).clamp(0, side - 1)[:, None]
        share = _kernel((centers - left - tap).abs())[:, None]
        weights = weights + share * (source == torch.arange(side, dtype=torch.float32))
    return weights


def _kernel(distance: Tensor, a: float = -0.75) -> Tensor:
    """The cubic of Keys (1981), with torch's `a`; for distances up to 2."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, far)


class PositionCache:
    """The last few resized embeddings of one frozen parameter.

    Interpolation costs milliseconds for each image and gives what it gave the time before. It
    also keeps a bicubic resize out of exported graphs: an export traces with weights that hold no
    values, so it takes the embedding of the last ordinary call with that size as a constant.

    An entry dies with the values it came from: it is used only while the parameter's identity,
    storage and version are what they were. Optimizer steps, loading, and moves to another device
    or dtype all change one of them. Two cases are never cached: a parameter that requires a
    gradient, and `torch.compile`. Only writing through `.data` goes unseen; take `torch.no_grad()`.

    The cache is no part of the state dict, and a copied or pickled model starts an empty one.
    """

    capacity = 8  # sizes; a 46 x 82 grid of a ViT-S takes 6 MB

    def __init__(self) -> None:
        self._entries: dict[Size, _Entry] = {}

    def __reduce__(self) -> tuple[type["PositionCache"], tuple[()]]:
        return PositionCache, ()

    def resized(self, positions: nn.Parameter, grid_hw: Size, antialias: bool) -> Tensor:
        """Returns what `resize_positions` does, from the cache where that is safe."""
        if torch.compiler.is_exporting():
            # A free size has no embedding to take; its symbols cannot be looked up either.
            is_fixed = all(isinstance(side, int) for side in grid_hw)
            entry = self._entries.get(grid_hw) if is_fixed else None
            if entry is not None and entry.is_fresh():
                return entry.value
            if not is_fixed and not antialias:
                return resize_in_graph(positions, grid_hw)
            return resize_positions(positions, grid_hw, antialias)
        # An inference tensor has no version to compare.
        if torch.compiler.is_compiling() or positions.requires_grad or positions.is_inference():
            return resize_positions(positions, grid_hw, antialias)
        entry = self._entries.get(grid_hw)
        if entry is None or entry.owner() is not positions or not entry.is_fresh():
            value = resize_positions(positions, grid_hw, antialias)
            entry = _Entry(weakref.ref(positions), _stamp(positions), value)
            self._keep(grid_hw, entry)
        return entry.value

    def _keep(self, grid_hw: Size, entry: "_Entry") -> None:
        self._entries.pop(grid_hw, None)
        while len(self._entries) >= self.capacity:
            del self._entries[next(iter(self._entries))]  # the oldest
        self._entries[grid_hw] = entry


@dataclass(frozen=True, slots=True)
class _Entry:
    owner: weakref.ref[Tensor]
    stamp: tuple[int, int]
    value: Tensor

    def is_fresh(self) -> bool:
        """False once the parameter is gone or holds other values."""
        owner = self.owner()
        return owner is not None and _stamp(owner) == self.stamp


def _stamp(tensor: Tensor) -> tuple[int, int]:
    return tensor._version, tensor.data_ptr()
