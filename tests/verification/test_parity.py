"""Parity: planted differences are found, equal masks pass."""

import dataclasses

import numpy as np
import pytest

from seg import ParityError, SpecMismatch
from seg.results import Mask
from seg.runtimes.fake import FakeRuntime
from seg.verification.fitted_runtime import FittedRuntime
from seg.verification.mask_agreement import MaskAgreement, _lowest_boundary_f, compare_masks
from seg.verification.parity import compare
from seg.verification.tolerances import TOLERANCES
from tests.fake_gpu import FakeGpuRuntime


def network(shift=0.0, roll=0, swap=False):
    def run(images):
        images = images[:, ::-1] if swap else images
        margin = (images[:, 0] - images[:, 2])[:, ::4, ::4] + np.float32(shift)
        margin = np.roll(margin, roll, axis=2)
        return np.stack([-margin, margin], 1).astype(np.float32)

    return FakeRuntime(run)


def frames(count=3):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return [np.kron(image, np.ones((8, 8, 1), np.uint8)) for image in small]


def test_the_same_network_is_equal():
    parity = compare(network(), network(), frames()).require("float32")
    assert (parity.num_images, parity.results.agreement, parity.results.mask_iou) == (3, 1.0, 1.0)
    assert parity.cosine == pytest.approx(1) and parity.max_difference == 0


@pytest.mark.parametrize("fault", [{"shift": 0.2}, {"roll": 1}, {"swap": True}])
def test_planted_faults_are_caught(fault):
    parity = compare(network(), network(**fault), frames())
    for precision in TOLERANCES:
        with pytest.raises(ParityError, match="results differ"):
            parity.require(precision)


def test_agreement_and_iou_by_hand():
    """Person on the left half against the left quarter of one frame."""

    def left(columns):
        def run(images):
            margin = np.full((1, 16, 16), -1, np.float32)
            margin[:, :, :columns] = 1
            return np.stack([-margin, margin], 1)

        return FakeRuntime(run)

    parity = compare(left(8), left(4), [np.zeros((16, 16, 3), np.uint8)])
    assert parity.results.agreement == pytest.approx(
        0.75
    ) and parity.results.worst_image_disagreement == pytest.approx(0.25)
    assert parity.results.mask_iou == pytest.approx(0.5)
    assert parity.results.boundary_f == 0  # the edges are four pixels apart


def test_the_worst_of_several_frames_counts_and_all_their_pixels():
    """The first is equal and the largest, the second the worst, the third a column off."""

    def columns(*counts):
        def run(images):
            index = round(float(images[0, 0, 0, 0]) * 255) // 100
            margin = np.full((1, 16, 16), -1, np.float32)
            margin[:, :, : counts[index]] = 1
            return np.stack([-margin, margin], 1) * (3 if counts[index] == 4 else 1)

        return FakeRuntime(run)

    sizes = enumerate((32, 16, 16))
    shown = [np.full((side, side, 3), 100 * i, np.uint8) for i, side in sizes]
    parity = compare(columns(8, 8, 8), columns(8, 4, 7), shown)
    assert parity.num_images == 3
    # 4 and 1 of 16 columns differ in images of 256 pixels, none in the one of 1024.
    assert parity.results.agreement == pytest.approx(1 - (64 + 16) / (1024 + 256 + 256))
    assert (
        parity.results.worst_image_disagreement,
        parity.results.mask_iou,
        parity.results.boundary_f,
    ) == (0.25, 0.5, 0.0)
    # Signs differ in a quarter: cosine 3/4 - 1/4. There it is 1 against -3.
    assert parity.cosine == pytest.approx(0.5) and parity.max_difference == 4


def test_miou_is_of_all_frames_together():
    """A frame of four doubtful pixels, none of them shared, beside one of two equal halves."""
    half = np.zeros((2, 100), np.uint8)
    half[:, :50] = 1
    ones, others = np.zeros((2, 2, 100), np.uint8)
    ones[0, :2], others[0, 2:4] = 1, 1
    classes = ("background", "person", "dog")
    pairs = [(half, half), (ones, others)]
    found = compare_masks([(Mask(one, classes), Mask(other, classes)) for one, other in pairs])
    assert found.mask_iou == 0
    background, person = (100 + 196) / (100 + 200), 100 / (100 + 4)
    assert found.miou == pytest.approx((background + person) / 2)


def test_there_must_be_frames_and_one_canvas():
    with pytest.raises(SpecMismatch, match="at least one image"):
        compare(network(), network(), [])
    static, wide = (FittedRuntime(network(), hw, hw) for hw in ((64, 64), (64, 96)))
    with pytest.raises(SpecMismatch, match="differently"):
        compare(static, network(), frames())
    with pytest.raises(SpecMismatch, match="takes 64x64 and the other 96x64"):
        compare(static, wide, frames())


@pytest.mark.parametrize("hw", [(32, 32), (48, 80)])
def test_the_reference_fits_images_as_the_candidate_does(hw):
    smaller = FittedRuntime(network(), hw, hw)
    parity = compare(network(), smaller, frames()).require("float32")
    assert parity.results.agreement == 1 and parity.max_difference == 0


def test_a_reference_on_a_gpu_is_packed_on_the_cpu():
    source = network()
    parity = compare(FakeGpuRuntime(source.function), source, frames()).require("float32")
    assert parity.max_difference == 0


def test_a_task_without_a_comparison_is_named():
    with pytest.raises(SpecMismatch, match="No comparison for the task 'depth'"):
        compare(network(), network(), frames(), "depth")


@pytest.mark.parametrize(("columns", "expected"), [(33, 1.0), (34, 0.0), (35, 0.0)])
def test_outlines_may_be_a_pixel_apart(columns, expected):
    """A class on the left half, and one whose edge is one, two or three pixels further right."""
    one, other = (np.repeat(np.arange(64)[None] < n, 64, 0).view(np.uint8) for n in (32, columns))
    assert _lowest_boundary_f(one, other, 2) == expected


def test_the_outlines_of_every_class_are_compared():
    """Of three classes the last one is three pixels off, and the others are equal."""
    one, other = np.zeros((2, 64, 64), np.uint8)
    one[:20, 50:] = other[:20, 50:] = 1
    one[:, :32], other[:, :35] = 2, 2
    assert (_lowest_boundary_f(one, other, 2), _lowest_boundary_f(one, other, 3)) == (1, 0)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("poor", ["agreement", "miou", "mask_iou", "boundary_f"])
def test_one_poor_number_is_enough_to_fail(poor, precision):
    perfect = MaskAgreement(
        agreement=1, worst_image_disagreement=0, miou=1, mask_iou=1, boundary_f=1
    )
    assert perfect.passes(precision)
    assert not dataclasses.replace(perfect, **{poor: 0.4}).passes(precision)


def test_half_an_outline_is_two_thirds():
    """All of the small one lies on the large one's, half of that on the small one's: 2PR/(P+R)."""
    rows = np.arange(64)[:, None] < np.full(64, 32)
    half = rows.copy()
    half[:, 32:] = False
    one, other = rows.view(np.uint8), half.view(np.uint8)
    # The small one also has an upright edge of 31 pixels, and a corner of one that reaches over.
    precision, recall = 33 / 63, 33 / 64
    expected = 2 * precision * recall / (precision + recall)
    assert _lowest_boundary_f(one, other, 2) == pytest.approx(expected, abs=0.03)
    assert _lowest_boundary_f(half.view(np.uint8) * 0, half.view(np.uint8) * 0, 2) == 1
    assert _lowest_boundary_f(half.view(np.uint8), half.view(np.uint8) * 0, 2) == 0
