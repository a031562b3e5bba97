"""SampleLoader: random views of several data sets, the same again for the same seed and epoch."""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from seg.data.augment import Augment, View, copy_paste
from seg.data.augment_official import OfficialAugment
from seg.data.samples import IGNORE, DataSet, Sample
from seg.files.checksum import sha256_of
from seg.imaging.letterbox import Letterbox, Size, hw_of, resize, resize_labels, round_up
from seg.models.base import Net
from seg.models.segmentation import SegmentationNet
from seg.results import UInt8
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec
from seg.training.tasks.segmentation_config import SegmentationConfig
from seg.training.teacher import Teacher, resize_targets, teacher_disagreement

CACHE_BYTES = 4 * 2**30
# What decides a view beside the image and its number.
VIEW_OPTIONS = (
    "seed",
    "augment",
    "input_hw",
    "crop_hw",
    "scale",
    "rotate",
    "rotate_prob",
    "gray_prob",
    "color",
    "copy_paste_prob",
)


class Batch(NamedTuple):
    """What a step learns from; see `SampleLoader.epoch`."""

    inputs: Tensor
    labels: Tensor
    soft_targets: Tensor | None = None


class SampleLoader:
    """Draws the training views.

    Views are drawn in the main process: on few cores a second process takes from the network what
    it gives. Fitted images stay in memory up to 4 GiB.

    Args:
        sets: Data sets with training samples; their weights decide how often each is drawn.
        spec: Stride and padding color of the network.
        config: Sizes, strengths, batch and seed.
        teacher: Decides what is ignored where a data set asks for it.
        has_soft_targets: Whether the teacher's probabilities come along with the labels.
    """

    def __init__(
        self,
        sets: Sequence[DataSet],
        spec: ModelSpec,
        config: SegmentationConfig,
        teacher: Teacher | None = None,
        has_soft_targets: bool = True,
    ) -> None:
        self.teacher, self.has_soft_targets = teacher, has_soft_targets
        self.ignore_above = [data.ignore_above for data in sets for _ in data.train]
        self.samples = [sample for data in sets for sample in data.train]
        shares = np.concatenate(
            [np.full(len(data.train), data.weight / max(1, len(data.train))) for data in sets]
        )
        self.shares = shares / shares.sum()
        self.is_mixed = len({round(share, 12) for share in self.shares}) > 1
        self.donors = [i for i, sample in enumerate(self.samples) if sample.mask is not None]
        self.config = config
        data, crop = config.data, config.crop_hw
        self.letterbox = Letterbox(crop, crop, round_up(crop, spec.stride))
        self.pad_rgb = spec.pad_rgb
        self.augment: Augment | OfficialAugment = (
            OfficialAugment(crop, data.scale, spec.pad_rgb)
            if data.augment == "official"
            else Augment(
                crop,
                data.scale,
                spec.pad_rgb,
                data.color,
                data.rotate,
                data.rotate_prob,
                data.gray_prob,
            )
        )
        self._cache: dict[int, View] = {}
        self._cached_bytes = 0

    def logits(self, net: Net, inputs: Tensor) -> list[Tensor]:
        """Runs a network in training on a batch's inputs."""
        images = inputs.to(memory_format=torch.channels_last)
        return cast(SegmentationNet, net).training_logits(images)

    def runtime(self, net: Net, spec: ModelSpec, device: torch.device) -> TorchRuntime:
        """Returns the network as validation runs it."""
        return TorchRuntime(net, spec, device)

    def __len__(self) -> int:
        """Returns the number of steps in an epoch."""
        return -(-(self.config.data.samples or len(self.samples)) // self.config.data.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yields an epoch's batches; they depend on the seed and on `number` alone.

        Yields:
            float32 `(B, 3, H, W)` RGB 0..1, int64 `(B, H, W)` with `IGNORE` outside, and with a
            teacher uint8 `(B, C, H, W)`, its log-probabilities in steps of -0.05 and 255 outside.
        """
        rng = np.random.default_rng([self.config.optim.seed, number])
        self.augment.seed(int(rng.integers(2**31)))
        order = self.order(rng)
        for start in range(0, len(order), self.config.data.batch):
            views = [self._view(i, rng) for i in order[start : start + self.config.data.batch]]
            yield self._stack(views)

    def order(self, rng: np.random.Generator) -> list[int]:
        """Draws which images an epoch shows, as indices of `samples`."""
        count = self.config.data.samples or len(self.samples)
        if self.is_mixed or count != len(self.samples):
            return [int(i) for i in rng.choice(len(self.samples), count, p=self.shares)]
        return [int(i) for i in rng.permutation(count)]

    def view_at(self, index: int, number: int) -> Batch:
        """Draws a batch of one view, the same for the same seed, image, labels and `number`."""
        drawn = int(self.digests[index][:16], 16)
        rng = np.random.default_rng([self.config.optim.seed, number, drawn])
        self.augment.seed(int(rng.integers(2**31)))
        return self._stack([self._view(index, rng)])

    def key(self, index: int, number: int) -> dict[str, Any]:
        """Returns what decides `view_at`, as plain values; the place of the files does not."""
        options = self.config.to_dict()
        donors = [self.digests[i] for i in self.donors] if options["copy_paste_prob"] else []
        return {
            "sample": self.digests[index],
            "view": number,
            "canvas_hw": self.letterbox.canvas_hw,
            "donors": hashlib.sha256("".join(donors).encode()).hexdigest(),
            **{name: options[name] for name in VIEW_OPTIONS},
        }

    @functools.cached_property
    def digests(self) -> list[str]:
        """A hash of each sample's image, mask and labels' meaning."""
        return [digest_of(sample) for sample in self.samples]

    def _view(self, index: int, rng: np.random.Generator) -> View:
        view = self.augment.view(*self._fitted(index))
        if self.donors and rng.random() < self.config.data.copy_paste_prob:
            donor = self._fitted(self.donors[int(rng.integers(len(self.donors)))])
            image, labels = self.augment.view(*donor)
            view = copy_paste(view, (self.augment.recolor(image), labels))
        return self.augment.recolor(view[0]), view[1]

    def _fitted(self, index: int) -> View:
        if index in self._cache:
            return self._cache[index]
        image, labels = self._load_targets(index)
        # The official views are enlarged up to three times, so they start from the image itself.
        if self.config.data.augment == "default":
            image, labels = _fitted(image, labels, self.config.model.input_hw)
        if self._cached_bytes + image.nbytes + labels.nbytes <= CACHE_BYTES:
            self._cache[index] = image, labels
            self._cached_bytes += image.nbytes + labels.nbytes
        return image, labels

    def _load_targets(self, index: int) -> View:
        """Loads an image and its labels, and with a teacher its scores as further planes."""
        sample = self.samples[index]
        image, labels = sample.load()
        if self.teacher is None or not (self.has_soft_targets or self.ignore_above[index]):
            return image, labels
        scores = self._scores(self.teacher, index, image)
        planes = np.dstack([labels, scores])
        if self.ignore_above[index]:
            planes[teacher_disagreement(labels, scores, self.ignore_above[index])] = IGNORE
        return image, planes if self.has_soft_targets else planes[..., 0].copy()

    def _scores(self, teacher: Teacher, index: int, image: UInt8) -> UInt8:
        return resize_targets(teacher.log_probs(image, self.digests[index]), hw_of(image))

    def disagreement_report(self, teacher: Teacher) -> dict[str, float]:
        """Returns the share of each image that is ignored because the teacher disagrees; not 0."""
        shares = {}
        for index, sample in enumerate(self.samples):
            if self.ignore_above[index]:
                image, labels = sample.load()
                found = teacher_disagreement(
                    labels, self._scores(teacher, index, image), self.ignore_above[index]
                )
                shares[sample.image.name] = float(found.mean())
        return {name: share for name, share in shares.items() if share}

    def _stack(self, views: list[View]) -> Batch:
        pixels = [self.letterbox.pack(image, self.pad_rgb) for image, _ in views]
        planes = [torch.from_numpy(self.letterbox.pack_labels(part)) for _, part in views]
        known = torch.stack(planes)
        labels = known if known.ndim == 3 else known[..., 0]
        soft = None if known.ndim == 3 else known[..., 1:].permute(0, 3, 1, 2)
        return Batch(torch.from_numpy(np.concatenate(pixels)), labels.long(), soft)


def _fitted(image: UInt8, labels: UInt8, input_hw: Size) -> View:
    box = Letterbox.fit(hw_of(image), input_hw, 1)
    return resize(image, box.image_hw), resize_labels(labels, box.image_hw)


def digest_of(sample: Sample) -> str:
    """Returns a hash of a sample's image, mask and labels' meaning; not of their place."""
    files = [sha256_of(path) if path else "" for path in (sample.image, sample.mask)]
    return hashlib.sha256("".join(files).encode() + sample.table).hexdigest()
