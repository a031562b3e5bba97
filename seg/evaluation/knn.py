"""Evaluation of features by their nearest neighbors: a classifier that needs no training."""

from collections.abc import Sequence

import numpy as np

from seg.data.class_folders import ClassSample
from seg.errors import DataError
from seg.evaluation.evaluate import Evaluation, ImageMetrics
from seg.features.knn import TEMPERATURE, K, Labels, knn_scores, leave_one_out_scores
from seg.imaging.image_io import read_image
from seg.metrics import ClassificationMetrics
from seg.predictors.base import MAX_BATCH
from seg.predictors.embedder import Embedder
from seg.progress import track
from seg.results import Float32


def embed_samples(embedder: Embedder, samples: Sequence[ClassSample]) -> Float32:
    """Returns the vectors of some images, `(N, D)` of length 1.

    Raises:
        DataError: There is no image, or one cannot be read.
        EngineFailure: The engine failed.
    """
    if not samples:
        raise DataError("There are no images to evaluate on.")
    vectors = []
    starts = range(0, len(samples), MAX_BATCH)
    for start in track(starts, "embedding"):
        images = [read_image(sample.image) for sample in samples[start : start + MAX_BATCH]]
        vectors += [features.vector() for features in embedder.predict(images)]
    return np.stack(vectors)


def evaluate_knn(
    embedder: Embedder,
    gallery: Sequence[ClassSample] | None,
    samples: Sequence[ClassSample],
    classes: Sequence[str],
    k: int = K,
    temperature: float = TEMPERATURE,
) -> Evaluation[ClassificationMetrics]:
    """Classifies images by the images of a gallery that are nearest to them.

    Args:
        embedder: The features.
        gallery: Images whose classes are known; None leaves each sample out in turn and takes the
            others.
        samples: Images to classify.
        classes: Class names.
        k: As of `knn_scores`.
        temperature: As of `knn_scores`.

    Raises:
        DataError: There is no image, or one cannot be read.
        SpecMismatch: There are fewer than `k` images to choose from.
        EngineFailure: The engine failed.
    """
    num_classes, queries = len(classes), embed_samples(embedder, samples)
    if gallery is None:
        labels = _labels(samples)
        scores = leave_one_out_scores(queries, labels, num_classes, k, temperature)
    else:
        known, labels = embed_samples(embedder, gallery), _labels(gallery)
        scores = knn_scores(queries, known, labels, num_classes, k, temperature)
    images = (
        ImageMetrics(sample.image.name, ClassificationMetrics.of_image(sample.label, row))
        for sample, row in zip(samples, scores, strict=True)
    )
    return Evaluation(tuple(classes), tuple(images))


def _labels(samples: Sequence[ClassSample]) -> Labels:
    return np.array([sample.label for sample in samples], np.int64)
