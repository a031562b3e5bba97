"""The colors of errors."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np

from seg.evaluation.figures import draw_confusion, error_map


def test_each_kind_of_error_has_its_color() -> None:
    labels = np.array([[0, 1, 0, 1, 1, 255]], np.uint8)
    predicted = np.array([[0, 1, 1, 0, 2, 1]], np.uint8)
    image = np.full((1, 6, 3), 100, np.uint8)
    gray = [114, 114, 114]
    assert error_map(image, labels, predicted).tolist() == [
        [gray, gray, [235, 130, 40], [60, 60, 235], [40, 215, 235], gray]
    ]
    assert (image == 100).all()


def test_a_confusion_matrix_shows_shares_of_the_true_class(tmp_path: Path) -> None:
    with mpl.rc_context({"svg.fonttype": "none"}):  # text stays text
        draw_confusion(tmp_path / "confusion.svg", np.array([[3, 1], [0, 4]]), ["cat", "dog"])
    shown = re.findall(r">(\d\.\d\d)</text>", (tmp_path / "confusion.svg").read_text("utf-8"))
    assert shown == ["0.75", "0.25", "0.00", "1.00"]
