"""Evaluation on images whose pixels are counted by hand; the networks are functions."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from seg.data import Sample, open_dataset
from seg.data.samples import instance_table, label_table
from seg.errors import DataError, ShapeError
from seg.evaluation.evaluate import Evaluation, ImageMetrics, evaluate
from seg.evaluation.segmentation import evaluate_segmenter
from seg.imaging.letterbox import Letterbox
from seg.metrics import ImageScore, Metrics, SegmentationMetrics
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
    """Fits into 64 x 64, so images of that size pass without resampling."""
    return Segmenter(FakeRuntime(red_is_person))


def draw(folder: Path, name: str, red: slice, labeled: slice | None) -> Sample:
    """A black 64 x 64 image with red rows; the rows of the mask are labeled person."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[red] = (0, 0, 255)
    cv2.imwrite(str(folder / f"{name}.png"), image)
    if labeled is None:
        return Sample(folder / f"{name}.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[labeled] = 1
    cv2.imwrite(str(folder / f"{name}_mask.png"), mask)
    return Sample(folder / f"{name}.png", folder / f"{name}_mask.png", label_table(2))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return [
        draw(tmp_path, "low", slice(0, 16), slice(8, 24)),
        draw(tmp_path, "right", slice(32, 64), slice(32, 64)),
        draw(tmp_path, "alarm", slice(0, 8), None),
        draw(tmp_path, "quiet", slice(0, 0), slice(0, 0)),
    ]


def test_all_pixels_are_counted_in_one_matrix(samples: list[Sample]) -> None:
    evaluation = evaluate_segmenter(segmenter(), samples)
    # Rows of 64 pixels. Person: 8 + 32 found, 8 missed, 8 + 8 false.
    assert evaluation.metrics.confusion.counts.tolist() == [[64 * 192, 64 * 16], [64 * 8, 64 * 40]]
    assert evaluation.scores["foreground_iou"] == 40 / 64
    assert evaluation.scores["miou"] == pytest.approx((192 / 216 + 40 / 64) / 2)
    assert evaluation.scores["pixel_accuracy"] == 232 / 256
    assert [image.name for image in evaluation.images] == [sample.image.name for sample in samples]
    ious = [image.metrics.confusion.foreground_iou for image in evaluation.images[:3]]
    assert ious == [8 / 24, 1, 0]


def test_false_positive_area_is_a_mean_over_images_of_background(samples: list[Sample]) -> None:
    evaluation = evaluate_segmenter(segmenter(), samples)
    counts = {image.name: image.metrics.num_background_only for image in evaluation.images}
    assert counts == {"low.png": 0, "right.png": 0, "alarm.png": 1, "quiet.png": 1}
    assert evaluation.scores["false_positive_area"] == pytest.approx(8 / 64 / 2)


def test_negatives_have_a_false_positive_area_and_no_iou(samples: list[Sample]) -> None:
    evaluation = evaluate_segmenter(segmenter(), samples[2:])
    assert math.isnan(evaluation.scores["miou"]) and math.isnan(evaluation.scores["foreground_iou"])
    assert math.isnan(evaluation.intervals["foreground_iou"][0])
    values = evaluation.to_dict()
    assert values["miou"] is values["foreground_iou"] is None
    assert values["false_positive_area"] == pytest.approx(8 / 64 / 2)
    assert values["pixel_accuracy"] == 120 / 128


def test_ignored_pixels_count_nowhere_even_alone(tmp_path: Path) -> None:
    image = draw(tmp_path, "a", slice(0, 32), None).image
    mask = np.full((64, 64), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    ignored = Sample(image, tmp_path / "m.png", label_table(2))
    evaluation = evaluate_segmenter(segmenter(), [ignored])
    metrics = evaluation.metrics
    assert metrics.confusion.num_pixels == 0 and not metrics.num_background_only
    assert evaluation.to_dict()["false_positive_area"] is None


def test_scores_are_at_the_images_own_size(tmp_path: Path) -> None:
    """Pixels of large images count for as much as those of small ones, not images."""
    for name, side in (("large", 256), ("small", 16)):
        image = np.zeros((side, side, 3), np.uint8)
        image[: side // 2] = (0, 0, 255)
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / f"{name}_mask.png"), image[..., 2] // 255)
    pair = [
        Sample(tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png", label_table(2))
        for name in ("large", "small")
    ]
    evaluation = evaluate_segmenter(segmenter(), pair)
    assert evaluation.metrics.confusion.num_pixels == 256 * 256 + 16 * 16
    assert evaluation.scores["miou"] > 0.98


def test_an_observer_sees_each_image_on_the_networks_grid(samples: list[Sample]) -> None:
    seen: list[tuple[tuple[int, ...], tuple[int, ...], Letterbox]] = []

    def observe(logits: Float32, labels: UInt8, letterbox: Letterbox) -> None:
        seen.append((logits.shape, labels.shape, letterbox))

    evaluate_segmenter(segmenter(), samples, observe)
    assert len(seen) == 4
    assert seen[0] == ((2, 64, 64), (64, 64), Letterbox((64, 64), (64, 64), (64, 64)))


def test_the_interval_holds_the_score_and_is_the_same_again(samples: list[Sample]) -> None:
    evaluation = evaluate_segmenter(segmenter(), samples)
    low, high = evaluation.intervals["foreground_iou"]
    assert 0 <= low < evaluation.scores["foreground_iou"] < high <= 1
    again = Evaluation(evaluation.classes, evaluation.images)
    assert again.intervals["foreground_iou"] == (low, high)
    alike = Evaluation(evaluation.classes, (evaluation.images[0],) * 9)
    assert alike.intervals["foreground_iou"] == pytest.approx((8 / 24, 8 / 24))


def test_every_headline_has_an_interval_around_it(samples: list[Sample]) -> None:
    values = evaluate_segmenter(segmenter(), samples).to_dict()
    assert set(values["intervals_95"]) == {
        "miou", "foreground_iou", "pixel_accuracy", "boundary_iou", "boundary_f",
        "false_positive_area",
        "iou_small", "iou_medium", "iou_large",
    }  # fmt: skip
    for key, (low, high) in values["intervals_95"].items():
        assert (values[key] is None and low is None) or low <= values[key] <= high, key
    # Objects of 16 of 64 rows are medium, of 32 large; small ones there are none.
    assert values["iou_by_size"]["person"]["medium"] == {"iou": 8 / 24, "num_objects": 1}
    assert values["iou_by_size"]["person"]["large"] == {"iou": 1.0, "num_objects": 1}
    assert values["iou_small"] is None and values["iou_medium"] == 8 / 24


def test_masks_that_number_objects_tell_touching_people_apart(tmp_path: Path) -> None:
    image = draw(tmp_path, "a", slice(8, 40), None).image
    mask = np.zeros((64, 64), np.uint8)
    mask[8:20], mask[20:40] = 1, 2  # 12 of 64 rows: small; 20: medium; together: large
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    numbered = Sample(image, tmp_path / "m.png", instance_table(1))
    sizes = evaluate_segmenter(segmenter(), [numbered]).metrics.sizes
    assert sizes.num_objects[1].tolist() == [1, 1, 0]
    cv2.imwrite(str(tmp_path / "m.png"), np.minimum(mask, 1))
    plain = Sample(image, tmp_path / "m.png", label_table(2))
    sizes = evaluate_segmenter(segmenter(), [plain]).metrics.sizes
    assert sizes.num_objects[1].tolist() == [0, 0, 1]


def test_the_values_are_json_without_nan(samples: list[Sample]) -> None:
    values = evaluate_segmenter(segmenter(), samples[:1]).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["iou"]["person"] == 8 / 24
    assert values["precision"]["person"] == values["recall"]["person"] == 0.5
    assert values["images"] == [{"name": "low.png", "foreground_iou": 8 / 24}]
    assert (values["false_positive_area"], values["num_background_only"]) == (None, 0)


def test_labels_of_other_classes_are_refused(tmp_path: Path) -> None:
    sample = draw(tmp_path, "a", slice(0, 8), slice(0, 8))
    assert sample.mask
    cv2.imwrite(str(sample.mask), np.full((64, 64), 2, np.uint8))
    with pytest.raises(ShapeError, match="There are 2 classes"):
        evaluate_segmenter(segmenter(), [Sample(sample.image, sample.mask, label_table(3))])


def test_no_images_are_an_error() -> None:
    with pytest.raises(DataError, match="no images"):
        evaluate_segmenter(segmenter(), [])


def test_false_positive_area_of_an_image_leaves_ignored_pixels_out() -> None:
    labels, predicted = np.array([[0, 0, 0, 255]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8)
    metrics = SegmentationMetrics.of_image(labels, predicted, 2)
    assert metrics.false_positive_area == pytest.approx(1 / 3)


def test_predicting_background_everywhere_scores_the_known_baseline(data_root: Path) -> None:
    """Over all pixels of Penn-Fudan: accuracy 82.8 %, mIoU 0.414, however it is counted."""
    runtime = FakeRuntime(nothing_is_person, DEFAULT)
    data = open_dataset(str(data_root / "PennFudanPed"))
    evaluation = evaluate_segmenter(Segmenter(runtime), data.split("all"))
    assert len(evaluation.images) == 170
    assert evaluation.scores["pixel_accuracy"] == pytest.approx(0.828, abs=5e-4)
    assert evaluation.scores["miou"] == pytest.approx(0.414, abs=5e-4)
    assert evaluation.scores["foreground_iou"] == 0


@dataclasses.dataclass(frozen=True)
class Guess:
    """A sample of another task: the brightness of an image is to be guessed."""

    image: Path
    truth: float | None


class MeanError(Metrics):
    """Metrics of that task: the mean absolute error of the images that have a truth."""

    def __init__(self, total: float = 0, count: int = 0) -> None:
        self.total, self.count = total, count

    def compute(self) -> dict[str, float]:
        return {"error": self.total / self.count if self.count else math.nan}

    def to_row(self) -> NDArray[np.float64]:
        return np.array([self.total, self.count], np.float64)

    def from_row(self, row: NDArray[np.float64]) -> "MeanError":
        return MeanError(float(row[0]), int(row[1]))

    def image_score(self) -> ImageScore:
        error = self.compute()["error"]
        return ImageScore("error", error, -error)

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        return {"classes": list(classes)}


def test_a_task_of_its_own_needs_its_metrics_alone() -> None:
    guesses = [Guess(Path("a.png"), 1), Guess(Path("b.png"), None), Guess(Path("c.png"), 5)]

    def measure(guess: Guess) -> MeanError:
        return MeanError() if guess.truth is None else MeanError(abs(guess.truth - 2), 1)

    evaluation = evaluate(guesses, measure, ("brightness",))
    assert evaluation.scores == {"error": 2.0}
    assert evaluation.worst_first == [2, 0]
    low, high = evaluation.intervals["error"]
    assert (low, high) == (1.0, 3.0)
    assert evaluation.to_dict() == {
        "num_images": 3,
        "error": 2.0,
        "intervals_95": {"error": [1.0, 3.0]},
        "classes": ["brightness"],
        "images": [
            {"name": "a.png", "error": 1.0},
            {"name": "b.png", "error": None},
            {"name": "c.png", "error": 3.0},
        ],
        "worst_images": [{"name": "c.png", "score": 3.0}, {"name": "a.png", "score": 1.0}],
    }


def test_the_worst_comes_first_whatever_it_is_scored_by() -> None:
    def masks(name: str, labels: Sequence[int], predicted: Sequence[int]) -> ImageMetrics[Any]:
        arrays = (np.array([row], np.uint8) for row in (labels, predicted))
        return ImageMetrics(name, SegmentationMetrics.of_image(*arrays, 2))

    ten = [1] * 10
    images = (
        masks("good", ten + [1] * 10, ten + [1] * 9 + [0]),  # IoU 0.95
        masks("alarm", [0] * 10, [0] * 9 + [1]),  # false-positive area 0.1
        masks("unlabeled", [255] * 10, ten),
        masks("poor", ten, [1, 1] + [0] * 8),  # IoU 0.2
        masks("quiet", [0] * 10, [0] * 10),
        masks("alarm too", [0] * 10, [0] * 9 + [1]),
    )
    evaluation = Evaluation(("background", "person"), images)
    assert evaluation.worst_first == [3, 1, 5, 0, 4]
    assert evaluation.to_dict()["worst_images"][:3] == [
        {"name": "poor", "score": 0.2},
        {"name": "alarm", "score": pytest.approx(0.1)},
        {"name": "alarm too", "score": pytest.approx(0.1)},
    ]


def test_a_report_names_the_ten_worst_of_many() -> None:
    guesses = [Guess(Path(f"{error:02}.png"), error) for error in range(13)]
    evaluation = evaluate(guesses, lambda guess: MeanError(guess.truth or 0, 1), ("brightness",))
    names = [row["name"] for row in evaluation.to_dict()["worst_images"]]
    assert names == [f"{error:02}.png" for error in range(12, 2, -1)]


def test_an_observer_gets_the_first_pass_which_is_not_mirrored(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :16] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "left.png"), image)
    seen: list[Float32] = []
    averaging = Segmenter(FakeRuntime(red_is_person), tta=1)
    evaluate_segmenter(
        averaging, [Sample(tmp_path / "left.png")], lambda logits, *_: seen.append(logits)
    )
    (logits,) = seen
    is_red = logits.argmax(0) == 1
    assert is_red[:, :15].all() and not is_red[:, 17:].any()
