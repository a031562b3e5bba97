"""Random views of an image and its labels, drawn together.

Built on albumentations 2.0.8, and the only file that imports it.
"""

import os

import cv2
import numpy as np

# At import albumentations checks online for a newer version, unless this is set.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb

from seg.data.samples import IGNORE
from seg.imaging.letterbox import Size, resize, resize_labels
from seg.results import UInt8

# An image `(H, W, 3)` and what is known of its pixels: labels `(H, W)`, or planes `(H, W, 1 + C)`
# with the labels first and a teacher's scores of C classes behind, 255 where there are none.
View = tuple[UInt8, UInt8]


class Augment:
    """Draws random views: scale, crop, flip, small turns, then color, blur and noise.

    What lies outside the image gets the mean color and the label `IGNORE`, never background.

    Args:
        crop_hw: Size of a view.
        scale: Smallest and largest scale of the image that comes in.
        pad_rgb: Color outside the image, RGB 0..1.
        color: 0 leaves colors alone, 1 is the usual strength, more is stronger.
        rotate: Largest angle of rotation, in degrees.
        rotate_prob: Share of the views that are rotated and sheared.
        gray_prob: Share of the views without color, where `color` is not 0.
    """

    def __init__(
        self,
        crop_hw: Size,
        scale: tuple[float, float],
        pad_rgb: tuple[float, float, float],
        color: float = 1.0,
        rotate: float = 8.0,
        rotate_prob: float = 0.3,
        gray_prob: float = 0.05,
    ) -> None:
        height, width = crop_hw
        # A shorter side, of an image that is a mere strip, could be scaled to nothing.
        self._shortest = int(1 / scale[0]) + 1
        fill = tuple(round(255 * value) for value in reversed(pad_rgb))
        outside = {"border_mode": cv2.BORDER_CONSTANT, "fill": fill, "fill_mask": IGNORE}
        self._geometry = alb.Compose(
            [
                alb.RandomScale((scale[0] - 1, scale[1] - 1), area_for_downscale="image", p=1),
                alb.PadIfNeeded(height, width, position="random", **outside),
                alb.RandomCrop(height, width),
                alb.HorizontalFlip(p=0.5),
                alb.Affine(rotate=(-rotate, rotate), shear=(-4, 4), p=rotate_prob, **outside),
            ]
        )
        self._photometry = alb.Compose(_photometry(color, gray_prob) if color > 0 else [])

    def seed(self, seed: int) -> None:
        """Makes the views that follow depend on `seed` alone."""
        self._geometry.set_random_seed(seed)
        self._photometry.set_random_seed(seed + 1)

    def view(self, image: UInt8, labels: UInt8) -> View:
        """Draws scale, crop, flip and turn; colors stay.

        Args:
            image: uint8 `(H, W, 3)` BGR.
            labels: uint8 `(H, W)`, or planes `(H, W, 1 + C)`.

        Returns:
            Image and labels of size `crop_hw`.
        """
        hw = max(image.shape[0], self._shortest), max(image.shape[1], self._shortest)
        out = self._geometry(image=resize(image, hw), mask=resize_labels(labels, hw))
        return out["image"], out["mask"]

    def recolor(self, image: UInt8) -> UInt8:
        """Draws brightness, contrast, color, blur, noise and compression."""
        recolored: UInt8 = self._photometry(image=image)["image"]
        return recolored


def _photometry(color: float, gray_prob: float) -> list[alb.BasicTransform]:
    jitter = min(0.9, 0.4 * color)
    return [
        alb.ColorJitter(jitter, jitter, jitter, min(0.5, 0.06 * color), p=0.8),
        alb.ToGray(p=gray_prob),
        alb.RandomGamma((70, 140), p=0.2),
        alb.OneOf(
            [
                alb.GaussianBlur((3, 5)),
                alb.MotionBlur((3, 7)),
                alb.GaussNoise((0.02, 0.08)),
                alb.ImageCompression(quality_range=(35, 90)),
            ],
            p=0.35,
        ),
    ]


def copy_paste(view: View, donor: View) -> View:
    """Copies everything that is not background from one view onto another of the same size.

    Simple Copy-Paste (Ghiasi et al., 2021): labels are the donor's there, edges are blended over
    about a pixel. Pixels that the donor ignores are not copied.
    """
    image, labels = view
    extra, extra_labels = donor
    classes = label_plane(extra_labels)
    wanted = ((classes > 0) & (classes != IGNORE)).astype(np.uint8)
    alpha = cv2.GaussianBlur(wanted * np.float32(1), (3, 3), 0)[..., None]
    blended = image + (extra.astype(np.float32) - image) * alpha
    is_wanted = wanted.reshape(*wanted.shape, *[1] * (labels.ndim - 2)) > 0
    return blended.round().astype(np.uint8), np.where(is_wanted, extra_labels, labels)


def label_plane(planes: UInt8) -> UInt8:
    """Returns the labels `(H, W)` of a view's second part."""
    return planes if planes.ndim == 2 else planes[..., 0]
