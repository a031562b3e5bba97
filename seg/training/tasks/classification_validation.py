"""Validation of a classifier: the probabilities of its classes for each image."""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from seg.data.class_folders import ClassDataSet
from seg.features.knn import K, knn_scores
from seg.metrics import ClassificationMetrics
from seg.models.classification import ClassificationNet
from seg.predictors.base import MAX_BATCH
from seg.predictors.classifier import probabilities
from seg.results import Float32
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec
from seg.training.tasks.cached_vectors import CachedVectors
from seg.training.tasks.class_loader import center_crops


@dataclasses.dataclass(frozen=True, slots=True)
class Validation:
    """What a classifier makes of the validation images.

    Attributes:
        probabilities: `(N, C)` float32, in the order of the data set's `valid`.
        labels: `(N,)` true classes.
    """

    probabilities: Float32
    labels: NDArray[np.int64]

    def scores(self) -> dict[str, float]:
        """Returns the mean cross-entropy and the share of the images whose class is found."""
        of_truth = self.probabilities[np.arange(len(self.labels)), self.labels]
        loss = float(-np.log(np.maximum(of_truth, 1e-12)).mean())
        return {
            "val_loss": loss,
            "val_ce": loss,
            "top1": float((self.probabilities.argmax(1) == self.labels).mean()),
        }

    def metrics(self) -> ClassificationMetrics:
        """Returns the metrics of all images together."""
        total = ClassificationMetrics(self.probabilities.shape[1])
        for label, row in zip(self.labels.tolist(), self.probabilities, strict=True):
            total = total + ClassificationMetrics.of_image(label, row)
        return total


def validate(
    net: ClassificationNet,
    spec: ModelSpec,
    data: ClassDataSet,
    device: torch.device,
    views: CachedVectors | None,
) -> Validation:
    """Runs a network on the validation images, cropped as the apps crop them.

    Args:
        net: The network.
        spec: What it is.
        data: The images.
        device: Where it runs.
        views: Where its backbone is frozen: keeps the vectors.
    """
    runtime = TorchRuntime(net, spec, device)
    rows = []
    for start in range(0, len(data.valid), MAX_BATCH):
        chosen = data.valid[start : start + MAX_BATCH]
        if views is None:
            rows.append(runtime.run(center_crops(chosen, spec))[spec.outputs[0].name])
        else:
            rows.append(_head_scores(net, views.of_samples(chosen, spec), device))
    labels = np.array([sample.label for sample in data.valid], np.int64)
    return Validation(probabilities(np.concatenate(rows)), labels)


def validate_by_neighbors(views: CachedVectors, spec: ModelSpec, data: ClassDataSet) -> Validation:
    """Classifies the validation images by the training images nearest to them, without a head.

    Class tokens are compared, or the means of a convolutional network's maps; see
    `seg.features.knn`.

    Args:
        views: Keeps the vectors.
        spec: What the network is.
        data: The images.
    """
    known, queries = (
        views.of_samples(samples, spec)[:, : views.num_class_channels]
        for samples in (data.train, data.valid)
    )
    labels, truth = (
        np.array([sample.label for sample in samples], np.int64)
        for samples in (data.train, data.valid)
    )
    k = min(K, len(labels))
    return Validation(knn_scores(queries, known, labels, len(data.classes), k), truth)


def _head_scores(net: ClassificationNet, vectors: Float32, device: torch.device) -> Float32:
    with torch.inference_mode():
        scores = net.eval().head(torch.from_numpy(vectors).to(device))
    found: Float32 = scores.float().cpu().numpy()
    return found
