"""What every runtime does around its engine: splitting, filling up, closing."""

import dataclasses

import numpy as np
import pytest

from seg import EngineFailure
from seg.runtimes.fake import DEFAULT, FakeRuntime


def images(count):
    return np.random.default_rng(0).random((count, 3, 32, 48), dtype=np.float32)


def means(batches):
    """A function that notes how many images it gets at once."""

    def function(given):
        batches.append(len(given))
        return {"logits": given[:, :2] - 0.5, "scores": given.mean((2, 3))}

    return function


@pytest.mark.parametrize(("count", "expected"), [(1, [4]), (4, [4]), (6, [4, 4])])
def test_a_fixed_batch_is_filled_up_and_what_fills_it_is_dropped(count, expected):
    batches, spec = [], dataclasses.replace(DEFAULT, canvas_hw=(32, 48), batch=4)
    found = FakeRuntime(means(batches), spec).run(images(count))
    assert batches == expected
    np.testing.assert_array_equal(found["logits"], images(count)[:, :2] - 0.5)
    np.testing.assert_array_equal(found["scores"], images(count).mean((2, 3)))


@pytest.mark.parametrize(("count", "expected"), [(1, [1]), (3, [3]), (7, [3, 3, 1])])
def test_more_than_the_largest_batch_are_split(count, expected):
    batches = []
    runtime = FakeRuntime(means(batches))
    runtime.max_batch = 3
    found = runtime.run(images(count))
    assert batches == expected
    np.testing.assert_array_equal(found["scores"], images(count).mean((2, 3)))


def test_any_number_runs_at_once_where_nothing_limits_it():
    batches = []
    FakeRuntime(means(batches)).run(images(9))
    assert batches == [9]


def test_a_closed_runtime_does_not_run_and_may_be_closed_again():
    batches = []
    with FakeRuntime(means(batches)) as runtime:
        runtime.close()
        with pytest.raises(EngineFailure, match="closed; open the model again"):
            runtime.run(images(1))
    assert not batches


def test_an_engine_gets_rows_in_one_piece_whatever_the_callers_memory_order():
    orders = []

    def function(given):
        orders.append(given.flags.c_contiguous)
        return given[:, :2]

    turned = np.asfortranarray(images(3))
    assert not turned.flags.c_contiguous
    found = FakeRuntime(function).run(turned)["logits"]
    assert orders == [True]
    np.testing.assert_array_equal(found, images(3)[:, :2])
