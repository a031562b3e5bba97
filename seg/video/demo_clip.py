"""DemoClip: eight seconds of people, made of photos in the public domain that packages carry."""

from collections.abc import Callable, Iterator, Sequence

import cv2

from seg.imaging.image_io import PHOTOS, photo
from seg.results import UInt8
from seg.video.base import Frame, Source

FADE = 8  # frames in which one scene turns into the next
# Where the camera looks: center x, center y and width, in fractions of the photo.
View = tuple[float, float, float]
Scene = Callable[[float], UInt8]  # 0..1 -> image


class DemoClip(Source):
    """Two portraits that move, and two scenes without people; it needs no network.

    Args:
        window_wh: Width and height of its frames, in pixels.

    Raises:
        EngineMissing: A package that carries a photo is not installed.
    """

    stage = "draw"
    fps = 25.0

    def __init__(self, window_wh: tuple[int, int] = (1280, 720)) -> None:
        super().__init__()
        hopper, astronaut, coffee, rocket = map(photo, PHOTOS)
        half_wh = window_wh[0] // 2, window_wh[1]
        pair = _beside(
            _move(hopper, (0.5, 0.42, 0.8), (0.5, 0.5, 1.0), half_wh),
            _move(astronaut, (0.5, 0.5, 0.88), (0.42, 0.4, 0.6), half_wh),
        )
        self._scenes = [
            (_move(astronaut, (0.5, 0.65, 1.0), (0.45, 0.32, 0.75), window_wh), 55),
            (_move(coffee, (0.5, 0.5, 0.7), (0.5, 0.5, 1.0), window_wh), 25),
            (pair, 60),
            (_move(rocket, (0.5, 0.5, 0.9), (0.5, 0.4, 0.7), window_wh), 20),
            (_move(hopper, (0.5, 0.55, 1.0), (0.5, 0.27, 0.95), window_wh), 40),
        ]
        self.num_frames = sum(length for _, length in self._scenes)

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(_fade(self._scenes)):
            if self.stop.is_set():
                break
            yield Frame(image, index, index / self.fps)

    def close(self) -> None:
        """Does nothing: the photos are in memory."""


def _move(still: UInt8, start: View, end: View, window_wh: tuple[int, int]) -> Scene:
    """Returns a camera that glides over a photo."""
    width, height = window_wh

    def scene(progress: float) -> UInt8:
        eased = progress * progress * (3 - 2 * progress)
        x, y, part = (a + (b - a) * eased for a, b in zip(start, end, strict=True))
        x, y = x * still.shape[1], y * still.shape[0]
        matrix = cv2.getRotationMatrix2D((x, y), 0, width / (part * still.shape[1]))
        matrix[:, 2] += width / 2 - x, height / 2 - y
        border = cv2.BORDER_REFLECT
        return cv2.warpAffine(still, matrix, window_wh, flags=cv2.INTER_LINEAR, borderMode=border)  # type: ignore[return-value]

    return scene


def _beside(left: Scene, right: Scene) -> Scene:
    return lambda progress: cv2.hconcat([left(progress), right(progress)])  # type: ignore[return-value]


def _fade(scenes: Sequence[tuple[Scene, int]]) -> Iterator[UInt8]:
    """Yields the images of each scene, faded in over the last image of the one before."""
    before: UInt8 | None = None
    for scene, length in scenes:
        for index in range(length):
            image = scene(index / (length - 1))
            part = (index + 1) / (FADE + 1)
            if before is None or part >= 1:
                yield image
            else:
                yield cv2.addWeighted(before, 1 - part, image, part, 0)  # type: ignore[misc]
        before = image
