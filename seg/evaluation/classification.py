"""Evaluation of a classifier on images in a folder for each class."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from seg.data.class_folders import ClassSample
from seg.errors import DataError, SpecMismatch
from seg.evaluation.evaluate import Evaluation, ImageMetrics
from seg.evaluation.report import ReportLayout
from seg.imaging.image_io import read_image
from seg.metrics import ClassificationMetrics
from seg.predictors.base import MAX_BATCH
from seg.predictors.classifier import Classifier
from seg.progress import track

LAYOUT: Final = ReportLayout(
    headlines={"top1": "top-1", "top5": "top-5"},
    by_class={"recall": "recall", "precision": "precision", "f1": "F1"},
    more_tables=lambda report: [],
    notes="""95 % CI: percentile bootstrap over images.
Top-1, top-5: share of the images whose class is the best, or among the best five.
A class's recall is the share of its images that are found.""",
)
NEIGHBORS_LAYOUT: Final = dataclasses.replace(
    LAYOUT, notes=LAYOUT.notes.replace("best five.", "best five, by the votes.")
)


def evaluate_classifier(
    classifier: Classifier, samples: Sequence[ClassSample], classes: Sequence[str]
) -> Evaluation[ClassificationMetrics]:
    """Classifies images and counts which classes are found.

    Args:
        classifier: The model.
        samples: The images.
        classes: The classes of their labels.

    Raises:
        SpecMismatch: The model has other classes.
        DataError: There is no image, or one cannot be read.
        EngineFailure: The engine failed.
    """
    known = classifier.output.classes
    if tuple(classes) != known:
        raise SpecMismatch(
            f"The model knows {', '.join(known[:9])}; the folders are {', '.join(classes[:9])}. "
            "Measure it on the classes that it was trained on."
        )
    if not samples:
        raise DataError("There are no images to evaluate on.")
    found = []
    for start in track(range(0, len(samples), MAX_BATCH), "evaluating"):
        chosen = samples[start : start + MAX_BATCH]
        results = classifier.predict([read_image(sample.image) for sample in chosen])
        for sample, result in zip(chosen, results, strict=True):
            metrics = ClassificationMetrics.of_image(sample.label, result.probabilities)
            found.append(ImageMetrics(sample.image.name, metrics))
    return Evaluation(tuple(classes), tuple(found))
