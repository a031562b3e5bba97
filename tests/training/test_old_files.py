"""A run of version 0.1.0: its models still load everywhere, its training is not resumed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from seg import Segmenter, cli
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig
from seg.models.checkpoint import load_net, read_checkpoint
from seg.training.teacher import Teacher
from train import main

RUN = Path(__file__).resolve().parents[1] / "old_files" / "frozen_run"
# What version 0.1.0 computed of an image whose values rise from 0 to 1.
LOGITS = (
    *(1.0732871294021606, 1.065476655960083, 1.0707976818084717),
    *(0.942152202129364, 0.9439997673034668, 0.935680091381073),
    *(-1.081385612487793, -1.07591712474823, -1.0803929567337036),
    *(-0.9587785005569458, -0.9590469598770142, -0.9504133462905884),
)


@pytest.fixture(autouse=True)
def earlier(monkeypatch):
    """The backbone that the run was trained on."""
    config = ViTConfig(embed_dim=8, depth=2, num_heads=1, grid=4)
    monkeypatch.setitem(BACKBONES, "earlier", dinov2("earlier", config))


@pytest.mark.parametrize("name", ["last.pt", "best_iou.pt"])
def test_its_checkpoints_compute_what_they_computed_then(name):
    net, spec = load_net(RUN / name)
    assert (spec.arch, spec.classes, spec.layers) == ("earlier", ("background", "person"), (0, 1))
    images = torch.linspace(0, 1, 3 * 28 * 42).reshape(1, 3, 28, 42)
    with torch.inference_mode():
        logits = net(images)
    if name == "last.pt":
        np.testing.assert_allclose(logits.flatten().numpy(), LOGITS, atol=1e-5)
    assert Segmenter(RUN / name)(np.zeros((50, 70, 3), np.uint8)).labels.shape == (50, 70)


def test_its_checkpoint_starts_a_new_training(discs, tmp_path):
    words = ["--data", str(discs), "--arch", "earlier", "--backbone", "random", "--epochs", "1"]
    words += ["--imgsz", "56", "56", "--batch", "4", "--lr", "1e-12", "--views", "1"]
    words += ["--init", str(RUN / "last.pt"), "--output", str(tmp_path)]
    assert cli.run(main, words) == 0
    before, after = (read_checkpoint(p / "last.pt")["state"] for p in (RUN, tmp_path))
    for name in ("head.conv_seg.weight", "head.bn.weight"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-9)


def test_its_checkpoint_teaches(tmp_path):
    teacher = Teacher(
        [RUN / "last.pt"], ("background", "person"), (56, 56), "cpu", tmp_path / "cache"
    )
    image = np.full((56, 56, 3), 40, np.uint8)
    image[20:40, 20:40] = (40, 90, 250)
    scores = teacher.log_probs(image, "digest")
    assert scores.shape == (14, 14, 2) and np.ptp(scores[..., 1].astype(int)) > 10


def test_it_is_not_resumed_and_nothing_of_it_is_changed(discs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(RUN, run)
    words = ["--data", str(discs), "--arch", "earlier", "--backbone", "random", "--views", "2"]
    words += ["--imgsz", "56", "56", "--batch", "4", "--epochs", "2", "--ema", "0.5"]
    assert cli.run(main, [*words, "--lr", "0.05", "--output", str(run), "--resume"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and "earlier version of dinoseg" in line and "--init" in line
    for path in RUN.iterdir():
        assert (run / path.name).read_bytes() == path.read_bytes()
