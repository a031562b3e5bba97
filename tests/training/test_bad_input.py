"""Data and disks that a training cannot use: one line, and nothing is lost or half written."""

import errno
import math
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from seg import cli
from seg.data.samples import Sample, label_table
from seg.errors import ArtifactError
from seg.models.checkpoint import load_net, read_checkpoint
from seg.training import curves, validation
from seg.training.run import Run
from train import main


def write(folder, count=6, hw=(30, 40), rows=slice(8, 20), value=1):
    """Writes images of noise whose masks hold a value in some rows."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        mask = np.zeros(hw, np.uint8)
        mask[rows] = value
        image = rng.integers(0, 256, (*hw, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
    return str(folder)


@pytest.fixture
def train(tiny, tmp_path):
    """Trains two epochs on what is given; returns the exit code."""
    args = [*tiny, "--views", "1", "--epochs", "2", "--output", str(tmp_path / "run")]
    return lambda *words: cli.run(main, [*args, *words])


def refused(capsys, tmp_path):
    """Returns the error, and checks that it is one line and that no run was begun."""
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1 and not (tmp_path / "run").exists()
    return lines[0]


def test_masks_of_background_alone_are_nothing_to_learn_from(train, tmp_path, capsys):
    assert train("--data", write(tmp_path / "empty", value=0)) == 1
    assert "needs images whose masks show a class" in refused(capsys, tmp_path)


def test_validation_images_of_background_alone_are_refused(train, tmp_path, capsys):
    data = write(tmp_path / "data")
    cv2.imwrite(str(tmp_path / "data" / "masks" / "3.png"), np.zeros((30, 40), np.uint8))
    assert train("--data", data) == 1
    assert "no epoch could be the best; set val=COUNT" in refused(capsys, tmp_path)


def test_a_set_without_foreground_leaves_validation_to_the_next(train, tmp_path):
    empty, data = write(tmp_path / "empty", value=0), write(tmp_path / "data")
    assert train("--data", empty, data) == 0
    history = read_checkpoint(tmp_path / "run" / "last.pt")["training"]["history"]
    assert all(0 <= row["iou"] <= 1 for row in history)


@pytest.mark.parametrize(("value", "expected"), [(0, False), (255, False), (1, True)])
def test_what_is_ignored_is_no_foreground(tmp_path, value, expected):
    data = Path(write(tmp_path / "data", count=1, value=value))
    sample = Sample(data / "images" / "0.png", data / "masks" / "0.png", label_table(2))
    assert sample.has_foreground() is expected


@pytest.mark.parametrize("losses", [("1", "0", "0"), ("0", "1", "0"), ("0", "0", "1")])
def test_batches_of_one_class_have_finite_losses(train, tmp_path, losses):
    data = write(tmp_path / "data", count=3)
    empty = f"{write(tmp_path / 'empty', 8, value=0)}/images,negatives,val=0"
    words = [
        word for pair in zip(("--ce", "--dice", "--lovasz"), losses, strict=True) for word in pair
    ]
    assert train("--data", data, empty, "--batch", "1", *words) == 0
    history = read_checkpoint(tmp_path / "run" / "last.pt")["training"]["history"]
    assert all(math.isfinite(row["train_loss"]) for row in history)


@pytest.mark.parametrize("hw", [(8, 8), (3, 20)])
@pytest.mark.parametrize("words", [(), ("--imgsz", "8", "8"), ("--no-cache", "--crop", "9", "5")])
def test_images_smaller_than_a_patch_train(train, tmp_path, hw, words):
    data = write(tmp_path / "data", hw=hw, rows=slice(1, 3))
    assert train("--data", data, "--batch", "5", *words) == 0
    history = read_checkpoint(tmp_path / "run" / "last.pt")["training"]["history"]
    assert all(math.isfinite(row["train_loss"]) and row["iou"] >= 0 for row in history)


@pytest.mark.parametrize(
    "words", [("--imgsz", "14", "9"), ("--arch", "lite", "--crop", "32", "32", "--samples", "9")]
)
def test_a_step_of_a_single_cell_is_refused(discs, tmp_path, tiny, words, capsys):
    """Its batch norm would divide by zero, and the running deviation be no number for ever."""
    flags = [] if "lite" in words else tiny
    args = [*flags, *words, "--data", f"{discs},val=1", "--output", str(tmp_path / "run")]
    assert cli.run(main, [*args, "--batch", "4", "--epochs", "1"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: The last of an epoch's") and "--batch" in line


def test_data_sets_of_other_classes_are_refused(train, tmp_path, capsys):
    two, three = write(tmp_path / "two", value=255), write(tmp_path / "three", value=2)
    assert train("--data", two, three) == 1
    said = capsys.readouterr().err
    assert "The data has 6 faults" in said and "unknown labels 2; expected 0 to 1" in said
    assert train("--data", three, two, "--classes", "background", "one", "two") == 1
    assert "hold only 0 and 255, two classes; 3 were asked for" in refused(capsys, tmp_path)


@contextmanager
def full_disk(number):
    """A disk that is full at the `number`th of the files that the second epoch keeps."""
    keep, kept, written = Run.save_epoch, [], []

    def watch(self, *epoch, **options):
        kept.append(1)
        keep(self, *epoch, **options)

    def fill_up(real):
        def write(path, content, *rest):
            written.extend([path] * (len(kept) == 2))
            if len(written) != number:
                return real(path, content, *rest)
            real(path, content[: len(content) // 2], *rest)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return write

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_epoch", watch)
        for name in ("write_bytes", "write_text"):
            patch.setattr(Path, name, fill_up(getattr(Path, name)))
        yield


@pytest.mark.parametrize("number", [1, 2])
def test_a_full_disk_costs_the_epoch_and_no_more(train, discs, tmp_path, capsys, number):
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert train("--data", str(discs), "--output", str(whole)) == 0
    with full_disk(number):
        assert train("--data", str(discs)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: Cannot write {run}") and "No space left on device." in line
    assert not list(run.glob(".part*"))
    assert len(read_checkpoint(run / "last.pt")["training"]["history"]) == 1
    for path in run.glob("*.pt"):
        load_net(path)
    assert train("--data", str(discs), "--resume") == 0
    one, other = (read_checkpoint(folder / "last.pt")["state"] for folder in (run, whole))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_images_of_a_run_are_whole_or_not_there(tmp_path, monkeypatch):
    """The system itself refuses files of more than 1000 bytes, as a full disk would."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    monkeypatch.setattr(curves, "curves", lambda history, metrics: Blank())
    monkeypatch.setattr(validation, "contact_sheet", lambda segmenter, samples: noise)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ArtifactError, match=r"overlays\.png"):
            curves.draw_curves([], {}, tmp_path / "curves.png")
            validation.draw_overlays(None, (), tmp_path / "overlays.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


class Blank:
    """Stands for a figure."""

    def savefig(self, path, dpi):
        path.write_bytes(b"blank")
