"""Flags that change how a training goes: losses, early stopping, TensorBoard."""

import csv
import sys
import types

import pytest
import torch

from seg import Segmenter, cli
from seg.models.checkpoint import load_net, read_checkpoint
from seg.training.cached_features import CachedRuntime
from seg.training.run import Run
from seg.training.tasks import segmentation_config
from seg.training.validation import validate
from tests.training.making import TINY, config_from, make_trainer
from train import main


def run_of(*scores):
    return Run(None, "iou", [{"iou": score} for score in scores])


@pytest.mark.parametrize(
    ("scores", "patience", "should_stop"),
    [
        ((0.5, 0.4, 0.3), 0, False),
        ((0.5, 0.4, 0.3), 2, True),
        ((0.5, 0.4, 0.3), 3, False),
        ((0.5, 0.4, 0.6), 2, False),
        ((0.5, 0.5, 0.5), 2, True),
        ((), 1, False),
    ],
)
def test_patience_counts_epochs_without_a_better_iou(scores, patience, should_stop):
    assert run_of(*scores).should_stop(patience) is should_stop


def test_a_training_that_gets_no_better_stops(tiny, discs, tmp_path, caplog):
    args = ["--data", str(discs), *tiny, "--views", "1", "--epochs", "30", "--patience", "1"]
    args += ["--lr", "1e-12", "--output", str(tmp_path / "run")]
    assert cli.run(main, args) == 0
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))
    assert len(rows) < 30 and float(rows[-1]["iou"]) <= max(float(r["iou"]) for r in rows[:-1])
    assert "stopped: no better IoU in 1 epochs" in caplog.text
    assert main([*args, "--resume"]) == 0
    again = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert len(again) == len(rows) + 1


def test_losses_are_flags():
    words = ["--ce", "0", "--dice", "1", "--lovasz", "2", "--class-weights", "0.5", "2"]
    losses = config_from(words).losses
    assert (losses.ce, losses.dice, losses.lovasz) == (0, 1, 2)
    assert losses.class_weights == (0.5, 2)


