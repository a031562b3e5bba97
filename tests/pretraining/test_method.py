"""The loss of a batch against its definition, in torch's own cross-entropy."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.pretraining.losses.koleo import koleo_loss
from seg.pretraining.method import Method
from seg.pretraining.method_args import MethodArgs
from seg.pretraining.optimizer import build_optimizer, set_values
from seg.pretraining.schedules import StepValues
from seg.pretraining.student_teacher import Branch, Outputs, Teacher

ARGS = MethodArgs(output_dim=8, hidden_dim=16, dino_bottleneck_dim=4, ibot_bottleneck_dim=4)


def outputs(num_local, num_masked):
    return Outputs(
        *(torch.randn(n, k) for n, k in ((6, 5), (6, 8), (3 * num_local, 8), (num_masked, 8)))
    )


def cross_entropy(student, probs):
    return F.cross_entropy(student / 0.1, probs)


@pytest.mark.parametrize("num_local", [0, 2])
def test_the_parts_are_weighed_as_by_the_original(num_local):
    torch.manual_seed(0)
    masks = torch.zeros(6, 4, dtype=torch.bool)
    masks[0, :2] = masks[4, 1] = True
    student, teacher = outputs(num_local, 3), outputs(0, 3)
    parts, _ = Method(ARGS)(student, teacher, masks, 0.05)
    probs = (teacher.global_logits / 0.05).softmax(-1)
    first, second = probs.chunk(2)
    terms = 2 + 2 * num_local
    expected = cross_entropy(student.global_logits, torch.cat((second, first))) * 2 / terms
    for local in student.local_logits.chunk(num_local) if num_local else ():
        expected += (cross_entropy(local, first) + cross_entropy(local, second)) / terms
    assert_close(parts["dino"], expected)
    patch_probs = (teacher.patch_logits / 0.05).softmax(-1)
    patches = F.cross_entropy(student.patch_logits / 0.1, patch_probs, reduction="none")
    assert_close(parts["ibot"], (patches[:2].mean() + patches[2]) / 6)
    spread = koleo_loss(student.cls[:3]) + koleo_loss(student.cls[3:])
    assert_close(parts["koleo"], 0.1 * spread)


def test_equal_features_show_as_a_deviation_of_0():
    student = outputs(0, 0)._replace(cls=torch.ones(6, 5))
    _, monitored = Method(ARGS)(student, outputs(0, 0), torch.zeros(6, 4, dtype=torch.bool), 0.05)
    assert monitored["feature_std"] < 1e-6


@pytest.fixture
def student():
    torch.manual_seed(0)
    vit = DinoVisionTransformer(ViTConfig(embed_dim=12, depth=2, num_heads=2, grid=3))
    return Branch(DinoBackbone(vit, [1], name="tiny", source=""), ARGS)


def test_the_factors_of_the_learning_rate_are_those_of_the_layers(student):
    optimizer = build_optimizer(student, ARGS)
    names = {id(p): name for name, p in student.named_parameters()}
    values = StepValues(1.0, 0.25, 0.5, 0.1, 0.9, 0.05)
    set_values(optimizer, values)
    found = {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found.keys() == set(names.values())
    vit = "backbone.vit."
    assert found[f"{vit}norm.weight"] == (0.5, 0)
    assert found[f"{vit}blocks.1.attn.qkv.weight"] == pytest.approx((0.5 * 0.9, 0.1))
    assert found[f"{vit}blocks.0.ls1.gamma"] == pytest.approx((0.5 * 0.9**2, 0))
    assert found[f"{vit}pos_embed"] == pytest.approx((0.5 * 0.9**3, 0.1))
    assert found[f"{vit}patch_embed.proj.weight"] == pytest.approx((0.5 * 0.9**3 * 0.2, 0.1))
    assert found["dino_head.mlp.0.weight"] == (1.0, 0.1)
    assert found["dino_head.last_layer.weight_v"] == (0.25, 0.1)


def test_the_teacher_is_the_moving_average_of_the_student(student):
    teacher = Teacher(student)
    before = [p.clone() for p in student.parameters()]
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1)
    teacher.follow(student, 0.75)
    for start, average in zip(before, teacher.branch.parameters(), strict=True):
        assert_close(average, start + 0.25)
        assert not average.requires_grad


def test_masked_patches_are_hidden_from_the_student_alone(student):
    images, masks = torch.randn(2, 3, 42, 42), torch.zeros(2, 9, dtype=torch.bool)
    masks[:, 4] = True
    changed = images.clone()
    changed[:, :, 14:28, 14:28] += 1  # only the masked patch
    views = [student(x, None, masks).cls for x in (images, changed)]
    assert_close(*views)
    teachers = [student(x, None, masks, is_student=False).cls for x in (images, changed)]
    assert (teachers[0] - teachers[1]).abs().max() > 1e-3


def test_a_separate_head_sees_the_patches():
    vit = DinoVisionTransformer(ViTConfig(embed_dim=12, depth=1, num_heads=2, grid=3))
    args = MethodArgs(output_dim=8, hidden_dim=16, ibot_bottleneck_dim=4, ibot_separate_head=True)
    student = Branch(DinoBackbone(vit, [0], name="tiny", source=""), args)
    masks = torch.eye(2, 9, dtype=torch.bool)
    student(torch.randn(2, 3, 42, 42), None, masks).patch_logits.sum().backward()
    assert student.ibot_head.last_layer.weight_v.grad.abs().sum() > 0
    gradients = [parameter.grad for parameter in student.dino_head.parameters()]
    assert all(grad is None or not grad.any() for grad in gradients)
