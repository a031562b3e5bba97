"""A small DINOv2 that trains in no time, and a cache that is nobody's."""

import pytest

from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Features of a test stay in its own folder."""
    monkeypatch.setenv("DINOSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tiny(monkeypatch):
    """Makes `--arch tiny` an architecture; returns its flags."""
    config = ViTConfig(embed_dim=48, depth=4, num_heads=3)
    monkeypatch.setitem(BACKBONES, "tiny", dinov2("tiny", config))
    args = ["--arch", "tiny", "--backbone", "random", "--imgsz", "84", "84", "--batch", "4"]
    return [*args, "--precision", "float32", "--views", "2"]
