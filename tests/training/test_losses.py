"""Losses against values worked out by hand."""

import math

import pytest
import torch

from seg.training.losses import cross_entropy, dice, segmentation_loss


def test_cross_entropy_counts_labelled_pixels_alone():
    logits = torch.tensor([[0.0, 2.0, -9.0], [0.0, 0.0, 9.0]]).view(1, 2, 1, 3)
    labels = torch.tensor([[[0, 0, 255]]])
    by_hand = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert float(cross_entropy(logits, labels)) == pytest.approx(by_hand, rel=1e-6)


def test_dice_by_hand():
    logits = torch.tensor([[0.0, 0.0, 0.0], [0.0, math.log(3), 50.0]]).view(1, 2, 1, 3)
    labels = torch.tensor([[[0, 1, 255]]])  # scores of class 1: 0.5, 0.75, ignored
    by_hand = 1 - (2 * 0.75 + 1) / (0.5 + 0.75 + 1 + 1)
    assert float(dice(logits, labels)) == pytest.approx(by_hand, rel=1e-6)


def test_dice_is_the_mean_over_the_foreground_classes():
    logits = torch.full((1, 3, 2, 2), -30.0)
    labels = torch.tensor([[[0, 1], [2, 2]]])
    logits.scatter_(1, labels.unsqueeze(1), 30.0)
    assert float(dice(logits, labels)) == pytest.approx(0, abs=1e-6)
    wrong = logits[:, [0, 2, 1]]
    # Class 1: one true, two scored; class 2: two true, one scored; nothing in common.
    assert float(dice(wrong, labels)) == pytest.approx(1 - 1 / 4, abs=1e-6)


def test_a_batch_without_labels_costs_nothing():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    labels = torch.full((1, 4, 4), 255)
    loss = segmentation_loss([logits, logits], labels, dice_weight=1.0)
    loss.backward()
    assert torch.isfinite(loss) and not logits.grad.any()


def test_auxiliary_heads_weigh_less_and_see_every_fourth_label():
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, ::4, ::4] = 1
    sure = torch.tensor([-20.0, 20.0]).view(1, 2, 1, 1)
    right = segmentation_loss([sure * 0, sure], labels)
    wrong = segmentation_loss([sure * 0, -sure], labels, aux_weight=0.5)
    assert float(right) == pytest.approx(math.log(2), rel=1e-5)
    assert float(wrong) == pytest.approx(math.log(2) + 0.5 * 40, rel=1e-5)
