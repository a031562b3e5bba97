"""The official views: sizes, labels that follow, crops that are not all one class, colors."""

import colorsys

import numpy as np
import pytest

from seg.data import augment_official as official
from seg.data.augment_official import OfficialAugment

GRAY = (0.5, 0.5, 0.5)


def halves(height, width):
    """A red left half of class 1 and a blue right half of class 0."""
    image, labels = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    image[:, : width // 2, 2] = image[:, width // 2 :, 0] = 255
    labels[:, : width // 2] = 1
    return image, labels


@pytest.mark.parametrize("size", [(30, 50), (100, 41), (64, 64)])
def test_views_have_the_size_of_the_crop_and_labels_follow(size):
    augment = OfficialAugment((64, 64), (1.0, 3.0), GRAY)
    for seed in range(20):
        augment.seed(seed)
        image, labels = augment.view(*halves(*size))
        assert image.shape == (64, 64, 3) and labels.shape == (64, 64)
        assert (labels != 255).all()  # the short side covers the crop at every scale
        assert ((image[..., 2] > 127) == (labels == 1)).mean() > 0.95


def test_the_short_side_is_the_crop_times_the_factor():
    augment = OfficialAugment((60, 60), (2.0, 2.0), GRAY)
    ramp = np.repeat(np.arange(0, 90, dtype=np.uint8)[:, None], 200, 1)
    image, _ = augment.view(np.stack([ramp] * 3, 2), np.zeros_like(ramp))
    # 90 rows become 120, of which 60 are seen: 45 of the ramp's steps.
    assert int(image.max()) - int(image.min()) == pytest.approx(45, abs=1)


def test_what_is_outside_a_shrunk_image_is_ignored_and_gray():
    image, labels = OfficialAugment((64, 64), (0.5, 0.5), GRAY).view(*halves(40, 40))
    assert (labels[32:] == 255).all() and (labels[:32] != 255).sum() == 32 * 32
    assert (image[labels == 255] == 128).all()


def test_crops_of_nearly_one_class_are_drawn_again():
    image, labels = np.zeros((64, 640, 3), np.uint8), np.zeros((64, 640), np.uint8)
    labels[:, 320:] = 1
    augment = OfficialAugment((64, 64), (1.0, 1.0), GRAY)
    is_mixed = []
    for seed in range(200):
        augment.seed(seed)
        share = (augment.view(image, labels)[1] == 1).mean()
        is_mixed.append(0.25 < share < 0.75)
    # One crop in 18 is mixed (32 of 577 places), one of ten tries in 2.3.
    assert np.mean(is_mixed) == pytest.approx(1 - (1 - 31 / 577) ** 10, abs=0.1)


def test_half_of_the_views_are_flipped():
    augment, (image, labels) = OfficialAugment((64, 64), (1.0, 1.0), GRAY), halves(64, 64)
    augment.seed(0)
    flipped = [augment.view(image, labels)[1][0, 0] == 0 for _ in range(400)]
    assert np.mean(flipped) == pytest.approx(0.5, abs=0.08)


def test_a_seed_gives_the_same_view_again():
    augment, rng = OfficialAugment((32, 32), (1.0, 3.0), GRAY), np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    labels = rng.integers(0, 2, (40, 50), dtype=np.uint8)

    def drawn(seed):
        augment.seed(seed)
        view = augment.view(image, labels)
        return view[0].tobytes(), view[1].tobytes(), augment.recolor(view[0]).tobytes()

    assert drawn(1) == drawn(1) != drawn(2)


def test_each_distortion_happens_in_half_of_the_images():
    augment = OfficialAugment((8, 8), (1.0, 1.0), GRAY)
    image = np.full((8, 8, 3), (40, 90, 200), np.uint8)
    augment.seed(0)
    same = [np.abs(augment.recolor(image).astype(int) - image).max() <= 1 for _ in range(2000)]
    # None of the four; a fifth of a percent more for those that happen and change nothing.
    assert np.mean(same) == pytest.approx(1 / 16, abs=0.03)


def test_hue_and_saturation_are_those_of_the_standard_library():
    blue, green, red = 40, 90, 200
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    got = official._hsv(np.full((1, 1, 3), (blue, green, red), np.uint8), 0.5, 10)[0, 0]
    expected = colorsys.hsv_to_rgb((hue + 20 / 360) % 1, saturation * 0.5, value)
    np.testing.assert_allclose(got[::-1], np.array(expected) * 255, atol=3)


def test_the_hue_turns_by_up_to_36_degrees_in_half_of_the_images():
    """mmsegmentation 0.27: `random.randint(-18, 18)` steps of two degrees, the upper end left out.

    Brightness, contrast and saturation keep the hue of a color that none of them clips.
    """
    augment = OfficialAugment((8, 8), (1.0, 1.0), GRAY)
    image = np.full((8, 8, 3), (60, 90, 150), np.uint8)
    augment.seed(0)
    degrees = []
    for _ in range(4000):
        blue, green, red = (int(value) for value in augment.recolor(image)[0, 0])
        degrees.append(360 * colorsys.rgb_to_hsv(red, green, blue)[0] - 20)
    turns = (np.array(degrees) + 180) % 360 - 180
    # Small values round to bytes, which turns dark colors by a few degrees more.
    assert np.percentile(turns, 0.1) == pytest.approx(-36, abs=3)
    assert np.percentile(turns, 99.9) == pytest.approx(34, abs=3)
    moved = turns[np.abs(turns) > 3]
    # 36 steps are as likely each: -1, 0 and 1 of them look as no turn at all.
    assert len(moved) / len(turns) == pytest.approx(0.5 * 33 / 36, abs=0.03)
    assert moved.mean() == pytest.approx(-1, abs=1.5)
    assert np.histogram(moved, [-36, -18, 0, 18, 36])[0] / len(moved) == pytest.approx(
        [0.26, 0.24, 0.24, 0.26], abs=0.04
    )


def test_brightness_contrast_and_saturation_are_drawn_from_the_official_ranges():
    """mmsegmentation 0.27: brightness +-32, contrast and saturation 0.5 to 1.5, each in a half."""
    augment = OfficialAugment((8, 8), (1.0, 1.0), GRAY)
    image = np.zeros((1, 3, 3), np.uint8)
    image[0, 0], image[0, 1], image[0, 2] = 60, 100, (75, 100, 100)  # saturation 0.25
    augment.seed(0)
    contrast, brightness, saturation = [], [], []
    for _ in range(4000):
        low, high, color = augment.recolor(image)[0].astype(float)
        contrast.append((high[0] - low[0]) / 40)
        brightness.append(low[0] / contrast[-1] - 60)
        if abs(brightness[-1]) < 2:  # which saturation depends on
            saturation.append((1 - color.min() / color.max()) / 0.25)
    for drawn, extremes, unchanged, nearly in (
        (contrast, (0.5, 1.5), 1, 0.03),
        (brightness, (-32, 32), 0, 1.5),
        (saturation, (0.5, 1.5), 1, 0.04),
    ):
        ends = np.percentile(drawn, [1, 99])
        assert ends == pytest.approx(extremes, abs=2 * nearly)
        assert (np.abs(np.array(drawn) - unchanged) < nearly).mean() == pytest.approx(0.5, abs=0.12)


def test_a_crop_is_filled_from_three_quarters_of_one_class_on():
    """mmsegmentation's `RandomCrop`: more than one class, and none from `cat_max_ratio` on."""

    def labels(**counts):
        return np.concatenate([np.full(n, int(c[1:]), np.uint8) for c, n in counts.items()])[None]

    assert official._is_filled(labels(c0=75, c1=25))
    assert not official._is_filled(labels(c0=74, c1=26))
    assert official._is_filled(labels(c1=100))
    # Ignored pixels are no class, and no part of the whole.
    assert official._is_filled(labels(c1=50, c255=50))
    assert not official._is_filled(labels(c0=10, c1=10, c255=80))


def test_brightness_and_contrast_stay_within_bytes():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    got = official._linear(ramp, 1.5, 0).ravel()
    assert got[100] == 150 and got[200] == 255
    got = official._linear(ramp, 1, -32).ravel()
    assert got[100] == 68 and got[20] == 0
