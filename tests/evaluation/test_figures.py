"""The colors of errors."""

import numpy as np

from seg.evaluation.figures import error_map


def test_each_kind_of_error_has_its_color() -> None:
    labels = np.array([[0, 1, 0, 1, 1, 255]], np.uint8)
    predicted = np.array([[0, 1, 1, 0, 2, 1]], np.uint8)
    image = np.full((1, 6, 3), 100, np.uint8)
    gray = [114, 114, 114]
    assert error_map(image, labels, predicted).tolist() == [
        [gray, gray, [235, 130, 40], [60, 60, 235], [40, 215, 235], gray]
    ]
    assert (image == 100).all()
