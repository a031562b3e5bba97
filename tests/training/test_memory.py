"""Running out of memory: one line that names the flags, and the epochs before stay."""

import cv2
import numpy as np
import pytest
import torch

from seg import cli
from seg.models.checkpoint import read_checkpoint
from seg.training.tasks import segmentation
from train import main

HUGE = 2**47  # bytes; more than any machine may address


def cuda():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")


def cublas():
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def enlarge():
    return cv2.resize(np.zeros((2, 2, 3), np.uint8), (2**30, 2**30))


def train(discs, tiny, folder, monkeypatch, place, fail):
    """Trains; the second epoch's `place` fails."""
    real, calls = getattr(segmentation, place), []

    def second(*rest):
        calls.append(1)
        if len(calls) == 2:
            fail()
        return real(*rest)

    monkeypatch.setattr(segmentation, place, second)
    args = ["--data", str(discs), *tiny, "--views", "1", "--batch", "12", "--epochs", "3"]
    return cli.run(main, [*args, "--crop", "70", "56", "--output", str(folder)])


@pytest.mark.parametrize(
    "fail", [lambda: torch.empty(HUGE), lambda: np.empty(HUGE), cuda, cublas, enlarge]
)
def test_one_line_names_the_flags_and_the_epochs_stay(
    tiny, discs, tmp_path, monkeypatch, capsys, fail
):
    run = tmp_path / "run"
    assert train(discs, tiny, run, monkeypatch, "segmentation_losses", fail) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: Out of memory with 12 views of 70x56 in a step; ")
    assert "--batch" in line and "--crop" in line and "--imgsz" in line and str(run) in line
    assert len(read_checkpoint(run / "last.pt")["training"]["history"]) == 1


def test_validation_too(tiny, discs, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    assert train(discs, tiny, run, monkeypatch, "validate", lambda: torch.empty(HUGE)) == 1
    assert "--batch" in capsys.readouterr().err.strip().splitlines()[-1]


def test_other_failures_keep_their_traceback(tiny, discs, tmp_path, monkeypatch):
    def fail():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        train(discs, tiny, tmp_path / "run", monkeypatch, "segmentation_losses", fail)
