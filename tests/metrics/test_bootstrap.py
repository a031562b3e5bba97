"""Confidence intervals against statistics and against draws written as loops."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from seg.metrics import bootstrap_intervals

Z_975 = 1.959964  # of the standard normal distribution


def mean_of(row: NDArray[np.float64]) -> Mapping[str, float]:
    return {"mean": float(row[0] / row[1]), "never": float("nan")}


def numbers(count: int) -> NDArray[np.float64]:
    values = np.random.default_rng(0).normal(5, 2, count)
    return np.stack([values, np.ones(count)], axis=1)


def test_an_interval_is_that_of_the_mean_that_statistics_knows() -> None:
    """The bootstrap of a mean of many numbers is close to mean +- 1.96 standard errors."""
    rows = numbers(400)
    found = bootstrap_intervals(rows, mean_of, num_draws=20000)
    values = rows[:, 0]
    error = Z_975 * values.std() / 20
    expected = values.mean() - error, values.mean() + error
    # An interval of 90 % would be 0.03 narrower at each end, one of 99 % 0.06 wider.
    assert found["mean"] == pytest.approx(expected, abs=0.006)
    assert np.isnan(found["never"]).all()


def test_an_interval_holds_95_of_100_draws_of_the_documented_stream() -> None:
    rows = numbers(24)
    means = []
    for drawn in np.random.default_rng(0).integers(24, size=(1000, 24)):
        means.append(sum(rows[index, 0] for index in drawn) / 24)
    low, high = bootstrap_intervals(rows, mean_of)["mean"]
    means.sort()
    # 25 of 1,000 lie below and 25 above.
    assert means[24] <= low <= means[25] and means[974] <= high <= means[975]


def test_a_thousand_sets_are_drawn() -> None:
    calls = []

    def count(row: NDArray[np.float64]) -> Mapping[str, float]:
        calls.append(row)
        return {"mean": 0.0}

    bootstrap_intervals(numbers(5), count)
    assert len(calls) == 1000
    # Each set has as many images as there are.
    assert {float(row[1]) for row in calls} == {5.0}
