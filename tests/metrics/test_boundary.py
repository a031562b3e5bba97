"""Boundary scores against pixels counted by hand, brute force, and other libraries."""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk as draw_disk
from skimage.morphology import disk

from seg.errors import ShapeError
from seg.metrics import BoundaryCounts
from seg.metrics.boundary import band, contour, near
from seg.results import UInt8


def counted(labels: UInt8, predicted: UInt8, num_classes: int = 2) -> BoundaryCounts:
    counts = BoundaryCounts(num_classes)
    counts.update(labels, predicted)
    return counts


def square(top: int, left: int, side: int, hw: tuple[int, int] = (40, 30)) -> UInt8:
    image = np.zeros(hw, np.uint8)  # diagonal 50: bands of 1 pixel, tolerance of 1 pixel
    image[top : top + side, left : left + side] = 1
    return image


def blobs(seed: int, hw: tuple[int, int]) -> UInt8:
    noise = np.random.default_rng(seed).normal(size=hw)
    return (ndimage.gaussian_filter(noise, 4) > 0).astype(np.uint8)


def test_a_square_shifted_by_one_pixel_counted_by_hand() -> None:
    counts = counted(square(10, 10, 6), square(10, 11, 6))
    # Rings of 6 x 6 squares hold 20 pixels; shifted by one they share 5 above and 5 below.
    assert counts.counts[1, :2].tolist() == [10, 30]
    assert counts.iou[1] == 1 / 3
    # Contours: the pixels north-west of each edge, all within a pixel of the other's.
    assert counts.f[1] == 1.0


def test_a_square_shifted_by_two_pixels_counted_by_hand() -> None:
    counts = counted(square(10, 10, 6), square(10, 12, 6))
    # 4 + 4 pixels shared above and below.
    assert counts.counts[1, :2].tolist() == [8, 32]
    # The contour of a 6 x 6 square is the ring around rows and columns 9 to 15 of 7 x 7: 24.
    # Its left column is 2 off: 7 wrong. Of the right one the ends and their neighbors are within
    # a pixel of the other's rows: 3 wrong.
    assert counts.counts[1, 2:].tolist() == [14, 24, 14, 24]
    assert counts.precision[1] == counts.recall[1] == counts.f[1] == 14 / 24


def test_the_border_of_the_image_is_an_edge_of_bands_and_no_contour() -> None:
    everything = np.ones((40, 30), np.uint8)
    counts = counted(everything, everything)
    assert counts.counts[1].tolist() == [136, 136, 0, 0, 0, 0]  # 2 * (40 + 30) - 4
    assert counts.iou[1] == 1 and math.isnan(counts.f[1])


def test_one_sided_contours_score_zero_and_absent_classes_nothing() -> None:
    found = counted(square(10, 10, 6), square(0, 0, 0), 3)
    assert (found.f[1], found.iou[1], found.recall[1]) == (0, 0, 0)
    assert math.isnan(found.precision[1])
    assert math.isnan(found.f[2]) and math.isnan(found.iou[2])
    assert (found.foreground_f, found.foreground_iou) == (0, 0)


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_band_is_what_repeated_erosion_takes_away(width: int) -> None:
    region = blobs(0, (45, 60)) > 0
    # The authors' own way: a border of zeros, then `width` erosions by 3 x 3.
    inner = ndimage.binary_erosion(region, np.ones((3, 3)), iterations=width, border_value=0)
    assert np.array_equal(band(region, ~region, width), region & ~inner)
    # And by distance: to the nearest pixel outside, beyond the image included.
    distance = ndimage.distance_transform_cdt(np.pad(region, 1), "chessboard")[1:-1, 1:-1]
    assert np.array_equal(band(region, ~region, width), region & (distance <= width))


@pytest.mark.parametrize("radius", [1, 2, 5, 9])
def test_near_is_dilation_by_a_disc(radius: int) -> None:
    region = blobs(1, (50, 70)) > 0
    edge = contour(region, ~region)
    assert np.array_equal(near(edge, radius), ndimage.binary_dilation(edge, disk(radius)))
    assert not near(np.zeros((5, 5), bool), radius).any()


def brute_force(labels: UInt8, predicted: UInt8, label: int, radius: int) -> tuple[float, float]:
    """Precision and recall by the distance of every pair of contour pixels, written as loops."""

    def edge(image: UInt8) -> np.ndarray:
        found, (height, width) = [], image.shape
        for y in range(height):
            for x in range(width):
                others = ((y, x + 1), (y + 1, x), (y + 1, x + 1))
                inside = [(v, u) for v, u in others if v < height and u < width]
                if any((image[y, x] == label) != (image[v, u] == label) for v, u in inside):
                    found.append((y, x))
        return np.array(found)

    true, positive = edge(labels), edge(predicted)
    squares = ((true[:, None] - positive[None]) ** 2).sum(2)
    hits = squares <= radius**2
    return float(hits.any(0).mean()), float(hits.any(1).mean())


def test_precision_and_recall_are_those_of_all_pairs() -> None:
    labels, predicted = blobs(2, (100, 130)), blobs(3, (100, 130))
    predicted = np.where(np.arange(130) < 70, labels, predicted)
    labels, predicted = labels + blobs(4, (100, 130)), predicted + blobs(4, (100, 130))
    counts = counted(labels.astype(np.uint8), predicted.astype(np.uint8), 3)
    radius = 2  # 0.8 % of 164 is 1.3
    for label in range(3):
        expected = brute_force(labels, predicted, label, radius)
        got = counts.precision[label], counts.recall[label]
        assert got == pytest.approx(expected)
        assert counts.f[label] == pytest.approx(2 * np.prod(expected) / np.sum(expected))


