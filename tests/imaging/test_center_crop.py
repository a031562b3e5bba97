"""The middle of an image, as torchvision's Resize(256) and CenterCrop(224) take it."""

import cv2
import numpy as np
import pytest

from seg.errors import ShapeError, SpecMismatch
from seg.imaging.center_crop import CenterCrop

GRAY = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("frame_hw", "image_hw", "offset"),
    [
        ((512, 512), (256, 256), (16, 16)),
        ((480, 640), (256, 341), (16, 58)),
        ((300, 100), (768, 256), (272, 16)),
        ((224, 224), (256, 256), (16, 16)),
        ((1, 1), (256, 256), (16, 16)),
    ],
)
def test_the_shorter_side_becomes_256_and_the_middle_is_cut(frame_hw, image_hw, offset):
    crop = CenterCrop.fit(frame_hw, (224, 224), 32)
    assert (crop.image_hw, crop.offset, crop.canvas_hw) == (image_hw, offset, (224, 224))
    pixels = crop.pack(np.full((*frame_hw, 3), (10, 20, 30), np.uint8), GRAY)
    assert pixels.shape == (1, 3, 224, 224) and pixels.dtype == np.float32
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), np.array([30, 20, 10]) / 255, atol=1e-6)
    assert np.ptp(pixels, axis=(2, 3)).max() == 0


def test_it_is_a_resize_and_a_slice():
    image = np.random.default_rng(0).integers(0, 256, (260, 390, 3), np.uint8)
    pixels = CenterCrop.fit((260, 390), (224, 224), 14).pack(image, GRAY)
    resized = cv2.resize(image, (384, 256), interpolation=cv2.INTER_AREA)
    expected = resized[16:240, 80:304, ::-1].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(pixels[0], expected, atol=1e-6)


def test_fine_stripes_do_not_alias():
    """An image of 1.4 times the size: bilinear would skip pixels, and bands would appear."""
    image = np.zeros((358, 358, 3), np.uint8)
    image[:, ::2] = 255
    pixels = CenterCrop.fit((358, 358), (224, 224), 32).pack(image, GRAY)
    skipped = cv2.resize(image, (256, 256), interpolation=cv2.INTER_LINEAR)[16:240, 16:240] / 255
    assert pixels.std() < 0.8 * skipped.std()


def test_a_crop_that_the_stride_does_not_divide_grows():
    assert CenterCrop.fit((500, 500), (225, 220), 32).canvas_hw == (256, 224)


def test_bad_sizes_are_one_line():
    with pytest.raises(SpecMismatch, match="224x224 is not this model's canvas of 448x448"):
        CenterCrop.fit((500, 500), (224, 224), 14, (448, 448))
    with pytest.raises(SpecMismatch, match="too large"):
        CenterCrop.fit((1, 3000), (224, 224), 14)
    with pytest.raises(SpecMismatch, match="positive"):
        CenterCrop.fit((0, 3000), (224, 224), 14)
    with pytest.raises(ShapeError, match=r"for \(500, 500\); got \(400, 500\)"):
        CenterCrop.fit((500, 500), (224, 224), 14).pack(np.zeros((400, 500, 3), np.uint8), GRAY)
