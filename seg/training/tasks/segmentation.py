"""Segmentation: images and masks in, a network that scores each pixel out."""

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor

from seg.data import open_dataset, penn_fudan
from seg.data.check import check_samples
from seg.data.samples import DataSet
from seg.data.split import select_validation_set
from seg.errors import DataError, SpecMismatch
from seg.files.cache_folders import cache_folder
from seg.models.base import Net
from seg.models.segmentation import LinearSegmentationNet
from seg.predictors.segmenter import Segmenter
from seg.spec import SEGMENTATION, ModelSpec, segmentation_outputs
from seg.training.autocast import autocast, resolve
from seg.training.cached_features import CachedFeatures, backbone_key
from seg.training.config import FrozenConfig
from seg.training.feature_cache import Cache
from seg.training.init_weights import init_weights_from
from seg.training.losses import PLAIN, segmentation_losses
from seg.training.network import make_net
from seg.training.optim import parameter_groups
from seg.training.run import fingerprint
from seg.training.sample_loader import Batch, SampleLoader, digest_of
from seg.training.tasks.segmentation_config import SegmentationConfig
from seg.training.validation import draw_overlays, validate

CALIBRATION_BATCHES = 4  # whose statistics folded batch norms get

log = logging.getLogger("dinoseg")


class SegmentationTask:
    """Trains a segmentation network.

    Args:
        config: The choices.
        sets: Data sets; the first one with masks to validate on decides which epoch is best.
        device: Where to train.
        cache_dir: Folder of the caches; None: the default.
    """

    task = SEGMENTATION
    monitor = "iou"
    metrics: ClassVar[dict[str, str]] = {
        "iou": "IoU",
        "miou": "mIoU",
        "pixel_accuracy": "pixel accuracy",
        "val_loss": "validation loss",
    }

    def __init__(
        self,
        config: SegmentationConfig,
        sets: Sequence[DataSet],
        device: torch.device,
        cache_dir: Path | None = None,
    ) -> None:
        self.config, self.sets, self.device = config, sets, device
        self.cache_dir = cache_dir or cache_folder("features")
        self.precision = resolve(config.optim.precision, device)
        self.valid = select_validation_set(sets)
        self.loader: SampleLoader
        self.views: SampleLoader | CachedFeatures

    @classmethod
    def open_sets(cls, config: SegmentationConfig, cache_dir: Path | None) -> list[DataSet]:
        """Opens the data sets that a configuration names, or Penn-Fudan.

        Raises:
            DataError: A data set is missing or damaged, or needs a teacher.
        """
        texts = config.data.data or (str(penn_fudan.download()),)
        sets = [open_dataset(text, config.data.classes) for text in texts]
        if any(data.ignore_above for data in sets):
            cls.check_ignore_above()
        return sets

    @classmethod
    def check_data(cls, sets: Sequence[DataSet], config: SegmentationConfig) -> None:
        """Logs what the data sets hold and what is odd; raises DataError where it is faulty."""
        for data in sets:
            log.info(
                "%s: %s; %d train, %d valid",
                data.name, data.description, len(data.train), len(data.valid),
            )  # fmt: skip
        for remark in check_samples([one for data in sets for one in data.train + data.valid]):
            log.info("%s", remark)

    @classmethod
    def check_split(cls, sets: Sequence[DataSet]) -> None:
        """Raises DataError where there is nothing to learn from, or to validate on."""
        select_validation_set(sets)

    @classmethod
    def check_ignore_above(cls) -> None:
        """Raises DataError: nobody is there to disagree with the labels."""
        raise DataError("ignore_above= needs a teacher; it belongs to train.py distill.")

    def build(self) -> tuple[Net, ModelSpec]:
        """Builds the network and its spec, and what draws its views; as of `Task`.

        Raises:
            ArtifactError: The backbone's weights cannot be had.
            SpecMismatch: A step would be too small for a batch norm.
        """
        outputs = segmentation_outputs(self.config.data.classes)
        net, spec = make_net(self.config.model, outputs, self.config.optim.seed)
        net = net.to(self.device)
        self.spec = spec
        self.loader = self.views = self._loader(spec)
        _check_steps(self.loader, spec)
        model = self.config.model
        if isinstance(model, FrozenConfig) and model.views:
            linear = cast(LinearSegmentationNet, net)
            cache = Cache(self.cache_dir, backbone_key(spec))
            self.views = CachedFeatures(
                linear, self.loader, model.views, cache, self.device, self.precision
            )
        return net, spec

    def prepare(self, net: Net, folder: Path, is_new: bool) -> None:
        """Takes over the weights of `--init`, and fills the cache; as of `Task`."""
        if self.config.model.init and is_new:
            path = Path(self.config.model.init)
            log.info("%s", init_weights_from(path, net, self.spec, self._calibration_images))
        if isinstance(self.views, CachedFeatures):
            self.views.precompute()

    @property
    def steps_per_epoch(self) -> int:
        """As of `Task`."""
        return len(self.loader)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """As of `Task`."""
        return self.views.epoch(epoch)

    def loss(self, net: Net, batch: Batch) -> Mapping[str, Tensor]:
        """As of `Task`."""
        return self._losses(self._logits(net, batch), batch)

    def validate(self, net: Net) -> Mapping[str, float]:
        """As of `Task`."""
        losses = self.config.losses
        return validate(self.segmenter(net), self.valid, losses if losses.has_any() else PLAIN)

    def fingerprint(self) -> Mapping[str, str]:
        """As of `Task`."""
        return {
            "train": fingerprint(self.loader.digests),
            "valid": fingerprint([digest_of(sample) for sample in self.valid]),
        }

    def optimizer(self, net: Net) -> torch.optim.Optimizer:
        """As of `Task`: AdamW."""
        optim = self.config.optim
        return torch.optim.AdamW(parameter_groups(net, optim.weight_decay), optim.lr)

    @classmethod
    def compare(cls, runs: Mapping[str, Sequence[Path]], folder: Path) -> str:
        """As of `Task`: the logs say all."""
        return ""

    def draw(self, net: Net, folder: Path) -> None:
        """As of `Task`."""
        draw_overlays(self.segmenter(net), self.valid, folder / "overlays.png")

    def segmenter(self, net: Net) -> Segmenter:
        """Returns the network as validation runs it."""
        return Segmenter(self.views.runtime(net, self.spec, self.device))

    def _loader(self, spec: ModelSpec) -> SampleLoader:
        return SampleLoader(self.sets, spec, self.config)

    def _logits(self, net: Net, batch: Batch) -> list[Tensor]:
        with autocast(self.device, self.precision):
            return self.views.logits(net, batch.inputs.to(self.device))

    def _losses(self, outputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        return segmentation_losses(outputs, batch.labels.to(self.device), self.config.losses)

    def _calibration_images(self) -> Tensor:
        drawn = itertools.islice(self.loader.epoch(0), CALIBRATION_BATCHES)
        return torch.cat([batch.inputs for batch in drawn]).to(self.device)


def _check_steps(loader: SampleLoader, spec: ModelSpec) -> None:
    """Raises SpecMismatch where a step is a single cell: a batch norm has no variance of that."""
    data = loader.config.data
    count, size = data.samples or len(loader.samples), data.batch
    num_views, (height, width) = count % size or size, loader.letterbox.canvas_hw
    if num_views * height * width <= spec.stride**2:
        raise SpecMismatch(
            f"The last of an epoch's {count} views is a step of its own, of {width}x{height} "
            f"pixels, one cell of {spec.arch}; choose another --batch, or a larger --crop or "
            "--imgsz."
        )