def test_a_ragged_edge_costs_boundary_iou_more_than_iou() -> None:
    labels = np.zeros((300, 400), np.uint8)
    labels[draw_disk((150, 200), 100)] = 1
    grown = ndimage.binary_dilation(labels, disk(5)).astype(np.uint8)
    iou = labels.sum() / grown.sum()
    assert iou > 0.9 and counted(labels, grown).iou[1] < 0.5
    assert counted(labels, labels).iou[1] == counted(labels, labels).f[1] == 1


def test_nothing_is_counted_where_labels_are_ignored() -> None:
    labels, predicted = square(10, 10, 12), square(10, 10, 12)
    predicted[10:22, 22:26] = 1
    unsure = labels.copy()
    unsure[8:24, 20:28] = 255
    counts = counted(unsure, predicted)
    # A mistake inside the ignored area costs nothing, and adds no edge elsewhere.
    assert counts.iou[1] == counts.f[1] == 1
    assert counted(labels, predicted).iou[1] < 1
    assert not counted(np.full((40, 30), 255, np.uint8), predicted).counts.any()


def loops(
    labels: UInt8, predicted: UInt8, label: int, width: int, radius: int
) -> tuple[float, ...]:
    """Boundary IoU, precision and recall of the known pixels alone, pixel by pixel.

    Written from the definition: an unknown pixel is on neither side, so an edge lies between two
    known pixels, and a pixel is in the band where a known pixel of the other side, or the outside
    of the image, is at most `width` away.
    """
    height, width_px = labels.shape
    known = {(y, x) for y in range(height) for x in range(width_px) if labels[y, x] != 255}

    def band_of(mask: UInt8) -> set[tuple[int, int]]:
        found = set()
        for y, x in known:
            if mask[y, x] != label:
                continue
            if min(y, x, height - 1 - y, width_px - 1 - x) < width:
                found.add((y, x))
                continue
            window = [
                (v, u)
                for v in range(y - width, y + width + 1)
                for u in range(x - width, x + width + 1)
            ]
            if any(place in known and mask[place] != label for place in window):
                found.add((y, x))
        return found

    def contour_of(mask: UInt8) -> set[tuple[int, int]]:
        return {
            (y, x)
            for y, x in known
            for place in ((y, x + 1), (y + 1, x), (y + 1, x + 1))
            if place in known and (mask[y, x] == label) != (mask[place] == label)
        }

    def share(ours: set[tuple[int, int]], others: set[tuple[int, int]]) -> float:
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in ours]
        return sum(near) / len(near)

    bands = band_of(labels), band_of(predicted)
    edges = contour_of(labels), contour_of(predicted)
    iou = len(bands[0] & bands[1]) / len(bands[0] | bands[1])
    return iou, share(edges[1], edges[0]), share(edges[0], edges[1])


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_known_pixels_whatever_is_predicted_elsewhere(seed: int) -> None:
    hw = (60, 81)  # a diagonal of 101: bands of 2 pixels, a tolerance of 1
    labels, predicted = blobs(seed, hw), blobs(seed + 10, hw)
    predicted[:, :40] = labels[:, :40]
    predicted[20:40, :40] = np.roll(labels, 1, axis=1)[20:40, :40]
    labels[blobs(seed + 20, hw) * blobs(seed + 30, hw) > 0] = 255
    rng = np.random.default_rng(seed)
    guesses = [np.zeros(hw, np.uint8), np.ones(hw, np.uint8), blobs(seed + 40, hw)]
    guesses.append(rng.integers(0, 2, hw, dtype=np.uint8))
    counts = [
        counted(labels, np.where(labels == 255, guess, predicted).astype(np.uint8))
        for guess in guesses
    ]
    for other in counts[1:]:
        assert np.array_equal(counts[0].counts, other.counts)
    for label in (0, 1):
        expected = loops(labels, predicted, label, 2, 1)
        got = counts[0].iou[label], counts[0].precision[label], counts[0].recall[label]
        assert got == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hw", "width", "tolerance"),
    [
        ((300, 400), 10, 4),  # diagonal 500
        ((600, 800), 20, 8),  # diagonal 1000
        ((165, 220), 6, 3),  # diagonal 275: 5.5 and 2.2 pixels
        ((153, 204), 5, 3),  # diagonal 255: 5.1 and 2.04 pixels
    ],
)
def test_bands_and_tolerance_are_shares_of_the_diagonal(
    hw: tuple[int, int], width: int, tolerance: int
) -> None:
    box = square(50, 60, 60, hw)
    assert counted(box, box).counts[1, 0] == 60**2 - (60 - 2 * width) ** 2
    half, moved = np.zeros(hw, np.uint8), np.zeros(hw, np.uint8)
    half[:, :100] = 1
    moved[:, : 100 + tolerance] = 1
    assert counted(half, moved).f[1] == 1
    moved[:, 100 + tolerance] = 1
    assert counted(half, moved).f[1] == 0


def test_images_add_up() -> None:
    pairs = [(blobs(i, (40, 30)), blobs(i + 50, (40, 30))) for i in range(3)]
    whole = BoundaryCounts(2)
    for pair in pairs:
        whole.update(*pair)
    parts = [counted(*pair) for pair in pairs]
    assert np.array_equal((parts[0] + parts[1] + parts[2]).counts, whole.counts)


@pytest.mark.parametrize("labels", [np.full((4, 4), 2, np.uint8), np.zeros((2, 4, 4), np.uint8)])
def test_other_arrays_are_refused(labels: UInt8) -> None:
    with pytest.raises(ShapeError):
        counted(labels, np.zeros(labels.shape, np.uint8))
