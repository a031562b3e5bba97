"""What the library returns: plain numpy, checked when it is made."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Mask:
    """A class for each pixel of a frame.

    Attributes:
        labels: `(H, W)` uint8, the frame's own size; values index `classes`.
        classes: Class names; index 0 is the background.
    """

    labels: UInt8
    classes: tuple[str, ...]

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
