"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state."""

import math
from collections.abc import Sequence

SCHEDULERS = ("none", "step", "cosine", "poly")
POLY_WARMUP_RATIO = 1e-6


def learning_rate(
    step: int,
    *,
    base: float,
    steps: int,
    scheduler: str = "none",
    warmup: int = 0,
    milestones: Sequence[int] = (),
) -> float:
    """Returns the learning rate of one step.

    Args:
        step: From 0.
        base: The rate after the warm-up.
        steps: Steps of the whole training.
        scheduler: `none`; `step`: a tenth from each milestone on; `cosine`: half a cosine down to
            a hundredth after the warm-up; `poly`: linearly to 0 from the first step on, and
            multiplied by the warm-up, as mmcv 1's `PolyLrUpdaterHook` with power 1 does it.
        warmup: Steps of linear growth: from `base / warmup`, for `poly` from a millionth, which is
            `warmup_ratio` of the published configurations.
        milestones: Steps at which `step` divides by ten.
    """
    if scheduler == "poly":
        growth = 1 - (1 - step / warmup) * (1 - POLY_WARMUP_RATIO) if step < warmup else 1.0
        return base * max(0.0, 1 - step / steps) * growth
    if step < warmup:
        return base * (step + 1) / warmup
    if scheduler == "step":
        return base * 0.1 ** sum(step >= milestone for milestone in milestones)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    if scheduler == "cosine":
        return base * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
    return base
