"""train.py as a user runs it: learns, freezes, resumes exactly, survives kill -9."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from seg import Segmenter, cli
from seg.data import open_dataset
from seg.evaluation.segmentation import evaluate_segmenter
from seg.models.checkpoint import load_net, read_checkpoint
from seg.models.nets import build_net
from seg.models.official_weights import load_backbone
from seg.spec import segmentation_outputs
from seg.training.config import FrozenConfig
from seg.training.network import make_net, summary
from seg.training.optim import train_mode
from train import main

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = segmentation_outputs(("background", "person"))
LITE = ["--arch", "lite", "--imgsz", "96", "96", "--crop", "64", "64", "--precision", "float32"]
LITE += ["--batch", "4", "--samples", "16", "--warmup", "2", "--ema", "0.8"]
DINO = ["--backbone", "random", "--imgsz", "70", "70", "--batch", "6", "--precision", "float32"]


def weights(path):
    return read_checkpoint(path)["state"]


def log(folder):
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def lite_run(discs, tmp_path_factory):
    """Four epochs of `lite` without a stop."""
    folder = tmp_path_factory.mktemp("lite") / "run"
    args = ["--data", str(discs), *LITE, "--epochs", "4", "--output", str(folder)]
    assert main(["segment", *args]) == 0
    return folder


def test_a_run_leaves_what_it_promises(lite_run):
    names = {"last.pt", "best_iou.pt", "best_loss.pt", "log.csv", "curves.png", "overlays.png"}
    assert {path.name for path in lite_run.iterdir()} == names
    rows = log(lite_run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    for name in ("curves.png", "overlays.png"):
        assert cv2.imread(str(lite_run / name)).std() > 5


def test_the_best_checkpoints_are_the_best_epochs(lite_run):
    rows = log(lite_run)
    for name, key, best in (("best_iou", "iou", max), ("best_loss", "val_loss", min)):
        kept = read_checkpoint(lite_run / f"{name}.pt")["row"][key]
        assert kept == pytest.approx(best(float(row[key]) for row in rows), abs=1e-5)


def test_lite_learns_the_discs(discs, tmp_path):
    args = ["--data", str(discs), *LITE, "--epochs", "8", "--output", str(tmp_path / "run")]
    assert main([*args, "--scale", "0.8", "1.2", "--dice", "1", "--samples", "32"]) == 0
    segmenter = Segmenter(tmp_path / "run" / "last.pt")
    scores = evaluate_segmenter(segmenter, open_dataset(str(discs)).valid).scores
    assert scores["foreground_iou"] > 0.6


def test_resume_gives_what_an_uninterrupted_training_gives(discs, lite_run, tmp_path, monkeypatch):
    from seg.training.run import Run

    args = ["--data", str(discs), *LITE, "--epochs", "4", "--output", str(tmp_path / "run")]
    keep, kept = Run.save_epoch, []

    def stop_after_two(self, *epoch, **options):
        keep(self, *epoch, **options)
        kept.append(1)
        if len(kept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save_epoch", stop_after_two)
    assert cli.run(main, args) == 130
    monkeypatch.setattr(Run, "save_epoch", keep)
    assert len(read_checkpoint(tmp_path / "run" / "last.pt")["training"]["history"]) == 2
    assert main([*args, "--resume"]) == 0
    assert same(weights(tmp_path / "run" / "last.pt"), weights(lite_run / "last.pt"))
    assert same(weights(tmp_path / "run" / "best_iou.pt"), weights(lite_run / "best_iou.pt"))


def test_resume_refuses_other_choices(discs, lite_run, capsys):
    args = ["--data", str(discs), *LITE, "--epochs", "5", "--output", str(lite_run)]
    assert cli.run(main, [*args, "--resume"]) == 1
    assert "epochs was 4, is 5" in capsys.readouterr().err


def test_a_training_is_not_overwritten(discs, lite_run, capsys):
    before = (lite_run / "last.pt").read_bytes()
    assert cli.run(main, ["--data", str(discs), *LITE, "--output", str(lite_run)]) == 1
    assert "--resume" in capsys.readouterr().err
    assert (lite_run / "last.pt").read_bytes() == before


def test_killed_at_any_moment_leaves_no_broken_file(discs, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(discs), *LITE]
    command += ["--epochs", "50", "--output", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for resume in ([], ["--resume"]):
        before = _epochs(folder)
        process = subprocess.Popen([*command, *resume], env=environment, stderr=subprocess.DEVNULL)
        while _epochs(folder) < before + 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in folder.glob("[a-z]*.pt"):
            load_net(path)
        assert _epochs(folder) >= before + 2


def _epochs(folder):
    last = folder / "last.pt"
    return len(read_checkpoint(last)["training"]["history"]) if last.exists() else 0


def test_the_frozen_backbone_is_bit_identical_after_training(discs, tmp_path, capsys):
    args = ["--data", str(discs), *DINO, "--epochs", "1", "--output", str(tmp_path / "run")]
    assert cli.run(main, args) == 0
    said = capsys.readouterr().err
    assert "22,056,576 frozen" in said and "6,146 trainable" in said
    assert "random" in said
    state = weights(tmp_path / "run" / "last.pt")
    fresh = load_backbone("dinov2_vits14", "random").state_dict()
    kept = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    assert same(kept, fresh)
    new = build_net(Segmenter(tmp_path / "run" / "last.pt").runtime.spec)
    assert not torch.equal(state["head.conv_seg.weight"], new.head.conv_seg.weight)


def test_the_spec_says_that_weights_are_random():
    net, spec = make_net(FrozenConfig(backbone="random"), OUTPUTS, seed=0)
    assert "random" in spec.backbone and "random" in summary(net, spec)
    train_mode(net)
    assert not net.backbone.training and net.head.training


def test_the_usual_flags_are_understood(discs, tmp_path):
    args = ["--data", str(discs), *LITE, "--epochs", "3", "--output", str(tmp_path / "run")]
    assert main([*args, "--lr", "0.01", "--scheduler", "--scheduler-epochs", "1", "2"]) == 0
    rows = log(tmp_path / "run")
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.01, 0.001, 0.0001])


def test_a_start_that_fails_leaves_the_old_training_alone(discs, lite_run, capsys):
    before = {path.name: path.read_bytes() for path in lite_run.iterdir()}
    args = ["--data", str(discs), "--output", str(lite_run), "--overwrite"]
    assert cli.run(main, [*args, "--backbone", "no_such.pth"]) == 1
    assert {path.name: path.read_bytes() for path in lite_run.iterdir()} == before


def test_images_without_people_do_not_validate(discs, tmp_path):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((64, 64, 3), np.uint8))
    run = tmp_path / "run"
    data = [f"{tmp_path},negatives,val=1", str(discs)]
    assert main(["--data", *data, *LITE, "--epochs", "1", "--output", str(run)]) == 0
    assert 0 <= float(log(run)[0]["iou"]) <= 1


def test_every_fault_of_the_data_is_named_before_training(discs, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("lost", "large", "strange", "fine", "broken"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.zeros((30, 40, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), np.zeros((30, 40), np.uint8))
    (tmp_path / "masks" / "lost.png").unlink()
    cv2.imwrite(str(tmp_path / "masks" / "large.png"), np.zeros((40, 40), np.uint8))
    cv2.imwrite(str(tmp_path / "masks" / "strange.png"), np.full((30, 40), 7, np.uint8))
    (tmp_path / "images" / "broken.png").write_text("not an image")
    run = tmp_path / "run"
    assert cli.run(main, ["--data", str(tmp_path), *LITE, "--output", str(run)]) == 1
    said = capsys.readouterr().err
    for name in ("lost", "large", "strange", "broken"):
        assert f"{name}.png" in said
    assert "fine.png" not in said and not run.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--data", "no_such_folder"], "no_such_folder"),
        (["--arch", "vgg"], "vgg"),
        (["--backbone", "no_such.pth"], "no_such.pth"),
        (["--scale", "2", "1"], "--scale"),
        (["--lr", "-1"], "--lr"),
    ],
)
def test_bad_flags_get_one_line(discs, tmp_path, flags, said, capsys):
    args = ["--data", str(discs), "--output", str(tmp_path / "run"), *flags]
    assert cli.run(main, args) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error:") and said in lines[-1]


def test_an_architecture_that_is_none_is_said_before_anything_is_read_or_downloaded(
    tmp_path, monkeypatch, capsys
):
    from seg.data import penn_fudan

    monkeypatch.setattr(penn_fudan, "download", lambda: pytest.fail("downloaded"))
    run = tmp_path / "run"
    assert cli.run(main, ["--arch", "dinov2_vits16", "--output", str(run)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "'dinov2_vits16'; expected one of lite, efficientnet_lite0, dinov2_vits14, " in line
        and not run.exists()
    )
