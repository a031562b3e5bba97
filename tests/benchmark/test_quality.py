"""Ways of drawing masks, compared in pairs: what Segmenter draws, and gains counted by hand."""

import numpy as np
import pytest

from seg import Segmenter
from seg.benchmark.quality import Result, Variant, compare, predict, table
from seg.data import open_dataset
from seg.imaging.guided_filter import EPSILON
from seg.metrics import SegmentationMetrics
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs

SPEC = ModelSpec(
    arch="fake", outputs=segmentation_outputs(("background", "person")), input_hw=(64, 64), stride=8
)


def coarse(images):
    """Says person in cells of 8 pixels that are mostly red, and bright ones a little."""
    batch, _, height, width = images.shape
    cells = images.reshape(batch, 3, height // 8, 8, width // 8, 8).mean((3, 5))
    person = 6 * cells[:, 0] - 2 * cells[:, 1] - 2 * cells[:, 2] - 1
    return np.stack([-person, person], 1).astype(np.float32)


@pytest.fixture
def plain():
    return Segmenter(FakeRuntime(coarse, SPEC))


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        (Variant("plain"), {}),
        (Variant("guided", epsilon=EPSILON), {"guided": True}),
        (Variant("tta", tta=2), {"tta": 2}),
        (Variant("both", tta=1, epsilon=EPSILON), {"tta": 1, "guided": True}),
    ],
)
def test_a_variant_predicts_what_such_a_segmenter_predicts(plain, discs, variant, options):
    image = open_dataset(str(discs)).valid[0].load()[0]
    expected = Segmenter(plain.runtime, **options)(image).labels
    unguided = Segmenter(plain.runtime, tta=variant.tta)
    labels, seconds = predict(unguided, image, variant)
    np.testing.assert_array_equal(labels, expected)
    assert seconds > 0 and expected.any()


def test_other_filters_give_other_masks(plain, discs):
    image = open_dataset(str(discs)).valid[0].load()[0]
    variants = [Variant("", epsilon=e, radius=r) for e, r in ((1e-4, 2), (1e-1, 2), (1e-4, 16))]
    variants.append(Variant("plain"))
    masks = {predict(plain, image, variant)[0].tobytes() for variant in variants}
    assert len(masks) == 4


def result(name, *predictions):
    """Images of 1 x 4 pixels, the first two of which are labeled person."""
    truth = np.array([[1, 1, 0, 0]], np.uint8)
    rows = [
        SegmentationMetrics.of_image(truth, np.array([p], np.uint8), 2).to_row()
        for p in predictions
    ]
    return Result(Variant(name), np.stack(rows), 2, 1.0)


def test_gains_are_differences_on_the_same_resampled_images():
    # IoU 1/2 and 1/2, 2/4 over both; then 2/2 and 2/2.
    worse = result("worse", [1, 0, 0, 0], [1, 0, 0, 0])
    better = result("better", [1, 1, 0, 0], [1, 1, 0, 0])
    assert worse.scores["foreground_iou"] == 0.5
    # Every redrawn set has the same difference, however the images fall.
    assert better.gain(worse)["foreground_iou"] == (0.5, (0.5, 0.5))
    assert worse.gain(better)["foreground_iou"] == (-0.5, (-0.5, -0.5))
    # Better on one image, as good on the other: 1/2 and 2/2 are 3/4 together.
    mixed = result("mixed", [1, 0, 0, 0], [1, 1, 0, 0])
    value, (low, high) = mixed.gain(worse)["foreground_iou"]
    assert (value, low, high) == (0.25, 0, 0.5)


def test_the_table_has_scores_first_and_gains_after():
    lines = table([result("plain", [1, 0, 0, 0]), result("better", [1, 1, 0, 0])])
    assert lines[2].startswith("| plain | 50.00 |")
    assert lines[3].startswith("| better | +50.00 (+50.00 to +50.00) |")


def test_every_variant_predicts_every_image(plain, discs):
    data = open_dataset(str(discs))
    variants = [Variant("plain"), Variant("guided", epsilon=1e-3)]
    results = compare(plain, data.valid, variants)
    assert [len(one.rows) for one in results] == [len(data.valid)] * 2
    assert results[0].gain(results[0])["foreground_iou"] == (0, (0, 0))
