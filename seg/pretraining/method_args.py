"""The arguments of the method; names and defaults are those of DINOv2's own training."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from seg.errors import SpecMismatch
from seg.pretraining.arguments import read_arguments, refuse_unless

REFERENCE_STEPS = 125_000  # 100 epochs of 1,250 steps: what the step counts below belong to
WEIGHT_DECAY_START = 0.04
STEP_COUNTS = (
    "student_freeze_backbone_steps",
    "student_freeze_last_layer_steps",
    "teacher_temp_warmup_steps",
    "warmup_steps",
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MethodArgs:
    """How a student and its teacher are trained; docs/pretrain.md explains each one.

    Step counts are optimizer steps of a run of `REFERENCE_STEPS`; see `for_run`.

    Raises:
        SpecMismatch: A value makes no sense.
    """

    batch_norm: bool = False
    center_method: Literal["softmax", "sinkhorn_knopp"] = "softmax"
    center_momentum: float = 0.9
    dino_bottleneck_dim: int = 256
    dino_loss_weight: float = 1.0
    drop_path_rate: float = 0.3
    gradient_clip_val: float = 3.0
    hidden_dim: int = 2048
    ibot_bottleneck_dim: int = 256
    ibot_loss_weight: float = 1.0
    ibot_separate_head: bool = False
    koleo_loss_weight: float = 0.1
    layer_scale_init: float = 1e-5
    layerwise_decay: float = 0.9
    lr_scale_method: Literal["linear", "sqrt"] = "sqrt"
    mask_probability: float = 0.5
    mask_ratio_max: float = 0.5
    mask_ratio_min: float = 0.1
    min_lr: float = 1e-6
    momentum_start: float = 0.992
    momentum_end: float = 1.0
    output_dim: int = 65536
    patch_embed_lr_multiplier: float = 0.2
    reference_batch_size: int = 1024
    student_freeze_backbone_steps: int = 0
    student_freeze_last_layer_steps: int = 1250
    student_temp: float = 0.1
    teacher_temp_start: float = 0.04
    teacher_temp_end: float = 0.07
    teacher_temp_warmup_steps: int = 37500
    warmup_steps: int = 12500
    weight_decay_start: float | Literal["auto"] = "auto"
    weight_decay_end: float = 0.4

    def __post_init__(self) -> None:
        counts = [*("hidden_dim", "dino_bottleneck_dim", "ibot_bottleneck_dim", "output_dim")]
        counts += ["reference_batch_size"]
        shares = ("center_momentum", "mask_probability", "momentum_start", "momentum_end")
        weights = ["dino_loss_weight", "ibot_loss_weight", "koleo_loss_weight", "min_lr"]
        weights += [*STEP_COUNTS, "weight_decay_end", "first_weight_decay"]
        weights += ["patch_embed_lr_multiplier"]
        above = ["gradient_clip_val", "layer_scale_init", "layerwise_decay", "student_temp"]
        above += ["teacher_temp_start", "teacher_temp_end"]
        refuse_unless(
            {f"{name} of at least 1": getattr(self, name) >= 1 for name in counts}
            | {f"{name} from 0 to 1": 0 <= getattr(self, name) <= 1 for name in shares}
            | {f"{name} of 0 or more": getattr(self, name) >= 0 for name in weights}
            | {f"{name} above 0": getattr(self, name) > 0 for name in above}
            | {
                "0 <= mask_ratio_min <= mask_ratio_max <= 1": (
                    0 <= self.mask_ratio_min <= self.mask_ratio_max <= 1
                ),
                "drop_path_rate of 0 or more, below 1": 0 <= self.drop_path_rate < 1,
            },
            "method_args",
        )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Builds the arguments from those that were given; raises as `read_arguments` does."""
        return read_arguments(cls, values, "method_args")

    @property
    def first_weight_decay(self) -> float:
        """The weight decay of the first step."""
        is_auto = self.weight_decay_start == "auto"
        return WEIGHT_DECAY_START if is_auto else float(self.weight_decay_start)

    def for_run(self, steps: int, given: Collection[str]) -> Self:
        """Fits the step counts to the length of a run.

        Args:
            steps: Optimizer steps of the run.
            given: Names of the arguments that were given; these stay as they are. The other step
                counts shrink in proportion where the run is shorter than `REFERENCE_STEPS`.

        Raises:
            SpecMismatch: A count that was given is longer than the run.
        """
        long = [name for name in STEP_COUNTS if name in given and getattr(self, name) > steps]
        if long:
            raise SpecMismatch(
                f"method_args: {', '.join(long)} of {getattr(self, long[0])} is longer than the "
                f"run of {steps} steps; train longer, or lower it."
            )
        share = min(1.0, steps / REFERENCE_STEPS)
        scaled = {n: round(getattr(self, n) * share) for n in STEP_COUNTS if n not in given}
        return dataclasses.replace(self, **scaled)

    def step_counts(self) -> str:
        """Says the step counts in words."""
        return ", ".join(f"{name} {getattr(self, name)}" for name in STEP_COUNTS)
