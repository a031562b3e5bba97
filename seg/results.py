"""What the library returns: plain numpy, checked when it is made."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
POOLINGS = ("cls", "mean")


@dataclasses.dataclass(frozen=True, slots=True)
class Mask:
    """A class for each pixel of a frame.

    Attributes:
        labels: `(H, W)` uint8, the frame's own size; values index `classes`.
        classes: Class names; index 0 is the background.
        is_reused: Whether it was carried here from an earlier frame, and not predicted.
    """

    labels: UInt8
    classes: tuple[str, ...]
    is_reused: bool = False

    def __post_init__(self) -> None:
        if self.labels.dtype != np.uint8 or self.labels.ndim != 2:
            raise ShapeError(
                f"A mask's labels are uint8 (H, W); got {self.labels.dtype} {self.labels.shape}."
            )

    def of(self, name: str) -> NDArray[np.bool_]:
        """Returns `(H, W)` bool, true where the class called `name` is.

        Raises:
            ShapeError: There is no such class.
        """
        if name not in self.classes:
            raise ShapeError(f"No class '{name}'; this mask has {', '.join(self.classes)}.")
        return np.asarray(self.labels == self.classes.index(name))

    def area_fraction(self, name: str) -> float:
        """Returns the fraction of the frame, 0..1, that the class called `name` covers."""
        return float(self.of(name).mean())

    def to_dict(self) -> dict[str, float]:
        """Returns the fraction of the frame that each class covers, without the background."""
        return {name: round(self.area_fraction(name), 6) for name in self.classes[1:]}


@dataclasses.dataclass(frozen=True, slots=True)
class Features:
    """What a backbone sees in an image: a vector for the whole of it and one for each patch.

    Patch `(row, column)` covers the image's pixels from `origin + (row, column) * patch_hw` on,
    `patch_hw` of them. Where the image was padded, the last row and column may reach beyond it.

    Attributes:
        cls: `(D,)` float32, the class token; of a convolutional network the mean of the patches
            that lie within the image.
        patches: `(h, w, D)` float32, those that show some of the image.
        frame_hw: Height and width of the image.
        patch_hw: Height and width of a patch, in pixels of the image.
        origin: Row and column of the first patch's first pixel; not 0, 0 where the image was
            cropped.
    """

    cls: Float32
    patches: Float32
    frame_hw: tuple[int, int]
    patch_hw: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        cls, patches = self.cls, self.patches
        if cls.dtype != np.float32 or patches.dtype != np.float32:
            raise ShapeError(f"Features are float32; got {cls.dtype} and {patches.dtype}.")
        if cls.ndim != 1 or patches.ndim != 3 or patches.shape[2:] != cls.shape or not patches.size:
            raise ShapeError(
                f"Features are (D,) and (h, w, D), not empty; got {cls.shape} and {patches.shape}."
            )
        if min(*self.frame_hw, *self.patch_hw) <= 0:
            raise ShapeError(f"Sizes are positive; got {self.frame_hw} and {self.patch_hw}.")

    @property
    def whole_hw(self) -> tuple[int, int]:
        """How many rows and columns of patches lie within the image; at least one."""
        ends = zip(self.frame_hw, self.origin, self.patch_hw, self.patches.shape, strict=False)
        # The small part makes up for the rounding of a division.
        rows, columns = (
            max(1, min(count, int((frame - start) / side + 1e-6)))
            for frame, start, side, count in ends
        )
        return rows, columns

    def vector(self, pooling: str = "cls") -> Float32:
        """Returns one vector of length 1 for the image, `(D,)`; zeros stay zeros.

        Args:
            pooling: `cls`, or `mean` for the mean of the patches that lie within the image.

        Raises:
            ShapeError: There is no such pooling.
        """
        if pooling not in POOLINGS:
            raise ShapeError(f"No pooling '{pooling}'; expected one of {', '.join(POOLINGS)}.")
        vector = self.cls if pooling == "cls" else mean_of_patches(self.patches, self.whole_hw)
        length = np.linalg.norm(vector)
        return np.asarray(vector / length if length else vector.copy(), np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """Returns the vector of length 1 for the image, as `vector`."""
        return {"vector": [round(float(value), 6) for value in self.vector()]}

    def patch_at(self, row: float, column: float) -> tuple[int, int]:
        """Returns the patch that shows a pixel of the image: its row and column in the grid.

        Raises:
            ShapeError: The pixel is outside the image, or was cut off before the network.
        """
        point, shape = (row, column), self.patches.shape
        if all(0 <= at < side for at, side in zip(point, self.frame_hw, strict=True)):
            ends = zip(point, self.origin, self.patch_hw, strict=True)
            found = [int((at - start) // side) for at, start, side in ends]
            if all(0 <= at < count for at, count in zip(found, shape, strict=False)):
                return found[0], found[1]
        (top, left), (height, width) = self.origin, self.patch_hw
        bottom = min(self.frame_hw[0], top + shape[0] * height)
        right = min(self.frame_hw[1], left + shape[1] * width)
        raise ShapeError(
            f"No patch shows the pixel {column:g} {row:g}; expected x from {left:g} to {right:g} "
            f"and y from {top:g} to {bottom:g}."
        )


def mean_of_patches(patches: Float32, whole_hw: tuple[int, int]) -> Float32:
    """Returns the mean of the first rows and columns of patches, `(h, w, D)` -> `(D,)`."""
    return np.asarray(patches[: whole_hw[0], : whole_hw[1]].mean((0, 1)), np.float32)


@dataclasses.dataclass(frozen=True, slots=True)
class PatchColors:
    """A color for each patch of an image, and where the patches are; as of `Features`.

    Attributes:
        colors: `(h, w, 3)` uint8 BGR.
        frame_hw: Height and width of the image.
        patch_hw: Height and width of a patch, in pixels of the image.
        origin: Row and column of the first patch's first pixel.
    """

    colors: UInt8
    frame_hw: tuple[int, int]
    patch_hw: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        colors = self.colors
        if colors.dtype != np.uint8 or colors.ndim != 3 or colors.shape[2] != 3 or not colors.size:
            raise ShapeError(f"Colors are uint8 (h, w, 3); got {colors.dtype} {colors.shape}.")


@dataclasses.dataclass(frozen=True, slots=True)
class Classification:
    """The classes of a whole image.

    Attributes:
        probabilities: `(C,)` float32, 0..1, their sum is 1.
        classes: Class names; the index is the label.
    """

    probabilities: Float32
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        got = self.probabilities
        if got.dtype != np.float32 or got.shape != (len(self.classes),):
            raise ShapeError(
                f"Expected probabilities float32 ({len(self.classes)},), one for each class; got "
                f"{got.dtype} {got.shape}."
            )

    @property
    def label(self) -> int:
        """The index of the likeliest class; of equal ones the first."""
        return int(self.probabilities.argmax())

    def top(self, count: int) -> list[tuple[str, float]]:
        """Returns the likeliest classes and their probabilities, the likeliest first.

        Args:
            count: How many; all where there are fewer.
        """
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[index], float(self.probabilities[index])) for index in order]

    def to_dict(self) -> dict[str, float]:
        """Returns the probabilities of the five likeliest classes by name, the likeliest first."""
        return dict(self.top(5))
