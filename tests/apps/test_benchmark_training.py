"""apps/benchmark_training.py on a small network: both loops, one table."""

import json
import runpy
from pathlib import Path

import pytest

from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig

APP = Path(__file__).resolve().parents[2] / "apps" / "benchmark_training.py"


@pytest.fixture
def main():
    return runpy.run_path(str(APP))["main"]


def test_both_trainings_stand_side_by_side(main, discs, tmp_path, monkeypatch, capsys):
    config = ViTConfig(embed_dim=48, depth=4, num_heads=3)
    monkeypatch.setitem(BACKBONES, "tiny", dinov2("tiny", config))
    args = ["--data", str(discs), "--arch", "tiny", "--backbone", "random", "--imgsz", "84", "84"]
    args += ["--epochs", "2", "--uncached-epochs", "1", "--views", "1", "--batch", "4"]
    report = tmp_path / "times.json"
    assert main([*args, "--json", str(report), "--cache-dir", str(tmp_path / "disk")]) == 0
    got = json.loads(report.read_text())
    cached, uncached = got["cached"], got["uncached"]
    assert (cached["views"], uncached["views"]) == (1, 0)
    assert (cached["epochs_run"], uncached["epochs_run"]) == (2, 1)
    assert cached["cache_bytes"] >= 12 * 6 * 6 * 192 * 2 and uncached["cache_bytes"] == 0
    assert cached["seconds"] == cached["filling_s"] + cached["training_s"]
    assert uncached["seconds"] == pytest.approx(uncached["filling_s"] + 2 * uncached["training_s"])
    assert got["speed-up"] == pytest.approx(uncached["seconds"] / cached["seconds"])
    assert not list((tmp_path / "disk").iterdir())
    said = capsys.readouterr().out
    assert "torch" in said and "12 images" in said
    assert "scaled up from 1 epochs" in said
