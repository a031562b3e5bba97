"""Classifier: a frame in, the probabilities of its classes out, on any engine."""

from collections.abc import Mapping, Sequence

import numpy as np

from seg.errors import SpecMismatch
from seg.imaging.fits import Fit
from seg.predictors.base import Predictor
from seg.results import Classification, Float32
from seg.spec import CLASSIFICATION


class Classifier(Predictor[Classification]):
    """Classifies frames of any size with one model; arguments and errors as of `Predictor`."""

    task = CLASSIFICATION
    fits = ("center_crop", "letterbox")

    def results_of(
        self, outputs: Mapping[str, Float32], pixels: Float32, fits: Sequence[Fit]
    ) -> list[Classification]:
        """As of `Predictor`."""
        scores, classes = outputs[self.output.name], self.output.classes
        if scores.shape[1:] != (len(classes),):
            raise SpecMismatch(
                f"Expected scores (B, {len(classes)}), one for each class; the model returns "
                f"{scores.shape}."
            )
        return [Classification(row, classes) for row in probabilities(scores)]


def probabilities(scores: Float32) -> Float32:
    """Returns the softmax over the last axis, `(..., C)` -> the same shape."""
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), np.float32)
