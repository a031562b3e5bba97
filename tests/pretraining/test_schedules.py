"""Schedules against the original's values and against the issue's own rules."""

import dataclasses

import numpy as np
import pytest

from seg.errors import SpecMismatch
from seg.pretraining.method_args import MethodArgs
from seg.pretraining.schedules import cosine, scaled_lr, values_at


@pytest.fixture(scope="session")
def values(golden):
    with np.load(golden / "schedules.npz") as file:
        return dict(file)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-9)


def test_warmup_and_cosine_are_the_originals(values):
    expected = values["small_lr.values"]
    close([cosine(s, 0.004, 1e-6, 100, warmup=10) for s in range(len(expected))], expected)


def test_a_freeze_comes_before_the_warmup(values):
    expected = values["small_freeze.values"]
    more = {"warmup": 8, "warmup_start": 0.05, "freeze": 5}
    close([cosine(s, 1.0, 0.1, 60, **more) for s in range(len(expected))], expected)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("lr", "lr"),
        ("wd", "weight_decay"),
        ("momentum", "momentum"),
        ("teacher_temp", "teacher_temp"),
        ("last_layer_lr", "last_layer_lr"),
    ],
)
def test_the_defaults_follow_the_originals_training(values, name, field):
    steps = [int(step) for step in values["default.steps"]]
    got = [getattr(values_at(step, MethodArgs(), 125_000, 0.004), field) for step in steps]
    close(got, values[f"default.{name}"])


def test_step_counts_shrink_with_a_shorter_run():
    args = MethodArgs().for_run(1250, ())
    assert (args.warmup_steps, args.teacher_temp_warmup_steps) == (125, 375)
    assert args.student_freeze_last_layer_steps == 12


def test_step_counts_of_a_longer_run_stay():
    assert MethodArgs().for_run(500_000, ()) == MethodArgs()


def test_step_counts_that_were_given_stay():
    args = MethodArgs(warmup_steps=700).for_run(1250, {"warmup_steps"})
    assert args.warmup_steps == 700


def test_a_given_warmup_longer_than_the_run_is_refused():
    with pytest.raises(SpecMismatch, match="warmup_steps of 2000 is longer than the run of 1250"):
        MethodArgs(warmup_steps=2000).for_run(1250, {"warmup_steps"})


def test_a_frozen_backbone_has_no_learning_rate():
    args = dataclasses.replace(MethodArgs(), student_freeze_backbone_steps=3)
    rates = [values_at(step, args, 125_000, 0.004).backbone_lr for step in (2, 3)]
    assert rates[0] == 0 < rates[1]


def test_the_learning_rate_follows_the_batch():
    assert scaled_lr(0.004, 256, MethodArgs()) == pytest.approx(0.002)
    assert scaled_lr(0.004, 256, MethodArgs(lr_scale_method="linear")) == pytest.approx(0.001)
