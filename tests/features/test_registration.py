"""Laying one image onto another: where, how large, mirrored or not."""

import cv2
import numpy as np
import pytest

from seg.features.registration import PreparedImage, find_overlap
from seg.imaging.image_io import PHOTOS, photo


def overlap(first: np.ndarray, other: np.ndarray):
    return find_overlap(PreparedImage(first), PreparedImage(other))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_crop_is_placed_as_it_was_cut(name: str, is_mirrored: bool) -> None:
    image = photo(name)
    height, width = image.shape[:2]
    crop = image[height // 5 : height - height // 10, width // 10 : width - width // 5]
    area = crop.size / image.size
    small = cv2.resize(crop, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    found = overlap(image, cv2.flip(small, 1) if is_mirrored else small)
    assert found is not None and found.is_mirrored == is_mirrored
    assert found.covered == pytest.approx(area, abs=0.03)
    assert found.inside == pytest.approx(1, abs=0.03)
    assert found.scale == pytest.approx(1 / 0.6, rel=0.03)
    assert found.is_contained and not found.inverse().is_contained


def test_the_other_way_round_it_is_the_inverse() -> None:
    image = photo("coffee")
    crop = image[50:350, 100:500]
    there, back = overlap(image, crop), overlap(crop, image)
    assert there is not None and back is not None
    inverse = back.inverse()
    assert there.covered == pytest.approx(inverse.covered, abs=0.02)
    assert there.scale == pytest.approx(inverse.scale, rel=0.02)


@pytest.mark.parametrize("first", PHOTOS)
@pytest.mark.parametrize("other", PHOTOS)
def test_different_photos_do_not_overlap(first: str, other: str) -> None:
    assert (overlap(photo(first), photo(other)) is not None) == (first == other)


def test_two_crops_that_share_a_part_contain_neither() -> None:
    image = photo("coffee")
    found = overlap(image[:, :400], image[:, 150:])
    assert found is not None
    assert found.covered == pytest.approx(250 / 400, abs=0.05)
    assert not found.is_contained and not found.inverse().is_contained


@pytest.mark.parametrize("color", [0, 128, 255])
def test_plain_images_are_copies_of_their_own_color_alone(color: int) -> None:
    plain = np.full((50, 70, 3), color, np.uint8)
    assert overlap(plain, plain.copy()) is not None
    assert overlap(plain, np.full((50, 70, 3), (color + 60) % 256, np.uint8)) is None
    assert overlap(photo("coffee"), plain) is None


@pytest.mark.parametrize("hw", [(1, 1), (1, 300), (3, 2)])
def test_tiny_images_are_compared_without_a_fault(hw: tuple[int, int]) -> None:
    tiny = np.full((*hw, 3), 90, np.uint8)
    assert overlap(photo("coffee"), tiny) is None
    assert overlap(tiny, photo("coffee")) is None
