"""What a run logs of its losses, and what is drawn of it on one axis."""

import csv

import pytest

from seg.training.curves import curves
from train import main

HISTORY = [
    {"epoch": 1, "train_loss": 2.0, "train_ce": 0.9, "train_aux": 1.1, "val_ce": 0.8, "iou": 0.5},
    {"epoch": 2, "train_loss": 1.5, "train_ce": 0.6, "train_aux": 0.9, "val_ce": 0.7, "iou": 0.6},
]


def test_a_part_is_drawn_beside_the_same_part_alone():
    left, right = curves(HISTORY, {"iou": "IoU"}).axes
    drawn = {line.get_label(): line for line in left.lines}
    assert list(drawn) == ["ce, training", "ce, validation", "aux, training"]
    assert drawn["ce, training"].get_color() == drawn["ce, validation"].get_color()
    assert drawn["ce, training"].get_color() != drawn["aux, training"].get_color()
    assert list(drawn["ce, validation"].get_ydata()) == [0.8, 0.7]
    assert [line.get_label() for line in right.lines] == ["IoU"]


def test_the_log_has_every_part_and_their_sum(discs, tmp_path):
    words = ["--arch", "lite", "--imgsz", "96", "96", "--crop", "64", "64", "--epochs", "1"]
    words += ["--batch", "4", "--samples", "8", "--ce", "0.5", "--dice", "2", "--lovasz", "0"]
    assert main(["--data", str(discs), *words, "--output", str(tmp_path)]) == 0
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    parts = {name: float(value) for name, value in row.items() if name.startswith("train_")}
    assert parts.keys() == {"train_loss", "train_ce", "train_dice", "train_aux"}
    total = parts.pop("train_loss")
    assert total == pytest.approx(sum(parts.values()), abs=1e-4)
    measured = {name: float(value) for name, value in row.items() if name.startswith("val_")}
    assert measured.keys() == {"val_loss", "val_ce", "val_dice"}
    assert measured["val_loss"] == pytest.approx(measured["val_ce"] + measured["val_dice"], 1e-4)
    assert 0 < measured["val_dice"] <= 2  # weighted as in training: Dice is at most 1
