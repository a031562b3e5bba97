"""Schedules as pure functions of the optimizer step, so that a resumed run needs no state."""

import dataclasses
import math

from seg.pretraining.method_args import MethodArgs


def cosine(
    step: int,
    start: float,
    end: float,
    total: int,
    *,
    warmup: int = 0,
    warmup_start: float = 0.0,
    freeze: int = 0,
) -> float:
    """Returns a value that goes from `start` to `end` along half a cosine.

    Args:
        step: From 0; past the end the value is `end`.
        start: After the warm-up.
        end: At `total`.
        total: Steps of the whole schedule, with warm-up and freeze.
        warmup: Steps of linear growth from `warmup_start`, which is the first value, to `start`,
            which is the last one.
        warmup_start: First value of the warm-up.
        freeze: Steps before the warm-up, in which the value is 0.
    """
    if step < freeze:
        return 0.0
    if step - freeze < warmup:
        return warmup_start + (start - warmup_start) * (step - freeze) / max(1, warmup - 1)
    if step >= total:
        return end
    progress = (step - freeze - warmup) / (total - freeze - warmup)
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * progress))


@dataclasses.dataclass(frozen=True, slots=True)
class StepValues:
    """What the schedules say of one optimizer step.

    Attributes:
        lr: Learning rate, before the factors of a parameter group.
        last_layer_lr: That of the heads' last layers.
        backbone_lr: That of the student's backbone.
        weight_decay: Of the parameters that decay.
        momentum: Weight of the teacher in its moving average.
        teacher_temp: Temperature of the teacher's probabilities.
    """

    lr: float
    last_layer_lr: float
    backbone_lr: float
    weight_decay: float
    momentum: float
    teacher_temp: float


def values_at(step: int, args: MethodArgs, steps: int, lr: float) -> StepValues:
    """Returns the values of an optimizer step.

    Args:
        step: From 0.
        args: Start, end and lengths, already scaled to the run's length.
        steps: Optimizer steps of the whole run.
        lr: Largest learning rate, already scaled to the batch.
    """
    rate = cosine(step, lr, args.min_lr, steps, warmup=args.warmup_steps)
    return StepValues(
        lr=rate,
        last_layer_lr=0.0 if step < args.student_freeze_last_layer_steps else rate,
        backbone_lr=0.0 if step < args.student_freeze_backbone_steps else rate,
        weight_decay=cosine(step, args.first_weight_decay, args.weight_decay_end, steps),
        momentum=cosine(step, args.momentum_start, args.momentum_end, steps),
        teacher_temp=cosine(
            step,
            args.teacher_temp_end,
            args.teacher_temp_end,
            args.teacher_temp_warmup_steps,
            warmup=args.teacher_temp_warmup_steps,
            warmup_start=args.teacher_temp_start,
        ),
    )


def scaled_lr(lr: float, batch: int, args: MethodArgs) -> float:
    """Returns the learning rate for a global batch, by `lr_scale_method`."""
    ratio = batch / args.reference_batch_size
    return lr * (math.sqrt(ratio) if args.lr_scale_method == "sqrt" else ratio)
