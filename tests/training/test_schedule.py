"""Schedules against values worked out by hand."""

import pytest

from seg.training.schedule import learning_rate


def rates(steps, **choices):
    return [learning_rate(step, base=1.0, steps=steps, **choices) for step in range(steps)]


def test_warmup_grows_linearly_to_the_base():
    assert rates(6, warmup=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_step_divides_by_ten_at_each_milestone():
    got = rates(5, scheduler="step", milestones=[2, 4])
    assert got == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_poly_falls_linearly():
    assert rates(4, scheduler="poly") == pytest.approx([1, 0.75, 0.5, 0.25])


def test_poly_decays_during_the_warmup_as_in_mmcv():
    """`1 - step / steps`, times `1 - (1 - step / warmup) (1 - 1e-6)`: mmcv 1's hook, power 1."""
    got = rates(8, scheduler="poly", warmup=4)
    expected = [1e-6, 7 / 8 * 0.25, 6 / 8 * 0.5, 5 / 8 * 0.75, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert got == pytest.approx(expected, rel=1e-5)
    after = learning_rate(1500, base=1e-3, steps=10_000, scheduler="poly", warmup=1500)
    assert after == pytest.approx(0.85e-3)


def test_cosine_is_half_way_in_the_middle_and_ends_at_a_hundredth():
    assert learning_rate(0, base=2, steps=10, scheduler="cosine") == pytest.approx(2)
    assert learning_rate(5, base=2, steps=10, scheduler="cosine") == pytest.approx(2 * 0.505)
    assert learning_rate(10, base=2, steps=10, scheduler="cosine") == pytest.approx(0.02)
    assert learning_rate(99, base=2, steps=10, scheduler="cosine") == pytest.approx(0.02)


def test_cosine_begins_behind_the_warmup():
    choices = {"base": 2, "steps": 110, "scheduler": "cosine", "warmup": 10}
    assert learning_rate(10, **choices) == pytest.approx(2)
    assert learning_rate(60, **choices) == pytest.approx(2 * 0.505)
