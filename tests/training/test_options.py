"""Fields that are flags: sizes are width and height outside, and every fault is said at once."""

import pytest

from seg.errors import SpecMismatch
from seg.training.config import OptimConfig
from seg.training.tasks import COMMANDS
from tests.training.making import config_from
from train import build_parser


def test_sizes_are_width_and_height_outside_and_the_reverse_inside():
    config = config_from(["--arch", "lite", "--imgsz", "96", "64", "--crop", "64", "32"])
    assert config.model.input_hw == (64, 96) and config.data.crop_hw == (32, 64)


def test_the_help_shows_width_before_height(monkeypatch):
    config = COMMANDS["segment"].config
    wide = config.for_arch("lite").with_changes({"input_hw": (64, 96)})
    monkeypatch.setattr(config, "for_arch", lambda arch: wide)
    text = build_parser(COMMANDS["segment"]).format_help()
    assert "default: 96 64" in text and "64 96" not in text


def test_all_wrong_values_are_said_at_once():
    with pytest.raises(SpecMismatch, match=r"--lr is -1.*; --weight-decay is -2.*; --ema is 3"):
        OptimConfig(lr=-1.0, weight_decay=-2.0, ema=3.0)
