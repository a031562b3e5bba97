"""The arguments: names and defaults of the two tables, and what is refused."""

import dataclasses

import pytest

from seg.errors import SpecMismatch
from seg.pretraining.method_args import MethodArgs
from seg.pretraining.transform_args import read_transform_args

METHOD = """
batch_norm=False center_method='softmax' center_momentum=0.9 dino_bottleneck_dim=256
dino_loss_weight=1.0 gradient_clip_val=3.0 hidden_dim=2048 ibot_bottleneck_dim=256
ibot_loss_weight=1.0 ibot_separate_head=False koleo_loss_weight=0.1 layerwise_decay=0.9
lr_scale_method='sqrt' mask_probability=0.5 mask_ratio_max=0.5 mask_ratio_min=0.1 min_lr=1e-6
momentum_start=0.992 momentum_end=1.0 output_dim=65536 patch_embed_lr_multiplier=0.2
reference_batch_size=1024 student_freeze_backbone_steps=0 student_freeze_last_layer_steps=1250
student_temp=0.1 teacher_temp_start=0.04 teacher_temp_end=0.07 teacher_temp_warmup_steps=37500
warmup_steps=12500 weight_decay_start='auto' weight_decay_end=0.4
"""
TRANSFORMS = {
    "image_size": (224, 224),
    "random_resize": {"min_scale": 0.32, "max_scale": 1.0},
    "local_view": {
        "num_views": 8,
        "view_size": (98, 98),
        "random_resize": {"min_scale": 0.05, "max_scale": 0.32},
        "gaussian_blur": {"prob": 0.5, "sigmas": (0.1, 2.0)},
    },
    "global_view_0": {"gaussian_blur": {"prob": 1.0, "sigmas": (0.1, 2.0)}, "solarize": None},
    "global_view_1": {
        "gaussian_blur": {"prob": 0.1, "sigmas": (0.1, 2.0)},
        "solarize": {"prob": 0.2, "threshold": 0.5},
    },
    "color_jitter": {
        "brightness": 0.8, "contrast": 0.8, "saturation": 0.4, "hue": 0.2, "prob": 0.8,
        "strength": 0.5,
    },
    "random_gray_scale": 0.2,
    "random_flip": {"horizontal_prob": 0.5, "vertical_prob": 0.0},
    "random_rotation": None,
    "channel_drop": None,
    "solarize": None,
    "normalize": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "num_channels": 3,
}  # fmt: skip


@pytest.mark.parametrize("pair", METHOD.split())
def test_every_argument_of_the_method_has_its_default(pair):
    name, value = pair.split("=")
    assert getattr(MethodArgs(), name) == eval(value)


def test_every_argument_of_the_views_has_its_default():
    assert dataclasses.asdict(read_transform_args({}, 14)) == TRANSFORMS


def test_auto_weight_decay_is_that_of_the_original():
    assert MethodArgs().first_weight_decay == 0.04
    assert MethodArgs.read({"weight_decay_start": 0.1}).first_weight_decay == 0.1


def test_what_is_given_inside_a_view_leaves_its_other_defaults():
    args = read_transform_args({"local_view": {"random_resize": {"max_scale": 0.2}}}, 14)
    assert args.local_view.random_resize.min_scale == 0.05
    assert args.local_view.random_resize.max_scale == 0.2
    assert args.local_view.num_views == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"koleo_weight": 1}, "no argument 'koleo_weight'; did you mean 'koleo_loss_weight'?"),
        ({"centre_method": "softmax"}, "did you mean 'center_method'?"),
        ({"zzz": 1}, "expected one of batch_norm, "),
        ({"output_dim": 12.5}, "method_args.output_dim is 12.5; expected a whole number."),
        ({"batch_norm": 1}, "method_args.batch_norm is 1; expected true or false."),
        ({"center_method": "mean"}, "expected 'softmax' or 'sinkhorn_knopp'."),
        ({"weight_decay_start": "no"}, "is 'no'; expected a number or 'auto'."),
        ({"mask_ratio_min": 0.9}, "0 <= mask_ratio_min <= mask_ratio_max <= 1"),
        ({"student_temp": 0}, "student_temp above 0"),
        ({"momentum_start": 2}, "momentum_start from 0 to 1"),
    ],
)
def test_bad_arguments_of_the_method_are_refused(values, message):
    with pytest.raises(SpecMismatch) as caught:
        MethodArgs.read(values)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"local_views": {}}, "no argument 'local_views'; did you mean 'local_view'?"),
        (
            {"local_view": {"num_view": 2}},
            "transform_args.local_view has no argument 'num_view'; did you mean 'num_views'?",
        ),
        ({"num_channels": 4}, "num_channels of 3"),
        ({"random_rotation": {"prob": 1.0}}, "transform_args.random_rotation needs degrees, too."),
        ({"image_size": 224}, "transform_args.image_size is 224; expected 2 numbers."),
        ({"random_resize": {"min_scale": 0}}, "0 < min_scale <= max_scale <= 1"),
        ({"color_jitter": {"prob": 1.5}}, "color_jitter.prob from 0 to 1"),
        ({"random_gray_scale": -1}, "random_gray_scale from 0 to 1"),
        ({"color_jitter": 3}, "expected arguments by name or null."),
    ],
)
def test_bad_arguments_of_the_views_are_refused(values, message):
    with pytest.raises(SpecMismatch) as caught:
        read_transform_args(values, 14)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_size_that_patches_do_not_divide_is_rounded_and_said(caplog):
    args = read_transform_args({"local_view": {"view_size": [96, 96]}}, 14)
    assert args.local_view.view_size == (98, 98)
    assert "(96, 96) is not a multiple of the patch size 14; training takes (98, 98)" in caplog.text


def test_a_view_can_be_switched_off():
    args = read_transform_args({"local_view": None, "color_jitter": None}, 14)
    assert args.local_view is None and args.color_jitter is None
