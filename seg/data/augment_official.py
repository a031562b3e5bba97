"""The official views: how DINOv2's own `ms` heads were trained on images, after mmsegmentation.

Resize of the short side by a random factor, a crop that no class fills, flip, photometric
distortion: the configuration in https://github.com/facebookresearch/dinov2/issues/277, and
`RandomCrop` and `PhotoMetricDistortion` of mmsegmentation 0.27.
"""

import cv2
import numpy as np

from seg.data.augment import label_plane
from seg.data.samples import IGNORE
from seg.imaging.letterbox import Size, hw_of, resize, resize_labels
from seg.results import UInt8

CAT_MAX_RATIO = 0.75
TRIES = 10


class OfficialAugment:
    """Draws views as the official recipe does; `seed`, `view` and `recolor` as of `Augment`.

    Args:
        crop_hw: Size of a view.
        scale: Smallest and largest factor on an image whose short side is that of the crop.
        pad_rgb: Color outside the image, RGB 0..1.
    """

    def __init__(
        self, crop_hw: Size, scale: tuple[float, float], pad_rgb: tuple[float, float, float]
    ) -> None:
        self.crop_hw, self.scale = crop_hw, scale
        self._fill = [round(255 * value) for value in reversed(pad_rgb)]
        self._rng = np.random.default_rng(0)

    def seed(self, seed: int) -> None:
        """Makes the views that follow depend on `seed` alone."""
        self._rng = np.random.default_rng(seed)

    def view(self, image: UInt8, labels: UInt8) -> tuple[UInt8, UInt8]:
        """Draws scale, crop and flip; colors stay.

        Args:
            image: uint8 `(H, W, 3)` BGR.
            labels: uint8 `(H, W)`, or planes `(H, W, 1 + C)`.

        Returns:
            Image and labels of size `crop_hw`.
        """
        factor = self._rng.uniform(*self.scale) * min(self.crop_hw) / min(labels.shape[:2])
        hw = round(labels.shape[0] * factor), round(labels.shape[1] * factor)
        image, labels = self._padded(resize(image, hw), resize_labels(labels, hw))
        for _ in range(TRIES):
            window = self._window(hw_of(labels))
            if not _is_filled(label_plane(labels)[window]):
                break
        flip = slice(None, None, -1 if self._rng.random() < 0.5 else 1)
        cropped = image[window][:, flip], labels[window][:, flip]
        return np.ascontiguousarray(cropped[0]), np.ascontiguousarray(cropped[1])

    def recolor(self, image: UInt8) -> UInt8:
        """Draws brightness, contrast, saturation and hue, each in half of the images."""
        draw = self._rng.uniform
        happens = self._rng.random(5) < 0.5
        if happens[0]:
            image = _linear(image, 1, draw(-32, 32))
        if happens[1] and happens[2]:
            image = _linear(image, draw(0.5, 1.5), 0)
        if happens[3]:
            image = _hsv(image, draw(0.5, 1.5), 0)
        if happens[4]:
            image = _hsv(image, 1, int(self._rng.integers(-18, 18)))
        if happens[1] and not happens[2]:
            image = _linear(image, draw(0.5, 1.5), 0)
        return image

    def _padded(self, image: UInt8, labels: UInt8) -> tuple[UInt8, UInt8]:
        below, right = (max(0, c - s) for c, s in zip(self.crop_hw, labels.shape[:2], strict=True))
        if not below and not right:
            return image, labels
        edge = 0, below, 0, right, cv2.BORDER_CONSTANT
        padded = cv2.copyMakeBorder(image, *edge, value=self._fill)
        return (
            np.asarray(padded, np.uint8),
            np.pad(labels, [(0, below), (0, right), (0, 0)][: labels.ndim], constant_values=IGNORE),
        )

    def _window(self, hw: Size) -> tuple[slice, slice]:
        top, left = (
            int(self._rng.integers(side - crop + 1))
            for side, crop in zip(hw, self.crop_hw, strict=True)
        )
        return slice(top, top + self.crop_hw[0]), slice(left, left + self.crop_hw[1])


def _is_filled(labels: UInt8) -> bool:
    """Says whether a crop shows one class alone, or nearly."""
    counts = np.bincount(labels.ravel(), minlength=256)
    counts[IGNORE] = 0
    return bool((counts > 0).sum() < 2 or counts.max() >= CAT_MAX_RATIO * counts.sum())


def _linear(image: UInt8, factor: float, offset: float) -> UInt8:
    table = np.clip(np.arange(256) * factor + offset, 0, 255).astype(np.uint8)
    return np.asarray(table[image], np.uint8)


def _hsv(image: UInt8, saturation: float, hue: int) -> UInt8:
    """Changes the saturation by a factor, and the hue by steps of two degrees."""
    hsv: UInt8 = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), np.uint8)
    hsv[..., 0] = ((hsv[..., 0].astype(np.int16) + hue) % 180).astype(np.uint8)
    hsv[..., 1] = _linear(hsv[..., 1], saturation, 0)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
