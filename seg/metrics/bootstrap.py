"""Confidence intervals: how much the choice of few images decides."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
NUM_DRAWS = 1000


def bootstrap_intervals(
    counts: NDArray[np.float64],
    scores: Callable[[NDArray[np.float64]], Mapping[str, float]],
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> dict[str, Interval]:
    """Returns the bootstrap 95 % confidence interval of each score.

    The percentile bootstrap over images (Efron, 1979): the middle 95 % of the scores of sets that
    are drawn with replacement. Draws in which a score is NaN do not count
    for it; a score that is always NaN has the interval (NaN, NaN).

    Args:
        counts: `(N, K)`, one row for each image, that add up over images.
        scores: Turns a sum of rows, `(K,)`, into named scores, always the same names.
        num_draws: Number of sets that are drawn.
        seed: Of the draws.
    """
    drawn = np.random.default_rng(seed).integers(len(counts), size=(num_draws, len(counts)))
    results = [scores(np.bincount(rows, minlength=len(counts)) @ counts) for rows in drawn]
    return {name: _percentile_interval([result[name] for result in results]) for name in results[0]}


def _percentile_interval(values: list[float]) -> Interval:
    known = np.asarray(values)[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
