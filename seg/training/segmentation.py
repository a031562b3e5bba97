"""Trains a segmentation network: the one loop for the frozen DINOv2 and for `lite`."""

import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from seg.data.samples import DataSet
from seg.data.split import select_validation_set
from seg.errors import DataError, SegError, SpecMismatch
from seg.models.base import Net
from seg.models.segmentation import LinearSegmentationNet, SegmentationNet
from seg.predictors.segmenter import Segmenter
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec
from seg.training.autocast import autocast, resolve
from seg.training.cached_features import CachedFeatures, CachedRuntime, backbone_key
from seg.training.config import SegmentationConfig
from seg.training.feature_cache import Cache, default_folder
from seg.training.init_weights import init_weights_from
from seg.training.losses import LossWeights, distillation, segmentation_loss
from seg.training.network import make_net
from seg.training.optim import train_mode
from seg.training.run import Row, Run, fingerprint, write_csv
from seg.training.sample_loader import Batch, SampleLoader, digest_of
from seg.training.schedule import learning_rate
from seg.training.teacher import Teacher
from seg.training.validation import draw, validate

log = logging.getLogger("dinoseg")

DRAW_EVERY_S = 30.0
START_BATCHES = 4  # whose statistics a start from folded weights needs


def _check_steps(batches: SampleLoader, spec: ModelSpec) -> None:
    """Raises SpecMismatch where a step is a single cell: a batch norm has no deviation of that."""
    count, size = batches.config.samples or len(batches.samples), batches.config.batch
    num_views, (height, width) = count % size or size, batches.letterbox.canvas_hw
    if num_views * height * width <= spec.stride**2:
        raise SpecMismatch(
            f"The last of an epoch's {count} views is a step of its own, of {width}x{height} "
            f"pixels, one cell of {spec.arch}; take another --batch, or a larger --crop or --imgsz."
        )


