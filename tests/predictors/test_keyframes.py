"""Keyframes: the network is counted, and what is carried compared with what it would have made."""

import cv2
import numpy as np
import pytest

from seg import Segmenter, SpecMismatch
from seg.predictors.keyframes import KeyframeSegmenter
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.video.base import Frame

HW = (192, 256)
TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 255, (192, 512), dtype=np.uint8), (0, 0), 3
)
TEXTURE = cv2.normalize(TEXTURE, None, 60, 200, cv2.NORM_MINMAX)


def image_of(shift=0, square=None, left=60):
    """A texture, with a red block that moves with it where the camera pans."""
    image = np.dstack([TEXTURE[:, shift : shift + 256]] * 3)
    image[60:120, left - shift : left + 60 - shift, :2] //= 3
    if square:
        image[10:42, square : square + 32] = (0, 0, 255)
    return image


def count(images, longest_s=10.0, gap_s=0.04, marks=()):
    """Returns how often the network ran, the masks, and what it says of each frame by itself."""
    calls = []

    def network(images):
        calls.append(1)
        height, width = images.shape[2] // 4, images.shape[3] // 4
        margin = (images[:, 0] - images[:, 2] - 0.15).reshape(1, height, 4, width, 4)
        return np.stack([-margin.mean((2, 4)), margin.mean((2, 4))], 1).astype(np.float32) * 10

    segmenter = Segmenter(FakeRuntime(network, DEFAULT), input_hw=HW)
    keyed = KeyframeSegmenter(segmenter, longest_s)
    frames = [Frame(one, i, i * gap_s, discontinuity=i in marks) for i, one in enumerate(images)]
    masks = [keyed.predict_frame(frame) for frame in frames]
    assert keyed.num_frames == len(images) and keyed.num_reused == len(images) - len(calls)
    runs = len(calls)
    return runs, masks, [segmenter(image) for image in images]


def iou(a, b):
    return (a.labels & b.labels).sum() / (a.labels | b.labels).sum()


def test_a_still_image_is_predicted_once_and_stays_the_same():
    runs, masks, every = count([image_of()] * 10)
    assert runs == 1 and [mask.is_reused for mask in masks] == [False, *[True] * 9]
    for mask, plain in zip(masks, every, strict=True):
        assert iou(mask, plain) > 0.98 and plain.labels.any()


def test_a_mask_goes_along_with_a_slow_pan():
    runs, masks, every = count([image_of(index) for index in range(8)])
    assert runs < 8
    assert min(iou(mask, plain) for mask, plain in zip(masks, every, strict=True)) > 0.95
    still = iou(masks[0], every[-1])
    assert still < 0.9  # a mask that stays where it was would be seen


def test_whoever_comes_in_small_is_seen_at_once():
    images = [image_of(), image_of(), image_of(square=180)]
    runs, masks, every = count(images)
    assert runs == 2 and not masks[2].is_reused
    np.testing.assert_array_equal(masks[2].labels, every[2].labels)


def test_staleness_is_bounded_in_seconds():
    _, masks, _ = count([image_of()] * 11, longest_s=0.2)
    assert [mask.is_reused for mask in masks] == [i % 5 != 0 for i in range(11)]
    assert count([image_of()] * 11, longest_s=0.2, gap_s=0.1)[0] == 6


@pytest.mark.parametrize("kind", ["mark", "cut", "gap", "size"])
def test_what_does_not_go_on_is_predicted(kind):
    second = {"cut": 255 - image_of() // 4, "size": image_of()[:96]}.get(kind, image_of())
    runs, *_ = count(
        [image_of(), second], marks=(1,) if kind == "mark" else (), gap_s=2 if kind == "gap" else 0
    )
    assert runs == 2


def test_averaged_scales_are_refused():
    segmenter = Segmenter(FakeRuntime(lambda images: images, DEFAULT), tta=1)
    with pytest.raises(SpecMismatch, match="--tta"):
        KeyframeSegmenter(segmenter, 1.0)
