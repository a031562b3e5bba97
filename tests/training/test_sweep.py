"""Folds and sweeps: what is trained, what is said of it, and that it can go on after a stop."""

import csv
import math
import statistics

import cv2
import pytest

from seg import cli
from seg.data import open_dataset
from seg.errors import DataError, SpecMismatch
from seg.training import launch
from seg.training.comparison import T_975, Result, mean_and_margin, summarize, table
from seg.training.run import Run
from seg.training.sweep import folds, grid, plan
from seg.training.tasks.segmentation import SegmentationTask
from seg.training.tasks.segmentation_config import SegmentationConfig
from train import main

CONFIG = SegmentationConfig()
METRICS = SegmentationTask.metrics


def row(iou):
    return {"iou": iou, "miou": 0.5, "pixel_accuracy": 0.9, "val_loss": 1.0, "epoch": 3}


def test_the_quantiles_are_those_of_students_t():
    stats = pytest.importorskip("scipy.stats")
    assert pytest.approx(stats.t.ppf(0.975, range(1, len(T_975) + 1)), abs=5e-4) == T_975


def test_the_interval_by_hand():
    scores = [0.80, 0.82, 0.84, 0.86, 0.88]
    margin = 2.776 * statistics.stdev(scores) / math.sqrt(5)
    assert mean_and_margin(scores) == pytest.approx((0.84, margin))
    mean, margin = mean_and_margin([0.5])
    assert mean == 0.5 and math.isnan(margin)


def test_each_image_validates_once_and_never_in_its_own_training(discs):
    data = open_dataset(str(discs))
    everything = {sample.name for sample in data.split("all")}
    split = folds([data], 4)
    held = [sample.name for (part,) in split for sample in part.valid]
    assert len(held) == len(everything) == len(set(held))
    assert sorted(len(part.valid) for (part,) in split) == [3, 3, 4, 4]
    for (part,) in split:
        train, valid = ({sample.name for sample in s} for s in (part.train, part.valid))
        assert not train & valid and train | valid == everything


def test_only_the_set_that_validates_is_split(discs):
    data = open_dataset(str(discs))
    extra = open_dataset(f"{discs / 'images'},negatives,val=0")
    for first, second in folds([extra, data], 3):
        assert first == extra and second != data


@pytest.mark.parametrize("count", [1, 15, 21])
def test_too_few_and_too_many_folds_are_said(discs, count):
    with pytest.raises(DataError, match="expected 2 to 14 for 14 images"):
        folds([open_dataset(str(discs))], count)


def test_a_sweep_is_every_combination():
    got = grid(["lr=1e-3,1e-2", "weight-decay=0", "scheduler=none,poly", "samples=8"], CONFIG)
    assert [(c["lr"], c["weight_decay"], c["scheduler"], c["samples"]) for c in got] == [
        (1e-3, 0.0, "none", 8),
        (1e-3, 0.0, "poly", 8),
        (1e-2, 0.0, "none", 8),
        (1e-2, 0.0, "poly", 8),
    ]
    assert grid([], CONFIG) == [{}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr", "NAME=VALUE"),
        ("momentum=0.9", "one of .*lr"),
        ("arch=lite", "one of"),
        ("lr=fast", "fast"),
        ("lr=-1", "--lr"),
        ("scheduler=cubic", "--scheduler"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_said(text, said):
    with pytest.raises(SpecMismatch, match=said):
        grid([text], CONFIG)


def test_each_trial_has_its_folder_and_its_choices(discs, tmp_path):
    trials = plan({"": CONFIG}, [open_dataset(str(discs))], tmp_path, ["lr=0.1,0.2"], 2)
    assert [(t.overrides, t.fold, t.config.optim.lr) for t in trials] == [
        ("lr=0.1", 1, 0.1),
        ("lr=0.1", 2, 0.1),
        ("lr=0.2", 1, 0.2),
        ("lr=0.2", 2, 0.2),
    ]
    assert trials[3].folder == tmp_path / "lr=0.2" / "fold2"
    (alone,) = plan({"": CONFIG}, [open_dataset(str(discs))], tmp_path)
    assert alone.folder == tmp_path and alone.config == CONFIG and not alone.overrides


def test_the_table_ranks_by_the_mean_over_the_folds():
    scored = ("a", 1, 0.5), ("a", 2, 0.7), ("b", 1, 0.9), ("b", 2, 0.9)
    results = [Result(name, fold, row(iou)) for name, fold, iou in scored]
    lines = table(summarize(results, METRICS), METRICS).splitlines()
    margin = 12.706 * math.sqrt(0.02) / math.sqrt(2)
    assert lines[2].startswith("| b | 2 | 0.9000 ± 0.0000 | 0.5000 ± 0.0000 |")
    assert lines[3].startswith(f"| a | 2 | 0.6000 ± {margin:.4f} |")
    assert "Student's t" in lines[-1]
    alone = table(summarize([Result("", 0, row(0.5))], METRICS), METRICS).splitlines()
    assert alone[2] == "| - | 1 | 0.5000 | 0.5000 | 0.9000 | 1.0000 |" and len(alone) == 3


def test_the_command_trains_all_and_goes_on_after_a_stop(
    tiny, discs, tmp_path, monkeypatch, capsys
):
    args = ["--data", str(discs), *tiny, "--epochs", "1", "--folds", "2", "--sweep", "lr=1e-3,1e-2"]
    args += ["--output", str(tmp_path / "all")]
    keep, kept = Run.save_epoch, []

    def stop_at_the_third(self, *epoch, **options):
        if len(kept) == 2:
            raise KeyboardInterrupt
        keep(self, *epoch, **options)
        kept.append(self.folder)

    monkeypatch.setattr(Run, "save_epoch", stop_at_the_third)
    assert cli.run(main, args) == 130
    monkeypatch.setattr(Run, "save_epoch", keep)
    assert cli.run(main, args) == 1
    assert "--resume" in capsys.readouterr().err
    before = (kept[0] / "last.pt").read_bytes()
    assert cli.run(main, [*args, "--resume"]) == 0
    said = capsys.readouterr()
    assert "4/4: training on" in said.err and "of 14 views, 14 kept" in said.err
    assert (kept[0] / "last.pt").read_bytes() == before
    rows = list(csv.DictReader((tmp_path / "all" / "trials.csv").read_text().splitlines()))
    assert [(r["overrides"], r["fold"]) for r in rows] == [
        ("lr=0.001", "1"),
        ("lr=0.001", "2"),
        ("lr=0.01", "1"),
        ("lr=0.01", "2"),
    ]
    logged = (tmp_path / "all" / "lr=0.01" / "fold2" / "log.csv").read_text().splitlines()
    assert rows[3]["iou"] == dict(zip(*csv.reader(logged), strict=True))["iou"]
    assert (tmp_path / "all" / "trials.md").read_text() == said.out
    assert said.out.count("lr=") == 2
    assert cv2.imread(str(tmp_path / "all" / "trials.png")).std() > 5


def test_trainings_are_compared_by_their_last_epoch(tiny, discs, tmp_path, monkeypatch):
    rows = [{**row(score), "epoch": number} for number, score in ((1, 0.9), (2, 0.5))]
    monkeypatch.setattr(launch, "train", lambda trainer, loggers: rows)
    words = ["--data", str(discs), *tiny, "--sweep", "lr=1e-3,1e-2", "--output", str(tmp_path)]
    assert cli.run(main, words) == 0
    found = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert [(one["epochs"], one["iou"]) for one in found] == [("2", "0.5")] * 2
