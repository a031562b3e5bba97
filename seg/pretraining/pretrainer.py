"""Pretrainer: the training loop of student and teacher, one optimizer step at a time."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from seg.data.multicrop_args import TransformArgs
from seg.errors import SegError
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.base import Normalize
from seg.pretraining.config import PretrainConfig
from seg.pretraining.images import ViewLoader, Views
from seg.pretraining.masking import masks_of_crops
from seg.pretraining.method import Method
from seg.pretraining.method_args import MethodArgs
from seg.pretraining.optimizer import build_optimizer, clip_gradients, set_values
from seg.pretraining.ranks import rank, summed, world_size
from seg.pretraining.schedules import StepValues, scaled_lr, values_at
from seg.pretraining.student_teacher import Branch, Outputs, Teacher
from seg.training.autocast import autocast, resolve

Row = dict[str, float]


class Pretrainer:
    """Everything that changes while a backbone is pre-trained.

    Args:
        config: Length, batch, precision.
        args: The method, with step counts of this run.
        transform: The views.
        backbone: What is trained.
        loader: The images.
        device: Where.

    Attributes:
        step: Optimizer steps so far.
        student: In training.
        teacher: The average, which is kept.
        unreadable: Images that could not be read so far.
    """

    def __init__(
        self,
        config: PretrainConfig,
        args: MethodArgs,
        transform: TransformArgs,
        backbone: DinoBackbone,
        loader: ViewLoader,
        device: torch.device,
    ) -> None:
        self.config, self.args, self._loader, self._device = config, args, loader, device
        self.student = Branch(backbone.requires_grad_(), args).to(device).train()
        self.teacher = Teacher(self.student)
        self.method = Method(args).to(device)
        self.optimizer = build_optimizer(self.student, args)
        self.step, self.unreadable = 0, set[str]()
        self._normalize = Normalize(transform.normalize.mean, transform.normalize.std).to(device)
        self._precision = resolve(config.precision, device)
        self._lr = scaled_lr(config.lr, config.batch, args)
        stride = backbone.stride
        self._grid_hw = transform.image_size[0] // stride, transform.image_size[1] // stride
        self._student: torch.nn.Module = self.student
        if world_size() > 1:
            places = [device] if device.type == "cuda" else None
            self._student = DistributedDataParallel(
                self.student, device_ids=places, broadcast_buffers=False
            )

    def steps(self) -> Iterator[Row]:
        """Trains to the end; yields a row after each optimizer step.

        Raises:
            SegError: The loss is not finite; the weights are those of the step before.
        """
        batches = self._loader.batches(self.step, self.config.steps)
        while self.step < self.config.steps:
            started = time.monotonic()
            values = values_at(self.step, self.args, self.config.steps, self._lr)
            set_values(self.optimizer, values)
            parts = self._accumulate(batches, values)
            row: Row = {"lr": values.lr, **parts}
            row["grad_norm"] = clip_gradients(self.student, self.args.gradient_clip_val)
            self.optimizer.step()
            self.teacher.follow(self.student, values.momentum)
            self.method.move()
            self.step += 1
            row["seconds"] = time.monotonic() - started
            yield row

    def _accumulate(self, batches: Iterator[Views], values: StepValues) -> Row:
        """Adds up the gradients of a step's parts; returns the mean of what they measured."""
        self.optimizer.zero_grad(set_to_none=True)
        num_parts, row, files = self.config.accumulate, dict[str, float](), list[str]()
        for index in range(num_parts):
            waited = time.monotonic()
            views = next(batches)
            row["wait_s"] = row.get("wait_s", 0.0) + time.monotonic() - waited
            self.unreadable.update(views.unreadable)
            files += views.files
            is_last = index == num_parts - 1
            for name, value in self._part(views, index, values, is_last).items():
                share = 1 if name in _WATCHED else num_parts
                row[name] = row.get(name, 0.0) + float(value) / share
        names = [name for name in row if name.startswith("train_")]
        parts = summed(torch.tensor([row[name] for name in names], device=self._device))
        row |= dict(zip(names, (parts / world_size()).tolist(), strict=True))
        if not math.isfinite(loss := sum(row[name] for name in names)):
            raise SegError(
                f"The loss is {loss} in step {self.step + 1}; its images begin with "
                f"{', '.join(files[:3])}. The run's last.pt is from before; lower --lr, or train "
                "in --precision float32."
            )
        return row

    def _part(
        self, views: Views, index: int, values: StepValues, is_last: bool
    ) -> dict[str, Tensor]:
        config = self.config
        masks = self._masks(index)
        images = self._normalize(views.global_views.to(self._device, non_blocking=True))
        local = views.local_views
        if local is not None:
            local = self._normalize(local.to(self._device, non_blocking=True))
        # Which images a block leaves out depends on the step alone, so that a resume is exact.
        seeds = np.random.SeedSequence([config.seed, self.step, index, rank()])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        sync = (
            contextlib.nullcontext()
            if is_last or not isinstance(self._student, DistributedDataParallel)
            else self._student.no_sync()
        )
        with sync:
            with autocast(self._device, self._precision):
                with torch.no_grad():
                    teacher: Outputs = self.teacher.branch(images, None, masks, is_student=False)
                student: Outputs = self._student(images, local, masks, self.args.drop_path_rate)
            watches = is_last and self.step % config.log_every == config.log_every - 1
            parts: dict[str, Tensor]
            monitored: dict[str, Tensor]
            parts, monitored = self.method(student, teacher, masks, values.teacher_temp, watches)
            loss = torch.stack([*parts.values()]).sum() / config.accumulate
            loss.backward()  # type: ignore[no-untyped-call]
        found = {f"train_{name}": value.detach() for name, value in parts.items()}
        return found | monitored

    def _masks(self, index: int) -> Tensor:
        """Returns the masks of this process's global crops, first and second views."""
        own, part = self._loader.own_images(), self._loader.part
        masks = masks_of_crops(
            (self.config.seed, self.step, index),
            np.concatenate((own, part + own)),
            2 * part,
            self._grid_hw,
            self.args.mask_probability,
            (self.args.mask_ratio_min, self.args.mask_ratio_max),
        )
        return torch.from_numpy(masks).to(self._device)

    def state(self) -> dict[str, Any]:
        """Returns all that a resumed run needs."""
        return {
            "step": self.step,
            "student": self.student.state_dict(),
            "teacher": self.teacher.branch.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "unreadable": sorted(self.unreadable),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes up where `state` was returned."""
        self.step, self.unreadable = state["step"], set(state["unreadable"])
        self.student.load_state_dict(state["student"])
        self.teacher.branch.load_state_dict(state["teacher"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])


_WATCHED = ("teacher_entropy", "kl", "feature_std", "feature_rank")
