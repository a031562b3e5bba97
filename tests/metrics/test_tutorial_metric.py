"""The tutorial's metric, as docs/metrics.md tells it: wrong by N / (N + 1), and by hand."""

import contextlib
import io
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from seg.metrics import ConfusionMatrix

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BATCHES = (("PPPP......", "PPP......."), ("P.........", "PP........"))


class TutorialMetric:
    """ESPNet's IOUEval in a few lines: the count of batches starts at 1."""

    def __init__(self):
        self.num_batches, self.miou, self.accuracy = 1, Fraction(0), Fraction(0)

    def add_batch(self, truth, predicted):
        pairs = list(zip(truth, predicted, strict=True))
        ious = [
            Fraction(sum(t == p == c for t, p in pairs), sum(c in (t, p) for t, p in pairs))
            for c in "P."
        ]
        self.miou += sum(ious) / 2
        self.accuracy += Fraction(sum(t == p for t, p in pairs), len(pairs))
        self.num_batches += 1

    def result(self):
        return self.miou / self.num_batches, self.accuracy / self.num_batches


def tutorial(batches):
    metric = TutorialMetric()
    for truth, predicted in batches:
        metric.add_batch(truth, predicted)
    return metric.result()


def ours(batches):
    matrix = ConfusionMatrix(2)
    for pair in batches:
        truth, predicted = (np.array([c == "P" for c in text], np.uint8) for text in pair)
        matrix.update(truth, predicted)
    return matrix.miou, matrix.pixel_accuracy


def test_the_tutorials_metric_is_two_thirds_of_the_batches_mean():
    by_hand = (Fraction(3, 4) + Fraction(6, 7)) / 2, (Fraction(1, 2) + Fraction(8, 9)) / 2
    assert tutorial(BATCHES) == (sum(by_hand) / 3, Fraction(6, 10))
    assert tutorial(BATCHES)[0] == Fraction(2, 3) * sum(by_hand) / 2


def test_one_matrix_gives_what_a_hand_counts_however_the_pixels_come():
    by_hand = float((Fraction(4, 6) + Fraction(14, 16)) / 2)
    whole = ["".join(part) for part in zip(*BATCHES, strict=True)]
    for batches in (BATCHES, BATCHES[::-1], [whole]):
        assert ours(batches) == (pytest.approx(by_hand), pytest.approx(0.9))
    assert tutorial([whole]) == ((Fraction(4, 6) + Fraction(14, 16)) / 4, Fraction(9, 20))


def test_the_corrected_figures_are_the_printed_ones_times_three_halves():
    num_batches = -(-24 // 20)
    factor = (num_batches + 1) / num_batches
    assert num_batches == 2
    assert (round(0.6051 * factor, 3), round(0.647 * factor, 3)) == (0.908, 0.971)
    # One batch would be more than all, four less than a mask of background alone.
    assert 0.6051 * 2 > 1 and 0.647 * 4 / 3 > 0.820 > 0.647 * 5 / 4
    assert "**0.908** mIoU and 0.647 × 3/2 = **0.971**" in PAGE.read_text("utf-8")


def test_the_pages_program_prints_what_the_page_says():
    found = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert found
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(found[1], {})
    assert said.getvalue() == found[2]
