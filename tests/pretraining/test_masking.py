"""Masks against the distribution of the original's."""

import json

import numpy as np
import pytest

from seg.pretraining.masking import block_mask, mask_counts, masks_of_crops

GRID = (16, 16)


@pytest.fixture(scope="session")
def facts(golden):
    return json.loads((golden / "masking_facts.json").read_text())


@pytest.mark.parametrize("target", [0, 10, 25, 51, 77, 102, 128])
def test_block_masks_are_distributed_as_the_originals(facts, golden, target):
    rng, expected = np.random.default_rng(target), facts["generator"]["per_target"][str(target)]
    masks = np.stack([block_mask(rng, GRID, target, 128) for _ in range(1000)])
    counts = masks.reshape(1000, -1).sum(1)
    assert counts.max(initial=0) <= target
    assert counts.mean() == pytest.approx(expected["mean_count"], abs=0.05)
    assert (counts == target).mean() == pytest.approx(expected["fraction_exact"], abs=0.05)
    with np.load(golden / "masking.npz") as file:
        cells = file[f"generator.target{target}.cell_probability"]
    # Two frequencies of 1,000 draws each: 6 deviations of their difference at the most.
    assert np.abs(masks.mean(0) - cells).max() <= 6 * np.sqrt(0.5 / 1000)
    assert np.abs(masks.mean(0) - cells).mean() < 0.02


def test_batches_are_masked_as_the_originals(facts):
    expected = facts["collate"]
    totals, ratios = [], []
    for batch in range(63):
        masks = masks_of_crops((602, batch), np.arange(64), 64, GRID, 0.5, (0.1, 0.5))
        counts = masks.sum(1)
        assert (counts > 0).sum() == 32
        totals.append(counts.sum())
        ratios += list(counts[counts > 0] / 256)
    assert np.mean(totals) == pytest.approx(expected["n_masked_patches_mean"], rel=0.005)
    deciles = np.quantile(ratios, np.linspace(0, 1, 11))
    np.testing.assert_allclose(deciles, expected["masked_ratio_deciles"], atol=0.012)


def test_two_halves_of_a_batch_get_the_masks_of_the_whole():
    rest = 8, (5, 5), 0.5, (0.1, 0.5)
    whole = masks_of_crops((1, 2), np.arange(8), *rest)
    halves = [masks_of_crops((1, 2), np.arange(start, 8, 2), *rest) for start in (0, 1)]
    assert (np.concatenate(halves)[[0, 4, 1, 5, 2, 6, 3, 7]] == whole).all()


def test_without_probability_nothing_is_masked():
    assert not mask_counts(np.random.default_rng(0), 6, 25, 0.0, (0.1, 0.5)).any()
