"""What validation counts."""

import cv2
import numpy as np
import pytest

from seg.data.samples import Sample, label_table
from seg.predictors.segmenter import Segmenter
from seg.runtimes.fake import FakeRuntime
from seg.training.validation import validate


def test_ignored_pixels_are_in_no_loss(tmp_path):
    """The network scores 0 and 0 at the left, -9 and 9 at the right, which is all ignored."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:32, :32] = 1
    mask[:, 32:] = 255
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((64, 64, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "mask.png"), mask)

    def logits(images):
        scores = np.zeros((len(images), 2, *images.shape[2:]), np.float32)
        scores[:, 0, :, 32:], scores[:, 1, :, 32:] = -9, 9
        return {"logits": scores}

    sample = Sample(tmp_path / "image.png", tmp_path / "mask.png", label_table(2))
    row = validate(Segmenter(FakeRuntime(logits), input_hw=(64, 64)), [sample])
    assert row["val_ce"] == pytest.approx(np.log(2), rel=1e-5)
