"""ClassLoader: random views of images with a class each, the same again for a seed and an epoch."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seg.data.augment_classes import ClassAugment
from seg.data.class_folders import ClassSample
from seg.files.checksum import sha256_of
from seg.imaging.center_crop import CenterCrop
from seg.imaging.image_io import read_image
from seg.imaging.letterbox import hw_of, resize, round_up, to_network
from seg.results import Float32, UInt8
from seg.spec import ModelSpec
from seg.training.tasks.classification_config import ClassificationConfig

CACHE_BYTES = 4 * 2**30
VIEW_OPTIONS = ("seed", "input_hw", "scale", "color")


class ClassBatch(NamedTuple):
    """What a step learns from.

    Attributes:
        inputs: float32 `(B, 3, H, W)` RGB 0..1, or vectors `(B, F)` of a frozen backbone.
        labels: int64 `(B,)`.
    """

    inputs: Tensor
    labels: Tensor


class ClassLoader:
    """Draws the training views. Resized images stay in memory up to 4 GiB.

    Args:
        samples: Images to learn from.
        spec: Stride and size of the network.
        config: Strengths, batch and seed.
    """

    def __init__(
        self, samples: Sequence[ClassSample], spec: ModelSpec, config: ClassificationConfig
    ) -> None:
        self.samples, self.spec, self.config = samples, spec, config
        self.crop_hw = round_up(spec.input_hw, spec.stride)
        self.augment = ClassAugment(self.crop_hw, config.data.scale, config.data.color)
        self._cache: dict[int, UInt8] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        """Returns the number of steps in an epoch."""
        return -(-len(self.samples) // self.config.data.batch)

    def epoch(self, number: int) -> Iterator[ClassBatch]:
        """Yields an epoch's batches; they depend on the seed and on `number` alone."""
        rng = np.random.default_rng([self.config.optim.seed, number])
        self.augment.seed(int(rng.integers(2**31)))
        for chosen in self.order(rng):
            views = [self.augment.view(self._resized(index)) for index in chosen]
            yield ClassBatch(torch.from_numpy(to_network(views)), self.labels(chosen))

    def order(self, rng: np.random.Generator) -> list[list[int]]:
        """Draws the order in which an epoch shows the images, cut into steps."""
        order, size = rng.permutation(len(self.samples)).tolist(), self.config.data.batch
        return [order[start : start + size] for start in range(0, len(order), size)]

    def labels(self, chosen: Sequence[int]) -> Tensor:
        """Returns the classes of some images, int64 `(B,)`."""
        return torch.tensor([self.samples[index].label for index in chosen])

    def view_at(self, index: int, number: int) -> Float32:
        """Draws a view `(1, 3, H, W)`, the same for the same seed, image and `number`."""
        drawn = int(self.digests[index][:16], 16)
        rng = np.random.default_rng([self.config.optim.seed, number, drawn])
        self.augment.seed(int(rng.integers(2**31)))
        return to_network([self.augment.view(self._resized(index))])

    def key(self, index: int, number: int) -> dict[str, Any]:
        """Returns what decides `view_at`, as plain values; the place of the file does not."""
        options = self.config.to_dict()
        return {
            "image": self.digests[index],
            "view": number,
            "canvas_hw": self.crop_hw,
            **{name: options[name] for name in VIEW_OPTIONS},
        }

    @functools.cached_property
    def digests(self) -> list[str]:
        """A hash of each image and its class."""
        return [digest_of(sample) for sample in self.samples]

    def _resized(self, index: int) -> UInt8:
        """Returns an image whose shorter side is an eighth longer than a view's, as validated."""
        if index in self._cache:
            return self._cache[index]
        image = read_image(self.samples[index].image)
        fit = CenterCrop.fit(hw_of(image), self.spec.input_hw, self.spec.stride)
        resized = resize(image, fit.image_hw)
        if self._cached_bytes + resized.nbytes <= CACHE_BYTES:
            self._cache[index] = resized
            self._cached_bytes += resized.nbytes
        return resized


def center_crops(samples: Sequence[ClassSample], spec: ModelSpec) -> Float32:
    """Returns images as the apps crop them, `(B, 3, H, W)` RGB 0..1."""
    packed = []
    for sample in samples:
        image = read_image(sample.image)
        fit = CenterCrop.fit(hw_of(image), spec.input_hw, spec.stride)
        packed.append(fit.pack(image, spec.pad_rgb))
    return np.concatenate(packed)


def digest_of(sample: ClassSample) -> str:
    """Returns a hash of an image and its class; not of its place."""
    return hashlib.sha256(f"{sha256_of(sample.image)} {sample.label}".encode()).hexdigest()
