"""ColorChange: how much the colors of patches change where the video itself does not."""

import numpy as np

from seg.imaging.annotators import paint_patches
from seg.imaging.letterbox import Letterbox, hw_of, resize
from seg.results import Float32, PatchColors
from seg.video.base import Frame, Processed, Sink

SIDE = 320  # frames are compared at this size
STATIC = 2.0  # gray levels between two frames


class ColorChange(Sink):
    """Compares the colors of each frame with those of the frame before, on static pixels.

    A pixel is static where it changed by at most `STATIC` gray levels, at a size of `SIDE` pixels,
    which evens out noise.
    """

    stage = ""
    needs = ("features",)

    def __init__(self) -> None:
        self._before: tuple[Float32, Float32] | None = None
        self._sum = 0.0
        self._num_static = self._num_pixels = 0

    @property
    def mean(self) -> float | None:
        """Mean change of a color's channels, in levels of 255; None where nothing is static."""
        return self._sum / self._num_static if self._num_static else None

    @property
    def static_share(self) -> float:
        """Share of the pixels, 0..1, that are static."""
        return self._num_static / max(1, self._num_pixels)

    def write(self, frame: Frame, processed: Processed) -> None:
        """Compares with the frame before."""
        made = processed.results["features"]
        assert isinstance(made, PatchColors)
        hw = Letterbox.fit(hw_of(frame.image), (SIDE, SIDE), 1).image_hw
        gray = resize(frame.image, hw).mean(2, dtype=np.float32)
        colors = paint_patches(made, hw)[0].astype(np.float32)
        before, self._before = self._before, (gray, colors)
        if before is None or before[0].shape != gray.shape or frame.discontinuity:
            return
        static = np.abs(gray - before[0]) <= STATIC
        self._sum += float(np.abs(colors - before[1]).mean(2)[static].sum())
        self._num_static += int(static.sum())
        self._num_pixels += static.size

    def close(self) -> None:
        """Does nothing: it holds no file."""
