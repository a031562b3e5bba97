"""Intervals: how much the choice of few pictures decides."""

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
    """Returns where 95 % of each score lie when the pictures are drawn again, with replacement.

    A percentile bootstrap over pictures (Efron, 1979). Draws in which a score is NaN do not count
    for it; a score that is always NaN has the interval (NaN, NaN).

    Args:
        counts: `(N, K)`, one row for each picture, that add up over pictures.
        scores: Turns a sum of rows, `(K,)`, into named scores, always the same names.
        num_draws: Number of sets that are drawn.
        seed: Of the draws.
    """
    drawn = np.random.default_rng(seed).integers(len(counts), size=(num_draws, len(counts)))
    results = [scores(np.bincount(rows, minlength=len(counts)) @ counts) for rows in drawn]
    return {name: _middle([result[name] for result in results]) for name in results[0]}


def _middle(values: list[float]) -> Interval:
    known = np.asarray(values)[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
