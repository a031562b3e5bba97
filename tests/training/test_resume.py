"""Going on with a training: only with what it began with, and nothing of it is lost in silence."""

import re
import shutil

import cv2
import pytest
import torch

from seg import cli
from seg.errors import ArtifactError
from seg.models.checkpoint import read_checkpoint
from seg.models.nets import build_net
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.run import Run
from train import main

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(96, 96),
    stride=32,
)


@pytest.fixture
def copy(discs, tmp_path):
    """A copy of the data that a test may change."""
    shutil.copytree(discs, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def train(tiny, copy, tmp_path):
    """Trains one epoch on the copy; the same again with other words."""
    args = ["--data", str(copy), *tiny, "--views", "1", "--epochs", "1"]

    def run(*words):
        return cli.run(main, [*args, "--output", str(tmp_path / "run"), *words])

    assert run() == 0
    return run


def add(data):
    for part in ("images", "masks"):
        shutil.copy(data / part / "00.png", data / part / "99.png")


def remove(data):
    for part in ("images", "masks"):
        (data / part / "00.png").unlink()


def edit_image(data):
    path = str(data / "images" / "03.png")
    cv2.imwrite(path, cv2.imread(path) // 2)


def edit_mask(data):
    path = str(data / "masks" / "05.png")
    cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED) * 0)


def exchange(data):
    for part in ("images", "masks"):
        one, other = data / part / "01.png", data / part / "05.png"
        one.rename(data / "kept")
        other.rename(one)
        (data / "kept").rename(other)


def touch(data):
    for path in data.rglob("*.png"):
        path.touch()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (add, "train was 12 images .*, is 13 images"),
        (remove, "train was 12 images .*, is 11 images"),
        (edit_image, "valid was 2 images .*, is 2 images"),
        (edit_mask, "train was 12 images .*, is 12 images"),
        (exchange, "train was 12 images .*, is 12 images"),
    ],
)
def test_changed_data_is_noticed(train, copy, tmp_path, capsys, change, said):
    before = (tmp_path / "run" / "last.pt").read_bytes()
    change(copy)
    assert train("--resume") == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(
        "error: --resume needs the same images, labels, split and teacher as before"
    )
    assert re.search(said, line)
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_other_folds_are_noticed(discs, tiny, tmp_path, capsys):
    args = ["--data", str(discs), *tiny, "--views", "1", "--epochs", "1"]
    args += ["--output", str(tmp_path / "run")]
    assert cli.run(main, [*args, "--folds", "2"]) == 0
    assert cli.run(main, [*args, "--folds", "3", "--resume"]) == 1
    assert "as before: train was 7 images" in capsys.readouterr().err


def test_new_dates_alone_change_nothing(train, copy):
    touch(copy)
    assert train("--resume") == 0


def test_a_training_without_a_version_is_refused(train, tmp_path, capsys):
    """Nobody can tell whether its options mean the same."""
    last = tmp_path / "run" / "last.pt"
    contents = read_checkpoint(last)
    del contents["training"]["version"]
    torch.save(contents, last)
    assert train("--resume") == 1
    assert "was trained by an earlier version of dinoseg" in capsys.readouterr().err


def test_resume_and_overwrite_do_not_go_together(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--resume", "--overwrite"])
    assert left.value.code == 2
    assert "--overwrite: not allowed with argument --resume" in capsys.readouterr().err


def test_a_best_checkpoint_that_is_gone_is_said_and_not_what_the_command_names(
    train, tmp_path, capsys
):
    run = tmp_path / "run"
    assert train("--resume") == 0
    assert capsys.readouterr().out == f"{run / 'best_iou.pt'}\n"
    (run / "best_iou.pt").unlink()
    assert train("--resume") == 0
    said = capsys.readouterr()
    assert "best_iou.pt, of epoch 1, is missing; only a better epoch writes it again" in said.err
    assert "best_loss.pt" not in said.err and not (run / "best_iou.pt").exists()
    assert said.out == f"{run / 'last.pt'}\n"


def test_the_next_epoch_is_not_the_best_because_the_best_is_gone(tiny, tmp_path):
    net, run = build_net(SPEC), Run(tmp_path, "iou")

    def save_epoch(epoch, iou):
        run.save_epoch(net, SPEC, {"epoch": epoch, "iou": iou, "val_loss": 1 - iou}, {})

    save_epoch(1, 0.5)
    save_epoch(2, 0.7)
    save_epoch(3, 0.6)
    assert run.missing_checkpoints() == []
    (tmp_path / "best_iou.pt").unlink()
    (tmp_path / "best_loss.pt").unlink()
    for line, name in zip(run.missing_checkpoints(), ("best_iou.pt", "best_loss.pt"), strict=True):
        assert line.startswith(f"{name}, of epoch 2, is missing")
    save_epoch(4, 0.65)
    assert not (tmp_path / "best_iou.pt").exists() and len(run.missing_checkpoints()) == 2
    save_epoch(5, 0.75)
    assert (
        read_checkpoint(tmp_path / "best_iou.pt")["row"]["epoch"] == 5
        and run.missing_checkpoints() == []
    )


def test_an_option_that_was_not_there_before_is_a_change(train, tmp_path):
    run = Run(tmp_path / "run", "iou")
    training = read_checkpoint(run.last)["training"]
    with pytest.raises(ArtifactError, match="the same choices as before: new was None, is 1"):
        run.resume({**training["config"], "new": 1}, training["data"])
