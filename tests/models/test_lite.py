"""The parts of the small network, by what they are meant to compute."""

import torch

from seg.models.lite import Context


def test_the_neighborhood_mean_at_the_border_is_that_of_the_places_inside() -> None:
    flat = torch.full((1, 4, 3, 6), 2.0)
    assert torch.equal(Context(4, 8).around(flat), flat)
