"""Random views of an image for classification: a resized crop, mirrored or not, and its colors.

Built on albumentations, as `seg.data.augment` is.
"""

import os

import cv2

# At import albumentations checks online for a newer version, unless this is set.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb

from seg.imaging.letterbox import Size
from seg.results import UInt8

RATIO = (3 / 4, 4 / 3)  # of width and height of a crop, before it is resized


class ClassAugment:
    """Draws random views: a crop of random size and aspect, a flip, then color.

    Args:
        crop_hw: Size of a view.
        scale: Smallest and largest share of the image's area that is cropped.
        color: 0 leaves colors alone; 1 is the usual strength.
    """

    def __init__(self, crop_hw: Size, scale: tuple[float, float], color: float) -> None:
        jitter = min(0.9, 0.4 * color)
        self._views = alb.Compose(
            [
                alb.RandomResizedCrop(crop_hw, scale, RATIO, interpolation=cv2.INTER_LINEAR, p=1),
                alb.HorizontalFlip(p=0.5),
                *([alb.ColorJitter(jitter, jitter, jitter, 0.1 * color, p=0.8)] if color else []),
            ]
        )

    def seed(self, seed: int) -> None:
        """Makes the views that follow depend on `seed` alone."""
        self._views.set_random_seed(seed)

    def view(self, image: UInt8) -> UInt8:
        """Draws a view of uint8 `(H, W, 3)` BGR, `(*crop_hw, 3)`."""
        drawn: UInt8 = self._views(image=image)["image"]
        return drawn
