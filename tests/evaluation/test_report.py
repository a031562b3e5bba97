"""What a report says first, and the colours of errors."""

import numpy as np

from seg.evaluation.figures import error_map
from seg.evaluation.report import worst_of


def test_the_worst_comes_first_whatever_it_is_scored_by() -> None:
    rows = [
        {"name": "good", "foreground_iou": 0.95},
        {"name": "alarm", "false_area": 0.1},
        {"name": "unlabelled", "false_area": None},
        {"name": "poor", "foreground_iou": 0.2},
        {"name": "quiet", "false_area": 0.0},
    ]
    expected = [("poor", 0.2), ("alarm", 0.1), ("good", 0.95), ("quiet", 0.0)]
    assert worst_of({"images": rows}) == expected


def test_each_kind_of_error_has_its_colour() -> None:
    labels = np.array([[0, 1, 0, 1, 1, 255]], np.uint8)
    predicted = np.array([[0, 1, 1, 0, 2, 1]], np.uint8)
    image = np.full((1, 6, 3), 100, np.uint8)
    grey = [114, 114, 114]
    assert error_map(image, labels, predicted).tolist() == [
        [grey, grey, [235, 130, 40], [60, 60, 235], [40, 215, 235], grey]
    ]
    assert (image == 100).all()
