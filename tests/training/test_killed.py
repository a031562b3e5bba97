"""kill -9 in the middle: what goes on afterwards ends as if nothing had happened."""

import csv
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seg import cli
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.checkpoint import read_checkpoint, save_net
from seg.models.nets import build_net
from seg.spec import ModelSpec, segmentation_outputs
from tests.training.killed import GOLDEN
from train import main

ROOT = Path(__file__).resolve().parents[2]
SEGMENT = (
    *("--data", "{discs}", "--arch", "golden", "--backbone", "{weights}", "--imgsz", "70", "70"),
    *("--batch", "4", "--views", "2", "--epochs", "3", "--copy-paste-prob", "0.5", "--ema", "0.5"),
    *("--scheduler", "cosine", "--lr", "0.02", "--warmup", "0", "--precision", "float32"),
)
DISTIL = (
    *("distill", "--teacher", "{teacher}", "--data", "{discs},ignore_above=0.5"),
    *("--images", "{discs}/images", "--imgsz", "96", "96", "--crop", "64", "64", "--batch", "4"),
    *("--samples", "8", "--epochs", "3", "--ema", "0.5", "--precision", "float32"),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A command, and where it is killed.

    Attributes:
        words: The command's, without --output; {discs}, {weights} and {teacher} stand for paths.
        file: What the name of the file ends in that it dies at.
        count: The how manieth of them, from 1.
        again: What is added to the command to go on.
    """

    words: tuple[str, ...]
    file: str
    count: int
    again: tuple[str, ...] = ("--resume",)


CASES = {
    "caching": Case(SEGMENT, ".features", 9, again=()),
    # The best checkpoints of this epoch are written by then, its row and last.pt are not.
    "training from the cache": Case(SEGMENT, "log.csv", 3),
    "asking the teacher": Case(DISTIL, ".features", 9, again=()),
    "distilling": Case(DISTIL, "log.csv", 2),
}


@pytest.fixture(scope="module")
def weights(golden, tmp_path_factory):
    """The golden ViT's weights as a file of the official format."""
    path = tmp_path_factory.mktemp("golden") / "golden.pth"
    with np.load(golden / "vit_tiny14_state.npz") as file:
        torch.save({key: torch.from_numpy(file[key]) for key in file}, path)
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A network that has learned nothing, and says so of every image alike."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    spec = ModelSpec(
        arch="lite",
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(96, 96),
        stride=32,
    )
    torch.manual_seed(0)
    save_net(path, build_net(spec), spec)
    return path


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("[!.]*.features")}


def rows(run):
    with (run / "log.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def wholes():
    """What each command leaves that is not interrupted, by its words."""
    return {}


@pytest.mark.parametrize("name", CASES)
def test_a_killed_command_ends_as_an_uninterrupted_one(
    name, discs, weights, teacher, wholes, tmp_path, tmp_path_factory, monkeypatch
):
    case = CASES[name]
    monkeypatch.setitem(BACKBONES, "golden", dinov2("golden", GOLDEN))
    words = [word.format(discs=discs, weights=weights, teacher=teacher) for word in case.words]

    def place(folder):
        monkeypatch.setenv("DINOSEG_CACHE", str(folder))
        return [*words, "--output", str(folder / "run")]

    if case.words not in wholes:
        wholes[case.words] = tmp_path_factory.mktemp("whole")
        assert cli.run(main, place(wholes[case.words])) == 0
    whole, args = wholes[case.words], place(tmp_path)

    script, threads = Path(__file__).with_name("killed.py"), str(torch.get_num_threads())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), threads, case.file, str(case.count), *args]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    last = tmp_path / "run" / "last.pt"
    before = len(read_checkpoint(last)["training"]["history"]) if last.exists() else 0
    assert before < len(rows(whole / "run"))
    assert list(tmp_path.rglob(".part-*"))

    assert cli.run(main, [*args, *case.again]) == 0
    assert not list((tmp_path / "run").glob(".part-*"))
    assert rows(tmp_path / "run") == rows(whole / "run")
    assert files(tmp_path) == files(whole)
    for path in (whole / "run").glob("*.pt"):
        one, other = (read_checkpoint(p)["state"] for p in (tmp_path / "run" / path.name, path))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in other), path.name


def test_resume_where_no_epoch_was_finished_says_so(discs, tiny, tmp_path, capsys):
    args = ["--data", str(discs), *tiny, "--output", str(tmp_path / "run"), "--resume"]
    assert cli.run(main, args) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "no epoch was finished in it; omit --resume" in line