@pytest.mark.parametrize(
    "words",
    [
        ["--ce", "0"],
        ["--lovasz", "-1"],
        ["--class-weights", "1"],
        ["--class-weights", "1", "0"],
        ["--patience", "-1"],
    ],
)
def test_choices_that_make_no_sense_get_one_line(tmp_path, words, capsys):
    assert cli.run(main, [*words, "--output", str(tmp_path / "run")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and words[0] in lines[0].replace("_", "-")


def test_the_averaged_network_is_the_one_that_is_kept_and_validated(tiny, discs, tmp_path):
    """The average as its definition says: the first step's weights, then a tenth of each other."""
    config = TINY.with_changes({"views": 1, "epochs": 1, "ema": 0.9, "lr": 0.05})
    got = make_trainer(config, discs, tmp_path)
    step, seen = got._step, []

    def watch(*batch):
        loss = step(*batch)
        seen.append(got.net.head.conv_seg.weight.detach().clone())
        return loss

    got._step = watch
    (row,) = got.epochs()
    average = seen[0]
    for weight in seen[1:]:
        average = 0.9 * average + 0.1 * weight
    kept = read_checkpoint(tmp_path / "best_iou.pt")["state"]["head.conv_seg.weight"]
    assert len(seen) == 3 and not torch.allclose(kept, seen[-1], atol=1e-3)
    torch.testing.assert_close(kept, average)
    net, spec = load_net(tmp_path / "last.pt")
    runtime = CachedRuntime(net, spec, torch.device("cpu"), got.task.views)
    loss = validate(Segmenter(runtime), got.task.valid)["val_loss"]
    assert loss == pytest.approx(row["val_loss"])


def test_tensorboard_gets_every_epoch(tiny, discs, tmp_path, monkeypatch):
    said = []

    class SummaryWriter:
        def __init__(self, folder):
            said.append(folder)

        def add_scalar(self, name, value, step):
            said.append((name, step))

        def flush(self):
            pass

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    args = ["--data", str(discs), *tiny, "--views", "1", "--epochs", "2", "--tensorboard"]
    assert main([*args, "--output", str(tmp_path / "run")]) == 0
    assert said[0] == str(tmp_path / "run" / "tensorboard")
    assert {("iou", 1), ("iou", 2), ("train_loss", 2), ("lr", 1)} <= set(said[1:])


def test_tensorboard_that_is_not_installed_is_one_line(tiny, discs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    args = ["--data", str(discs), *tiny, "--tensorboard", "--output", str(tmp_path / "run")]
    assert cli.run(main, args) == 1
    assert "pip install tensorboard" in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_recipe_of_dinov2_is_the_published_one():
    config = config_from(["--recipe", "dinov2"])
    optim, data, losses = config.optim, config.data, config.losses
    assert (optim.lr, optim.weight_decay, optim.scheduler) == (1e-3, 1e-4, "poly")
    assert (optim.warmup, data.scale, data.augment) == (1500, (1.0, 3.0), "official")
    assert optim.epochs * data.samples // data.batch == 10_000
    assert optim.clip == float("inf") and losses.ce == 1 and losses.dice == 0


def test_the_recipe_of_the_tutorial_is_what_it_states():
    config = config_from(["--recipe", "tutorial"])
    optim = config.optim
    assert (optim.lr, config.data.batch, optim.epochs) == (1e-3, 20, 65)
    assert (optim.scheduler, optim.scheduler_epochs) == ("step", (50,))
    assert config.model.input_hw == (640, 640) and config.data.scale == (1.0, 1.0)
    assert config.data.rotate == 25 and optim.warmup == 0 and optim.clip == float("inf")


def test_flags_go_before_the_recipe():
    config = config_from(["--recipe", "tutorial", "--lr", "0.5"])
    assert config.optim.lr == 0.5 and config.data.batch == 20


def test_a_recipe_may_have_a_size_of_its_own(monkeypatch):
    recipe = segmentation_config.RECIPES["tutorial"]
    monkeypatch.setitem(recipe, "input_hw", (70, 98))
    assert config_from(["--recipe", "tutorial"]).model.input_hw == (70, 98)
    words = ["--recipe", "tutorial", "--imgsz", "84", "56"]
    assert config_from(words).model.input_hw == (56, 84)


def test_a_recipe_for_lite_gets_one_line(tmp_path, capsys):
    args = ["--arch", "lite", "--recipe", "tutorial", "--output", str(tmp_path / "run")]
    assert cli.run(main, args) == 1
    assert "omit --arch" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", ["dinov2", "tutorial"])
def test_recipes_train_and_resume(tiny, discs, tmp_path, recipe):
    args = ["--data", str(discs), *tiny, "--recipe", recipe, "--epochs", "1"]
    args += ["--views", "1", "--samples", "4", "--output", str(tmp_path / "run")]
    assert main(args) == 0
    assert main([*args, "--resume"]) == 0


@pytest.mark.parametrize("layers", [(3,), (0, 2), ()])
def test_the_head_reads_the_layers_that_were_named(tiny, discs, tmp_path, layers):
    """Read from the blocks themselves, one after the other."""
    words = ["--layers", *map(str, layers)] if layers else []
    args = ["--data", str(discs), *tiny, *words, "--views", "1", "--epochs", "1"]
    assert main([*args, "--output", str(tmp_path)]) == 0
    net, spec = load_net(tmp_path / "last.pt")
    expected = layers or (0, 1, 2, 3)
    assert spec.layers == expected
    images = torch.rand(1, 3, 84, 84)
    with torch.inference_mode():
        tokens = net.backbone.vit.embed(net.normalise(images))
        maps = []
        for index, block in enumerate(net.backbone.vit.blocks):
            tokens = block(tokens)
            if index in expected:
                patches = net.backbone.vit.norm(tokens)[:, 1:]
                maps.append(patches.transpose(1, 2).reshape(1, 48, 6, 6))
        expected_logits = net.head(torch.cat(maps, 1))
        torch.testing.assert_close(net.training_logits(images)[0], expected_logits)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layers", "4"], "blocks 0 to 3"),
        (["--layers", "1", "1"], "each block once"),
        (
            ["--arch", "lite", "--layers", "1"],
            "--layers is 1; --views is 2; this does not apply to lite",
        ),
    ],
)
def test_layers_that_are_not_there_get_one_line(tiny, discs, tmp_path, words, said, capsys):
    flags = ["--data", str(discs), *tiny, *words, "--output", str(tmp_path / "run")]
    flags = [f for f in flags if f != "random" and f != "--backbone"] if "lite" in words else flags
    assert cli.run(main, flags) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
