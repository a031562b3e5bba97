"""Losses, their gradients and the teacher's probabilities against the original code."""

import pytest
import torch
from torch.testing import assert_close

from seg.pretraining.losses.centering import SinkhornKnopp, SoftmaxCentering
from seg.pretraining.losses.dino import dino_loss
from seg.pretraining.losses.ibot import ibot_loss
from seg.pretraining.losses.koleo import koleo_loss

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
GRADIENT = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture(scope="session")
def values(arrays):
    return arrays("ssl_losses")


def gradient(loss, *inputs):
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize(
    ("kind", "probs"),
    [("center", "softmax_center_1_temp0.04"), ("sinkhorn", "sinkhorn_1_temp0.04_it3")],
)
def test_dino_loss_and_gradient_are_the_originals(values, kind, probs):
    students = [values[f"dino.student_logits_{i}"].requires_grad_() for i in (0, 1)]
    teacher = values[f"dino.{probs}"].view(2, 4, 32)
    loss = dino_loss(torch.stack(students), teacher, 0.1)
    assert_close(loss, values[f"dino.loss_{kind}_2x2"], **CLOSE)
    for index, got in enumerate(gradient(loss, *students)):
        assert_close(got, values[f"dino.loss_{kind}_2x2.grad_student_{index}"], **GRADIENT)


def test_dino_loss_of_the_global_crops_is_the_originals(values):
    students = torch.cat([values["dino.student_logits_0"], values["dino.student_logits_1"]])
    probs = values["dino.softmax_center_1_temp0.04"]
    loss = dino_loss(students[None], probs[None], 0.1)
    assert_close(loss, values["dino.loss_center_global_1x1"], **CLOSE)


@pytest.mark.parametrize(
    ("kind", "probs"),
    [("center", "softmax_center_0_temp0.07"), ("sinkhorn", "sinkhorn_0_temp0.07_it3")],
)
def test_ibot_loss_and_gradient_are_the_originals(values, kind, probs):
    student = values["ibot.student_logits"].requires_grad_()
    loss = ibot_loss(student, values[f"ibot.{probs}"], values["ibot.masks"], 0.1)
    assert_close(loss, values[f"ibot.forward_masked_{kind}"], **CLOSE)
    expected = values[f"ibot.forward_masked_{kind}.grad_student"]
    assert_close(gradient(loss, student)[0], expected, **GRADIENT)


def test_ibot_loss_of_all_patches_is_the_originals(values):
    masks = values["ibot.masks"]
    student, probs = values["ibot.full.student_logits"], values["ibot.full.teacher_probs"]
    loss = ibot_loss(student[masks], probs[masks], masks, 0.1)
    assert_close(loss, values["ibot.full.loss"], **CLOSE)


@pytest.mark.parametrize(
    ("name", "close", "near"),
    [
        ("x", CLOSE, GRADIENT),
        ("x_neardup", {"atol": 0, "rtol": 1e-4}, {"atol": 1e-2, "rtol": 1e-3}),
    ],
)
def test_koleo_and_its_gradient_are_the_originals(values, name, close, near):
    rows = values[f"koleo.{name}"].requires_grad_()
    loss = koleo_loss(rows)
    assert_close(loss, values[f"koleo.{name}.loss"], **close)
    assert_close(gradient(loss, rows)[0], values[f"koleo.{name}.grad"], **near)


@pytest.mark.parametrize("loss", ["dino", "ibot"])
def test_softmax_centering_moves_as_the_originals(values, loss):
    centering = SoftmaxCentering(32, 0.9)
    for step, temperature in enumerate(["0.07", "0.04"]):
        got = centering(values[f"{loss}.teacher_logits_{step}"], float(temperature))
        assert_close(got, values[f"{loss}.softmax_center_{step}_temp{temperature}"], **CLOSE)
        centering.move()
        assert_close(centering.center, values[f"{loss}.center_{step + 1}"].view(1, 32), **CLOSE)


def test_two_batches_of_a_step_move_the_center_as_one(values):
    logits = values["ibot.teacher_logits_0"]
    whole, parts = SoftmaxCentering(32, 0.9), SoftmaxCentering(32, 0.9)
    whole(logits, 0.07)
    for part in (logits[:5], logits[5:]):
        parts(part, 0.07)
    for centering in (whole, parts):
        centering.move()
    assert_close(parts.center, whole.center)


@pytest.mark.parametrize(
    ("logits", "temperature", "rounds", "expected"),
    [
        ("dino.teacher_logits_0", 0.07, 1, "dino.sinkhorn_0_temp0.07_it1"),
        ("dino.teacher_logits_0", 0.07, 3, "dino.sinkhorn_0_temp0.07_it3"),
        ("dino.teacher_logits_1", 0.04, 3, "dino.sinkhorn_1_temp0.04_it3"),
        ("ibot.teacher_logits_0", 0.07, 3, "ibot.sinkhorn_0_temp0.07_it3"),
    ],
)
def test_sinkhorn_knopp_assigns_as_the_original(values, logits, temperature, rounds, expected):
    got = SinkhornKnopp(rounds)(values[logits], temperature)
    assert_close(got, values[expected], **CLOSE)


def test_sinkhorn_knopp_does_not_overflow():
    logits = torch.tensor([[40.0, 39.0], [39.0, 40.0]])  # exp(1000) is infinite
    assert_close(SinkhornKnopp()(logits, 0.04), torch.eye(2))