class Trainer:
    """Everything that changes while a network is trained.

    Args:
        config: The choices.
        sets: Data sets; the first one with masks to validate on decides which epoch is best.
        run: Where everything is kept.
        device: Where to train.
        cache: Folder of the features where `config.views` asks for a cache; None: the default.
    """

    def __init__(
        self,
        config: SegmentationConfig,
        sets: Sequence[DataSet],
        run: Run,
        device: torch.device,
        cache: Path | None = None,
    ) -> None:
        self.config, self.device = config, device
        cache = cache or default_folder()
        if any(data.ignore_above for data in sets) and not config.teacher:
            raise DataError("ignore_above= needs a teacher; it belongs to train.py distill.")
        self.valid = select_validation_set(sets)
        self.net, self.spec = make_net(config)
        self.net = self.net.to(device)
        self.teacher = self._teacher(cache) if config.teacher else None
        self.batches = SampleLoader(sets, self.spec, config, self.teacher)
        _check_steps(self.batches, self.spec)
        self.run = run
        self.data = {
            "train": fingerprint(self.batches.digests),
            "valid": fingerprint([digest_of(sample) for sample in self.valid]),
            "teacher": fingerprint(self.teacher.files if self.teacher else []),
        }
        self.optimizer = torch.optim.AdamW(
            (p for p in self.net.parameters() if p.requires_grad),
            config.lr,
            weight_decay=config.weight_decay,
        )
        self.mix = LossWeights(
            ce=config.ce, dice=config.dice, lovasz=config.lovasz, classes=config.class_weights
        )
        average = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = (
            AveragedModel(self.net, multi_avg_fn=average, use_buffers=True) if config.ema else None
        )
        self.precision = resolve(config.precision, device)
        self.features = self._cached(cache) if config.views else None

    @property
    def eval_net(self) -> Net:
        """The network that is evaluated and kept: the averaged one where there is one."""
        return cast(Net, self.ema.module) if self.ema else self.net

    def train(self, watch: Callable[[Row], None] = lambda row: None) -> list[Row]:
        """Trains from the epoch that the run has reached to the last.

        Args:
            watch: Called with each epoch's row of the log.

        Returns:
            The rows of all epochs, those before a stop too.
        """
        if self.config.init and not self.run.history:
            self._init_weights(Path(self.config.init))
        if self.features:
            self.features.precompute()
        if self.teacher:
            self._precompute_teacher_targets(self.teacher)
        drawn = time.monotonic()
        for epoch in range(len(self.run.history), self.config.epochs):
            if self.run.should_stop(self.config.patience):
                log.info(f"stopped: no better IoU in {self.config.patience} epochs")
                break
            started = time.monotonic()
            rate, loss = self._epoch(epoch)
            segmenter = Segmenter(self._runtime())
            evaluation, val_loss = validate(segmenter, self.valid)
            row = {
                "epoch": epoch + 1,
                "lr": rate,
                "train_loss": loss,
                "val_loss": val_loss,
                "iou": evaluation.scores["foreground_iou"],
                "miou": evaluation.scores["miou"],
                "pixel_accuracy": evaluation.scores["pixel_accuracy"],
                "seconds": time.monotonic() - started,
            }
            self.run.save_epoch(self.eval_net, self.spec, row, self._state())
            # Where an epoch takes a second, pictures of each would take as long again. The last
            # one's are drawn below.
            is_last = epoch + 1 == self.config.epochs
            if not is_last and time.monotonic() - drawn > DRAW_EVERY_S:
                draw(self.run, segmenter, self.valid)
                drawn = time.monotonic()
            watch(row)
            log.info(
                f"epoch {epoch + 1}/{self.config.epochs}  loss {loss:.4f}  val loss {val_loss:.4f}"
                f"  IoU {row['iou']:.4f}  mIoU {row['miou']:.4f}  {row['seconds']:.0f} s",
            )
        draw(self.run, Segmenter(self._runtime()), self.valid)
        return self.run.history

    def resume(self) -> None:
        """Takes up where the run's last epoch ended; the rest is as if there had been no stop."""
        contents = self.run.resume(self.config, self.data)
        training = contents["training"]
        self.eval_net.load_state_dict(contents["state"])
        self.net.load_state_dict(training["net"], strict=False)
        self.optimizer.load_state_dict(training["optimizer"])
        if self.ema:
            self.ema.n_averaged.fill_(training["averaged"])

    def _state(self) -> dict[str, Any]:
        # The frozen backbone is in the checkpoint once already.
        changing = {
            name: tensor.detach().cpu().clone()
            for name, tensor in self.net.state_dict().items()
            if not name.startswith("backbone.")
        }
        return {
            "net": changing,
            "optimizer": self.optimizer.state_dict(),
            "averaged": int(self.ema.n_averaged) if self.ema else 0,
            "config": json.dumps(self.config.to_dict()),
            "data": self.data,
        }

    def _epoch(self, epoch: int) -> tuple[float, float]:
        """Trains one epoch; returns the last learning rate and the mean loss."""
        train_mode(self.net)
        total, rate, steps = 0.0, 0.0, len(self.batches)
        views = (self.features or self.batches).epoch(epoch)
        bar = tqdm(views, f"epoch {epoch + 1}", steps, leave=False, disable=None)
        for index, batch in enumerate(bar):
            rate = self._set_rate(epoch * steps + index, steps)
            loss = self._step(batch)
            if not torch.isfinite(torch.tensor(loss)):
                raise SegError(
                    f"The loss is {loss} in epoch {epoch + 1}; lower --lr, or train in "
                    "--precision float32. The run's folder holds the epochs before."
                )
            total += loss
            bar.set_postfix(loss=f"{total / (index + 1):.4f}", lr=f"{rate:.1e}")
        return rate, total / steps

    def _set_rate(self, step: int, steps: int) -> float:
        rate = learning_rate(
            step,
            base=self.config.lr,
            steps=self.config.epochs * steps,
            scheduler=self.config.scheduler,
            warmup=self.config.warmup,
            milestones=[epoch * steps for epoch in self.config.scheduler_epochs],
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _step(self, batch: Batch) -> float:
        inputs, labels = batch.inputs.to(self.device), batch.labels.to(self.device)
        with autocast(self.device, self.precision):
            if self.features:
                outputs = [cast(LinearSegmentationNet, self.net).head(inputs.float())]
            else:
                images = inputs.to(memory_format=torch.channels_last)
                outputs = cast(SegmentationNet, self.net).training_logits(images)
        loss = segmentation_loss(outputs, labels, self.mix)
        if batch.soft_targets is not None:
            soft, config = batch.soft_targets.to(self.device), self.config
            part = distillation(outputs[0], soft, config.temperature, config.dice)
            loss = loss + config.soft * part
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._trainable(), self.config.clip)
        self.optimizer.step()
        if self.ema:
            self.ema.update_parameters(self.net)
        return float(loss.detach())

    def _trainable(self) -> Iterator[nn.Parameter]:
        return (p for group in self.optimizer.param_groups for p in group["params"])

    def _init_weights(self, path: Path) -> None:
        """Takes another model's weights."""

        def views() -> torch.Tensor:
            drawn = itertools.islice(self.batches.epoch(0), START_BATCHES)
            return torch.cat([batch.inputs for batch in drawn]).to(self.device)

        log.info(init_weights_from(path, self.net, self.spec, views))

    def _teacher(self, cache: Path) -> Teacher:
        config = self.config
        models = [Path(name) for name in config.teacher]
        return Teacher(models, config.classes, config.input_hw, self.device.type, cache)

    def _precompute_teacher_targets(self, teacher: Teacher) -> None:
        """Has the teacher segment the images, and reports where it disagrees with the labels."""
        log.info(f"teacher: {teacher.description()}")
        batches = self.batches
        asked = [i for i, p in enumerate(batches.ignore_above) if self.config.soft or p]
        teacher.precompute([batches.samples[i] for i in asked], [batches.digests[i] for i in asked])
        if not any(self.batches.ignore_above):
            return
        report = self.batches.disagreement_report(teacher)
        rows: list[dict[str, float | str]] = [
            {"image": name, "ignored": share} for name, share in sorted(report.items())
        ]
        if rows:
            write_csv(self.run.folder / "disagreement.csv", rows)
        log.info(
            f"ignored where the teacher disagrees: places in {len(rows)} images (disagreement.csv)",
        )

    def _cached(self, folder: Path) -> CachedFeatures:
        net = cast(LinearSegmentationNet, self.net)
        cache = Cache(folder, backbone_key(net, self.spec))
        return CachedFeatures(net, self.batches, cache, self.device, self.precision)

    def _runtime(self) -> TorchRuntime:
        """The network as validation runs it."""
        if self.features:
            net = cast(LinearSegmentationNet, self.eval_net)
            return CachedRuntime(net, self.spec, self.device, self.features)
        return TorchRuntime(self.eval_net, self.spec, self.device)
