"""Distillation: a student learns what trained models predict, beside the labels or instead."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seg.data.samples import DataSet
from seg.data.unlabeled import open_unlabeled
from seg.files.cache_folders import cache_folder
from seg.models.base import Net
from seg.spec import ModelSpec
from seg.training.losses import distillation
from seg.training.run import fingerprint, write_csv
from seg.training.sample_loader import Batch, SampleLoader
from seg.training.tasks.distillation_config import DistillationConfig
from seg.training.tasks.segmentation import SegmentationTask
from seg.training.tasks.segmentation_config import SegmentationConfig
from seg.training.teacher import Teacher

log = logging.getLogger("dinoseg")


class DistillationTask(SegmentationTask):
    """Trains a student.

    Args:
        config: The choices.
        sets: Data sets, and images without labels.
        device: Where teacher and student run.
        cache_dir: Folder of the caches; None: the default.

    Raises:
        ArtifactError: A teacher's file is missing or damaged.
        SpecMismatch: A teacher has other classes.
    """

    config: DistillationConfig

    def __init__(
        self,
        config: DistillationConfig,
        sets: Sequence[DataSet],
        device: torch.device,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__(config, sets, device, cache_dir)
        models = [Path(name) for name in config.teaching.teacher]
        self.teacher = Teacher(
            models, config.data.classes, config.model.input_hw, device.type, self.cache_dir
        )

    @classmethod
    def open_sets(cls, config: SegmentationConfig, cache_dir: Path | None) -> list[DataSet]:
        """Opens the data sets, and the images without labels; raises as for segmentation."""
        assert isinstance(config, DistillationConfig)
        frames = cache_dir / "frames" if cache_dir else cache_folder("frames")
        unlabeled = open_unlabeled(config.teaching.images, config.data.classes, frames)
        return [*super().open_sets(config, cache_dir), *unlabeled]

    @classmethod
    def check_ignore_above(cls) -> None:
        """Accepts it: the teacher may disagree with the labels."""

    def prepare(self, net: Net, folder: Path, is_new: bool) -> None:
        """As for segmentation; and predicts the images, and reports what is ignored of them."""
        super().prepare(net, folder, is_new)
        log.info("teacher: %s", self.teacher.description())
        loader = self.loader
        asked = [i for i, p in enumerate(loader.ignore_above) if loader.has_soft_targets or p]
        self.teacher.precompute(
            [loader.samples[i] for i in asked], [loader.digests[i] for i in asked]
        )
        if any(loader.ignore_above):
            self._report_disagreement(folder)

    def fingerprint(self) -> Mapping[str, str]:
        """As for segmentation, and which the teachers are."""
        return {**super().fingerprint(), "teacher": fingerprint(self.teacher.files)}

    def _loader(self, spec: ModelSpec) -> SampleLoader:
        has_soft_targets = self.config.teaching.distill_weight > 0
        return SampleLoader(self.sets, spec, self.config, self.teacher, has_soft_targets)

    def _losses(self, outputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        losses = super()._losses(outputs, batch)
        if batch.soft_targets is not None:
            targets, teaching = batch.soft_targets.to(self.device), self.config.teaching
            part = distillation(outputs[0], targets, teaching.temperature, self.config.losses.dice)
            losses["distill"] = teaching.distill_weight * part
        return losses

    def _report_disagreement(self, folder: Path) -> None:
        report = self.loader.disagreement_report(self.teacher)
        rows: list[dict[str, float | str]] = [
            {"image": name, "ignored": share} for name, share in sorted(report.items())
        ]
        if rows:
            write_csv(folder / "disagreement.csv", rows)
        log.info(
            "ignored where the teacher disagrees: places in %d images (disagreement.csv)", len(rows)
        )
