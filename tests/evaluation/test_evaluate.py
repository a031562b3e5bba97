"""Evaluation on pictures whose pixels are counted by hand; the networks are functions."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.data import Sample, open_dataset
from seg.data.samples import class_ids, instance_ids
from seg.errors import DataError, ShapeError
from seg.evaluation.evaluate import Evaluation, evaluate
from seg.imaging.letterbox import Letterbox
from seg.metrics import SegmentationMetrics
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, UInt8
from seg.runtimes.fake import DEFAULT, FakeRuntime


def red_is_person(images: Float32) -> Float32:
    red = images[:, 0] - 0.75
    return np.stack([-red, red], axis=1)


def nothing_is_person(images: Float32) -> Float32:
    scores = np.zeros((len(images), 2, 4, 4), np.float32)
    scores[:, 0] = 1
    return scores


def segmenter() -> Segmenter:
    """Fits into 64 x 64, so pictures of that size pass without resampling."""
    return Segmenter(FakeRuntime(red_is_person))


def draw(folder: Path, name: str, red: slice, labelled: slice | None) -> Sample:
    """A black 64 x 64 picture with red rows; the rows of the mask are labelled person."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[red] = (0, 0, 255)
    cv2.imwrite(str(folder / f"{name}.png"), image)
    if labelled is None:
        return Sample(folder / f"{name}.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[labelled] = 1
    cv2.imwrite(str(folder / f"{name}_mask.png"), mask)
    return Sample(folder / f"{name}.png", folder / f"{name}_mask.png", class_ids(2))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return [
        draw(tmp_path, "low", slice(0, 16), slice(8, 24)),
        draw(tmp_path, "right", slice(32, 64), slice(32, 64)),
        draw(tmp_path, "alarm", slice(0, 8), None),
        draw(tmp_path, "quiet", slice(0, 0), slice(0, 0)),
    ]


def test_all_pixels_are_counted_in_one_matrix(samples: list[Sample]) -> None:
    scores = evaluate(segmenter(), samples)
    # Rows of 64 pixels. Person: 8 + 32 found, 8 missed, 8 + 8 false.
    assert scores.matrix.counts.tolist() == [[64 * 192, 64 * 16], [64 * 8, 64 * 40]]
    assert scores.foreground_iou == 40 / 64
    assert scores.miou == pytest.approx((192 / 216 + 40 / 64) / 2)
    assert scores.pixel_accuracy == 232 / 256
    assert [image.name for image in scores.images] == [sample.image.name for sample in samples]
    assert [image.tally.matrix.foreground_iou for image in scores.images[:3]] == [8 / 24, 1, 0]


def test_false_area_is_the_mean_over_pictures_of_background_alone(samples: list[Sample]) -> None:
    scores = evaluate(segmenter(), samples)
    assert [image.name for image in scores.background_only] == ["alarm.png", "quiet.png"]
    assert scores.false_area == pytest.approx(8 / 64 / 2)


def test_negatives_have_a_false_area_and_no_iou(samples: list[Sample]) -> None:
    scores = evaluate(segmenter(), samples[2:])
    assert math.isnan(scores.miou) and math.isnan(scores.foreground_iou)
    assert math.isnan(scores.intervals["foreground_iou"][0])
    values = scores.to_dict()
    assert values["miou"] is values["foreground_iou"] is None
    assert values["false_area"] == pytest.approx(8 / 64 / 2)
    assert values["pixel_accuracy"] == 120 / 128


def test_ignored_pixels_count_nowhere_even_alone(tmp_path: Path) -> None:
    image = draw(tmp_path, "a", slice(0, 32), None).image
    mask = np.full((64, 64), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    ignored = Sample(image, tmp_path / "m.png", class_ids(2))
    scores = evaluate(segmenter(), [ignored])
    assert scores.matrix.num_pixels == 0 and not scores.background_only
    assert scores.to_dict()["false_area"] is None


def test_scores_are_at_the_pictures_own_size(tmp_path: Path) -> None:
    """Pixels of large pictures count for as much as those of small ones, not pictures."""
    for name, side in (("large", 256), ("small", 16)):
        image = np.zeros((side, side, 3), np.uint8)
        image[: side // 2] = (0, 0, 255)
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / f"{name}_mask.png"), image[..., 2] // 255)
    pair = [
        Sample(tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png", class_ids(2))
        for name in ("large", "small")
    ]
    scores = evaluate(segmenter(), pair)
    assert scores.matrix.num_pixels == 256 * 256 + 16 * 16
    assert scores.miou > 0.98


def test_an_observer_sees_each_picture_on_the_networks_grid(samples: list[Sample]) -> None:
    seen: list[tuple[tuple[int, ...], tuple[int, ...], Letterbox]] = []

    def observe(logits: Float32, labels: UInt8, letterbox: Letterbox) -> None:
        seen.append((logits.shape, labels.shape, letterbox))

    evaluate(segmenter(), samples, observe)
    assert len(seen) == 4
    assert seen[0] == ((2, 64, 64), (64, 64), Letterbox((64, 64), (64, 64), (64, 64)))


def test_the_interval_holds_the_score_and_is_the_same_again(samples: list[Sample]) -> None:
    scores = evaluate(segmenter(), samples)
    low, high = scores.intervals["foreground_iou"]
    assert 0 <= low < scores.foreground_iou < high <= 1
    again = Evaluation(scores.classes, scores.images, scores.tally)
    assert again.intervals["foreground_iou"] == (low, high)
    alike = Evaluation(scores.classes, (scores.images[0],) * 9, scores.images[0].tally)
    assert alike.intervals["foreground_iou"] == pytest.approx((8 / 24, 8 / 24))


def test_every_headline_has_an_interval_around_it(samples: list[Sample]) -> None:
    values = evaluate(segmenter(), samples).to_dict()
    assert set(values["intervals_95"]) == {
        "miou", "foreground_iou", "pixel_accuracy", "boundary_iou", "boundary_f", "false_area",
        "iou_small", "iou_medium", "iou_large",
    }  # fmt: skip
    for key, (low, high) in values["intervals_95"].items():
        assert (values[key] is None and low is None) or low <= values[key] <= high, key
    # Objects of 16 of 64 rows are medium, of 32 large; small ones there are none.
    assert values["by_height"]["person"]["medium"] == {"iou": 8 / 24, "num_objects": 1}
    assert values["by_height"]["person"]["large"] == {"iou": 1.0, "num_objects": 1}
    assert values["iou_small"] is None and values["iou_medium"] == 8 / 24


def test_masks_that_number_objects_tell_touching_people_apart(tmp_path: Path) -> None:
    image = draw(tmp_path, "a", slice(8, 40), None).image
    mask = np.zeros((64, 64), np.uint8)
    mask[8:20], mask[20:40] = 1, 2  # 12 of 64 rows: small; 20: medium; together: large
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    numbered = Sample(image, tmp_path / "m.png", instance_ids(1))
    assert evaluate(segmenter(), [numbered]).tally.heights.num_objects[1].tolist() == [1, 1, 0]
    cv2.imwrite(str(tmp_path / "m.png"), np.minimum(mask, 1))
    plain = Sample(image, tmp_path / "m.png", class_ids(2))
    assert evaluate(segmenter(), [plain]).tally.heights.num_objects[1].tolist() == [0, 0, 1]


def test_the_values_are_json_without_nan(samples: list[Sample]) -> None:
    values = evaluate(segmenter(), samples[:1]).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["iou"]["person"] == 8 / 24
    assert values["precision"]["person"] == values["recall"]["person"] == 0.5
    assert values["images"] == [{"name": "low.png", "foreground_iou": 8 / 24}]
    assert (values["false_area"], values["num_background_only"]) == (None, 0)


def test_labels_of_other_classes_are_refused(tmp_path: Path) -> None:
    sample = draw(tmp_path, "a", slice(0, 8), slice(0, 8))
    assert sample.mask
    cv2.imwrite(str(sample.mask), np.full((64, 64), 2, np.uint8))
    with pytest.raises(ShapeError, match="There are 2 classes"):
        evaluate(segmenter(), [Sample(sample.image, sample.mask, class_ids(3))])


def test_no_pictures_are_an_error() -> None:
    with pytest.raises(DataError, match="no pictures"):
        evaluate(segmenter(), [])


def test_false_area_of_a_picture_leaves_ignored_pixels_out() -> None:
    labels, called = np.array([[0, 0, 0, 255]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8)
    assert SegmentationMetrics.of(labels, called, 2).false_area == pytest.approx(1 / 3)


def test_calling_everything_background_scores_the_known_baseline(data_root: Path) -> None:
    """Over all pixels of Penn-Fudan: accuracy 82.8 %, mIoU 0.414, however it is counted."""
    runtime = FakeRuntime(nothing_is_person, DEFAULT)
    data = open_dataset(str(data_root / "PennFudanPed"))
    scores = evaluate(Segmenter(runtime), data.split("all"))
    assert len(scores.images) == 170
    assert scores.pixel_accuracy == pytest.approx(0.828, abs=5e-4)
    assert scores.miou == pytest.approx(0.414, abs=5e-4)
    assert scores.foreground_iou == 0
