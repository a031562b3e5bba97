"""The loop itself, on a network of one matrix whose steps are worked out by hand."""

import pytest
import torch
from torch import nn

from seg.errors import SegError
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.config import OptimConfig, TrainingConfig
from seg.training.run import Run
from seg.training.trainer import Trainer
from tests.training.making import SMALL_LITE, make_trainer

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(32, 32),
    stride=32,
)
PLAIN = {"warmup": 0, "lr": 0.5, "clip": float("inf"), "epochs": 1}


class MatrixTask:
    """Each batch is a matrix, and its loss the sum of its products with the weights."""

    monitor, metrics = "iou", {"iou": "IoU"}

    def __init__(self, batches, rates=(1.0,), **choices):
        self.config = TrainingConfig(optim=OptimConfig(**{**PLAIN, **choices}))
        self.given, self.rates = batches, rates
        self.steps_per_epoch = len(batches)
        self.seen = []

    def build(self):
        net = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in self.rates)
        nn.init.zeros_(net[0].weight)
        return net, SPEC

    def optimizer(self, net):
        groups = [
            {"params": [part.weight], "lr_scale": scale}
            for part, scale in zip(net, self.rates, strict=True)
        ]
        self.made = torch.optim.SGD(groups, lr=123.0)
        return self.made

    def prepare(self, net, folder, is_new):
        """Needs nothing."""

    def fingerprint(self):
        return {}

    def batches(self, epoch):
        return iter(self.given)

    def loss(self, net, batch):
        self.seen.append([group["lr"] for group in self.made.param_groups])
        return {"ce": (net[0].weight * batch).sum()}

    def validate(self, net):
        return {"iou": 0.0}


def trained(task, folder):
    """Trains to the end; returns the weights and the rows of the log."""
    trainer = Trainer(task, Run(folder, task.monitor))
    rows = list(trainer.epochs())
    return trainer.net[0].weight.detach(), rows


def test_a_gradient_is_cut_to_the_length_that_was_chosen(tmp_path):
    gradient = torch.tensor([[300.0, 0.0], [0.0, 400.0]])  # of length 500
    weight, _ = trained(MatrixTask([gradient], clip=2.0), tmp_path)
    torch.testing.assert_close(weight, -0.5 * gradient * 2 / 500)


def test_each_step_has_its_own_gradient_alone(tmp_path):
    gradients = [torch.full((2, 2), value) for value in (1.0, 10.0, 100.0)]
    weight, _ = trained(MatrixTask(gradients), tmp_path)
    torch.testing.assert_close(weight, torch.full((2, 2), -0.5 * 111))


def test_the_log_has_the_mean_of_the_steps_losses(tmp_path):
    """At weights of 0, -2 and -4 and gradients of 1: sums of 0, -8 and -16."""
    _, (row,) = trained(MatrixTask([torch.ones(2, 2)] * 3, lr=2.0), tmp_path)
    assert row["train_loss"] == row["train_ce"] == pytest.approx(-8)


def test_milestones_are_epochs_and_the_schedule_lasts_to_the_end(tmp_path):
    batches = [torch.zeros(2, 2)] * 3
    choices = {"epochs": 4, "scheduler": "step", "scheduler_epochs": (1, 3)}
    task = MatrixTask(batches, **choices)
    trained(task, tmp_path / "step")
    expected = [0.5] * 3 + [0.05] * 6 + [0.005] * 3
    assert [rate for (rate,) in task.seen] == pytest.approx(expected)
    task = MatrixTask(batches, epochs=4, scheduler="poly")
    trained(task, tmp_path / "poly")
    assert [r for (r,) in task.seen] == pytest.approx([0.5 * (12 - i) / 12 for i in range(12)])


def test_a_group_may_have_a_smaller_rate(tmp_path):
    task = MatrixTask([torch.zeros(2, 2)], rates=(1.0, 0.25))
    trained(task, tmp_path)
    assert task.seen == [[0.5, 0.125]]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path, value):
    task = MatrixTask([torch.full((2, 2), value)], epochs=2)
    task.loss = lambda net, batch: {"ce": net[0].weight.sum() + value}
    with pytest.raises(SegError, match="lower --lr"):
        trained(task, tmp_path)
    assert not list(tmp_path.iterdir())


def test_small_rates_are_in_the_log(tmp_path):
    trained(MatrixTask([torch.zeros(2, 2)], lr=1.25e-4), tmp_path)
    head, row = (line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines())
    assert dict(zip(head, row, strict=True))["lr"] == "0.000125"


def test_weight_decay_reaches_the_optimizer(discs, tmp_path):
    got = make_trainer(SMALL_LITE.with_changes({"weight_decay": 0.375}), discs, tmp_path)
    decays = {group["weight_decay"]: group["params"] for group in got._optimizer.param_groups}
    assert decays.keys() == {0.375, 0.0}
    assert {parameter.ndim for parameter in decays[0.0]} == {1}
    assert {parameter.ndim for parameter in decays[0.375]} == {4}
