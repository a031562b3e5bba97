"""Losses against values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from seg.metrics import ConfusionMatrix
from seg.training.losses import (
    LossWeights,
    cross_entropy,
    dice,
    distillation,
    lovasz,
    margin,
    segmentation_loss,
)


def test_cross_entropy_counts_labeled_pixels_alone():
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
    loss = segmentation_loss([logits, logits], labels, LossWeights(dice=1.0, lovasz=1.0))
    loss.backward()
    assert torch.isfinite(loss) and not logits.grad.any()


def test_auxiliary_heads_weigh_less_and_see_every_fourth_label():
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, ::4, ::4] = 1
    sure = torch.tensor([-20.0, 20.0]).view(1, 2, 1, 1)
    right = segmentation_loss([sure * 0, sure], labels)
    wrong = segmentation_loss([sure * 0, -sure], labels, LossWeights(aux=0.5))
    assert float(right) == pytest.approx(math.log(2), rel=1e-5)
    assert float(wrong) == pytest.approx(math.log(2) + 0.5 * 40, rel=1e-5)


def test_weights_of_classes_by_hand():
    logits = torch.tensor([[0.0, 2.0, -9.0], [0.0, 0.0, 9.0]]).view(1, 2, 1, 3)
    labels = torch.tensor([[[1, 0, 255]]])
    by_hand = (3 * math.log(2) + 0.5 * math.log(1 + math.exp(-2))) / 3.5
    assert float(cross_entropy(logits, labels, (0.5, 3.0))) == pytest.approx(by_hand, rel=1e-6)
    nothing = torch.full_like(labels, 255)
    assert float(cross_entropy(logits, nothing, (0.5, 3.0))) == 0


def test_lovasz_by_hand():
    # Scores of class 1: 0.75, 0.5, 0.25, and one pixel that is ignored.
    logits = torch.tensor([[0.0] * 4, [math.log(3), 0.0, -math.log(3), 9.0]]).view(1, 2, 1, 4)
    labels = torch.tensor([[[1, 0, 0, 255]]])
    # Class 1: errors 0.5 (false), 0.25 (true), 0.25 (false). One minus the Jaccard index of what
    # is wrong so far: 1 - 1/2, 1 - 0/2, 1 - 0/3: steps 1/2, 1/2, 0.
    person = 0.5 * 0.5 + 0.25 * 0.5 + 0.25 * 0
    # Class 0: the same errors on true, false, true: 1 - 1/2, 1 - 1/3, 1: steps 1/2, 1/6, 1/3.
    background = 0.5 * 0.5 + 0.25 * (1 / 6) + 0.25 * (1 / 3)
    # The two errors of 0.25 may come in either order, and weigh the same.
    by_hand = (person + background) / 2
    assert float(lovasz(logits, labels)) == pytest.approx(by_hand, abs=1e-6)


def test_lovasz_of_hard_predictions_is_one_minus_the_mean_iou():
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 9), generator=rng)
    guess = torch.where(
        torch.rand(2, 8, 9, generator=rng) < 0.6,
        labels,
        torch.randint(0, 3, (2, 8, 9), generator=rng),
    )
    labels[0, :3] = 255
    matrix = ConfusionMatrix(3)
    matrix.update(labels.numpy().astype(np.uint8), guess.numpy().astype(np.uint8))
    logits = torch.full((2, 3, 8, 9), -60.0).scatter_(1, guess[:, None], 60.0)
    assert float(lovasz(logits, labels)) == pytest.approx(1 - matrix.miou, abs=1e-5)


def test_lovasz_leaves_out_classes_that_are_not_there():
    logits = torch.tensor([-60.0, 60.0, -60.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert float(lovasz(logits, torch.ones(1, 2, 2, dtype=torch.int64))) == pytest.approx(0)


def test_each_loss_of_the_mix_counts_by_its_weight():
    logits, labels = torch.randn(2, 2, 8, 8), torch.randint(0, 2, (2, 8, 8))
    got = segmentation_loss([logits], labels, LossWeights(ce=0.5, dice=2, lovasz=3))
    expected = 0.5 * cross_entropy(logits, labels) + 2 * dice(logits, labels)
    expected = expected + 3 * lovasz(logits[:, :, ::4, ::4], labels[:, ::4, ::4])
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, dice, lovasz])
def test_the_margin_of_two_classes_says_the_same_as_both_maps(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 9, 7, generator=generator, requires_grad=True)
    labels = torch.randint(0, 2, (2, 9, 7), generator=generator)
    labels[0, :3] = 255
    losses = [loss(form, labels) for form in (logits, margin(logits))]
    grads = [torch.autograd.grad(value, logits)[0] for value in losses]
    assert float(losses[1].detach()) == pytest.approx(float(losses[0].detach()), rel=1e-5)
    assert torch.allclose(*grads, atol=1e-6)


def test_weights_of_classes_count_in_the_margin_too():
    logits, labels = torch.randn(1, 2, 4, 4), torch.tensor([[[0, 1, 255, 1]] * 4])
    expected = torch.nn.functional.cross_entropy(
        logits, labels, torch.tensor([1.0, 3.0]), ignore_index=255
    )
    assert float(cross_entropy(margin(logits), labels, (1.0, 3.0))) == pytest.approx(
        float(expected)
    )


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_distillation_is_the_divergence_at_a_temperature_times_its_square(temperature):
    steps, student = np.array([2, 40]), np.array([0.3, -1.2])  # log-probabilities of -0.1 and -2
    teacher = np.exp(-0.05 * steps / temperature) / np.exp(-0.05 * steps / temperature).sum()
    guess = np.exp(student / temperature) / np.exp(student / temperature).sum()
    by_hand = temperature**2 * float((teacher * np.log(teacher / guess)).sum())
    soft = torch.from_numpy(steps.astype(np.uint8)).view(1, 2, 1, 1)
    logits = torch.tensor(student, dtype=torch.float32).view(1, 2, 1, 1)
    assert float(distillation(logits, soft, temperature)) == pytest.approx(by_hand, rel=1e-4)
