"""Classification: images in class folders in, a network that scores the classes of an image out."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.data.check import check_images
from seg.data.class_folders import ClassDataSet, open_class_folders, refuse_duplicates
from seg.errors import SpecMismatch
from seg.files.cache_folders import cache_folder
from seg.models.backbones.registry import backbone_info
from seg.models.base import Net, made_with
from seg.models.checkpoint import read_state
from seg.models.classification import NUM_LAYERS, ClassificationNet, check_head
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone, weights_id
from seg.spec import CLASSIFICATION, ModelSpec, classification_outputs
from seg.training.autocast import autocast, resolve
from seg.training.cached_features import backbone_key
from seg.training.feature_cache import Cache
from seg.training.optim import freeze, parameter_groups
from seg.training.run import fingerprint
from seg.training.tasks.cached_vectors import CachedVectors
from seg.training.tasks.class_loader import ClassBatch, ClassLoader, digest_of
from seg.training.tasks.classification_config import ClassificationConfig
from seg.training.tasks.classification_report import (
    NEIGHBORS,
    compare_runs,
    write_predictions,
    write_report,
)
from seg.training.tasks.classification_validation import (
    Validation,
    validate,
    validate_by_neighbors,
)

log = logging.getLogger("dinoseg")


class ClassificationTask:
    """Trains a classifier.

    Args:
        config: The choices.
        sets: One data set.
        device: Where to train.
        cache_dir: Folder of the caches; None: the default.
    """

    task = CLASSIFICATION
    monitor = "top1"
    metrics: ClassVar[dict[str, str]] = {"top1": "top-1", "val_ce": "validation loss"}

    def __init__(
        self,
        config: ClassificationConfig,
        sets: Sequence[ClassDataSet],
        device: torch.device,
        cache_dir: Path | None = None,
    ) -> None:
        self.config, (self.data,), self.device = config, sets, device
        self.cache_dir = cache_dir or cache_folder("features")
        self.precision = resolve(config.optim.precision, device)
        self.loader: ClassLoader
        self.views: ClassLoader | CachedVectors

    @classmethod
    def open_sets(cls, config: ClassificationConfig, cache_dir: Path | None) -> list[ClassDataSet]:
        """Opens the folder that a configuration names.

        Raises:
            DataError: It is missing, or its classes are not what they should be.
        """
        return [open_class_folders(text) for text in config.data.data]

    @classmethod
    def check_data(cls, sets: Sequence[ClassDataSet], config: ClassificationConfig) -> None:
        """Logs what the data set holds and what is odd; raises DataError where it is faulty."""
        for data in sets:
            log.info(
                "%s: %s; %d train, %d valid",
                data.name, data.description, len(data.train), len(data.valid),
            )  # fmt: skip
            for remark in refuse_duplicates(data, config.data.allow_duplicates):
                log.info("%s", remark)
            for remark in check_images([sample.image for sample in data.train + data.valid]):
                log.info("%s", remark)

    @classmethod
    def check_split(cls, sets: Sequence[ClassDataSet]) -> None:
        """Accepts every split: the reader of the folder has looked at it."""

    def build(self) -> tuple[Net, ModelSpec]:
        """Builds the network and its spec, and what draws its views; as of `Task`.

        Raises:
            ArtifactError: The backbone's weights cannot be had, or it takes no such head.
        """
        model, info = self.config.model, backbone_info(self.config.model.arch)
        check_head(model.head, info.is_convolutional)
        depth = len(info.channels)
        last = None if info.is_convolutional else range(depth - NUM_LAYERS[model.head], depth)
        torch.manual_seed(self.config.optim.seed)
        backbone = load_backbone(model.arch, model.backbone, last)
        if not model.finetune:
            freeze(backbone)
        self.spec = ModelSpec(
            arch=model.arch,
            outputs=classification_outputs(self.data.classes),
            head=model.head,
            input_hw=model.input_hw,
            fit="center_crop",
            stride=info.patch_size,
            layers=backbone.layers,
            backbone=backbone.source,
            weights_id="" if model.finetune else weights_id(backbone),
            mean=info.mean,
            std=info.std,
            made_with=made_with(),
        )
        net = cast(ClassificationNet, build_net(self.spec, backbone).to(self.device))
        self.loader = self.views = ClassLoader(self.data.train, self.spec, self.config)
        if model.views:
            key = {"task": "vectors", "head": model.head, **backbone_key(self.spec)}
            cache = Cache(self.cache_dir, key)
            self.views = CachedVectors(net, self.loader, model.views, cache, self.device)
        return net, self.spec

    def prepare(self, net: Net, folder: Path, is_new: bool) -> None:
        """Takes over the weights of `--init`, and fills the cache; as of `Task`."""
        if self.config.model.init and is_new:
            self._init(net, Path(self.config.model.init))
        if isinstance(self.views, CachedVectors):
            self.views.precompute()

    def optimizer(self, net: Net) -> torch.optim.Optimizer:
        """As of `Task`."""
        optim = self.config.optim
        groups = parameter_groups(net, optim.weight_decay, optim.layer_decay)
        if optim.optimizer == "sgd":
            return torch.optim.SGD(groups, optim.lr, optim.momentum)
        return torch.optim.AdamW(groups, optim.lr)

    @property
    def steps_per_epoch(self) -> int:
        """As of `Task`."""
        return len(self.loader)

    def batches(self, epoch: int) -> Iterator[ClassBatch]:
        """As of `Task`."""
        return self.views.epoch(epoch)

    def loss(self, net: Net, batch: ClassBatch) -> Mapping[str, Tensor]:
        """As of `Task`: cross-entropy."""
        inputs, labels = batch.inputs.to(self.device), batch.labels.to(self.device)
        if isinstance(self.views, CachedVectors):
            scores = cast(ClassificationNet, net).head(inputs.float())
        else:
            with autocast(self.device, self.precision):
                scores = net(inputs.to(memory_format=torch.channels_last))
        return {"ce": F.cross_entropy(scores.float(), labels)}

    def validate(self, net: Net) -> Mapping[str, float]:
        """As of `Task`."""
        return self._validation(net).scores()

    def fingerprint(self) -> Mapping[str, str]:
        """As of `Task`."""
        return {
            "train": fingerprint(self.loader.digests),
            "valid": fingerprint([digest_of(sample) for sample in self.data.valid]),
            "classes": ", ".join(self.data.classes),
        }

    def draw(self, net: Net, folder: Path) -> None:
        """Writes predictions, scores by class, the confusion matrix and the worst images."""
        write_report(self._validation(net), self.data, folder)
        if isinstance(self.views, CachedVectors):
            neighbors = validate_by_neighbors(self.views, self.spec, self.data)
            write_predictions(neighbors, self.data, folder / NEIGHBORS)

    @classmethod
    def compare(cls, runs: Mapping[str, Sequence[Path]], folder: Path) -> str:
        """As of `Task`: top-1 of each variant with an interval over images, and differences."""
        return compare_runs(runs, folder)

    def _validation(self, net: Net) -> Validation:
        views = self.views if isinstance(self.views, CachedVectors) else None
        return validate(cast(ClassificationNet, net), self.spec, self.data, self.device, views)

    def _init(self, net: Net, path: Path) -> None:
        """Gives a network the weights of a trained classifier; a new head for other classes."""
        state, spec = read_state(path)
        if (spec.arch, spec.head) != (self.spec.arch, self.spec.head):
            raise SpecMismatch(
                f"--init {path} is {spec.arch} with the head {spec.head or 'of another task'}; the "
                f"training is of {self.spec.arch} with {self.spec.head}."
            )
        is_same = spec.outputs == self.spec.outputs
        own = net.state_dict()
        own |= {k: v for k, v in state.items() if is_same or not k.startswith("head.linear.")}
        net.load_state_dict(own)
        log.info(
            "starts from %s%s", path, "" if is_same else "; its classes are others: a new head"
        )
