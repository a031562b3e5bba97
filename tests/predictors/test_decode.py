"""One decoding, in numpy and in torch, against numpy's own argmax."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seg.models import decode as tensors
from seg.predictors.decode import decode_logits, decode_maps, decode_margin

# Few values, so that ties are common; halves and sums of them are exact.
scores = st.integers(-4, 4).map(lambda n: n / 2)
logits = st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=scores)
)


def as_it_is(maps):
    return maps.copy()


@given(logits)
def test_the_likeliest_class_wins_and_ties_go_to_the_lower_label(maps):
    labels = decode_logits(maps, as_it_is)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, maps.argmax(0))
    np.testing.assert_array_equal(decode_maps(map(as_it_is, maps)), maps.argmax(0))


@given(logits, st.booleans())
def test_torch_decodes_alike(maps, at_once):
    batch = torch.from_numpy(np.stack([maps, maps[:, ::-1].copy()]))
    labels = tensors.decode(batch, lambda part: part.clone(), at_once=at_once).numpy()
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[0], maps.argmax(0))
    np.testing.assert_array_equal(labels[1], maps[:, ::-1].argmax(0))


@pytest.mark.parametrize("count", [2, 3])
def test_scores_are_enlarged_and_never_labels(count):
    """A ramp between two classes crosses in the middle of two cells, not at a cell's edge."""
    maps = np.zeros((count, 1, 2), np.float32)
    maps[0], maps[1] = [[3, -1]], [[-3, 1]]
    if count == 3:
        maps[2] = -9

    def enlarge(row):
        return np.interp(np.arange(8), [0, 7], row[0]).astype(np.float32)[None]

    # The margin goes from -6 to 2 in 7 steps: above 0 from step 6 on.
    assert decode_logits(maps, enlarge).tolist() == [[0, 0, 0, 0, 0, 0, 1, 1]]


def test_a_margin_of_zero_is_the_background():
    margin = np.array([[-1, 0, 1e-30]], np.float32)
    assert decode_margin(margin).tolist() == [[0, 0, 1]]
