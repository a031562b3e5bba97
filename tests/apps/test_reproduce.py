"""apps/reproduce.py: every step really runs, on a small DINOv2 in the official format."""

import json
import re
import runpy

import cv2
import numpy as np
import pytest
import torch

from seg import cli
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig
from seg.reproduce import steps


@pytest.fixture
def penn_fudan(tmp_path):
    """Eight images in Penn-Fudan's layout: a bright person on noise, numbered 1 in the mask."""
    folder, rng = tmp_path / "PennFudanPed", np.random.default_rng(0)
    for part in ("PNGImages", "PedMasks"):
        (folder / part).mkdir(parents=True)
    for index in range(8):
        image = rng.integers(0, 110, (70, 90, 3), dtype=np.uint8)
        mask = np.zeros((70, 90), np.uint8)
        corners = (10 + 4 * index, 10), (34 + 4 * index, 60)
        cv2.rectangle(image, *corners, (40, 90, 250), -1)
        cv2.rectangle(mask, *corners, 1, -1)
        cv2.imwrite(str(folder / "PNGImages" / f"{index}.png"), image)
        cv2.imwrite(str(folder / "PedMasks" / f"{index}_mask.png"), mask)
    return folder


@pytest.fixture
def words(tmp_path, golden, penn_fudan, monkeypatch):
    """The command line of a trial with four blocks of the small network."""
    config = ViTConfig(embed_dim=48, depth=4, num_heads=3)
    monkeypatch.setitem(BACKBONES, "dinov2_tiny14", dinov2("dinov2_tiny14", config))
    with np.load(golden / "vit_tiny14_state.npz") as file:
        kept = [key for key in file if not re.match(r"blocks\.([4-9]|1\d)\.", key)]
        torch.save({key: torch.from_numpy(file[key]) for key in kept}, tmp_path / "tiny.pth")
    monkeypatch.chdir(tmp_path)
    given = ["--quick", "--data", "PennFudanPed", "--backbone", "tiny.pth", "--device", "cpu"]
    return [*given, "--arch", "dinov2_tiny14", "--imgsz", "84", "84"]


@pytest.fixture
def commands(monkeypatch):
    """The scripts that ran, in order, in this process: a start of torch for each takes too long."""
    ran = []

    def in_process(command):
        ran.append(command[0])
        return cli.run(runpy.run_path(str(steps.ROOT / command[0]))["main"], command[1:])

    monkeypatch.setattr(steps, "execute", in_process)
    return ran


def rows_of(page):
    cells = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells]


def test_every_step_runs_once_and_the_page_says_what_they_found(
    load_app, words, commands, tmp_path, capsys
):
    reproduce = load_app("reproduce")
    assert cli.run(reproduce.main, words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "runs/reproduce-quick/RESULTS.md"
    folder = tmp_path / "runs" / "reproduce-quick"
    page = (folder / "RESULTS.md").read_text()
    assert commands.count("train.py") == 3 and commands.count("apps/evaluate.py") == 8
    assert "numbers mean nothing" in page and "not a file whose hash is published" in page
    assert len([line for line in page.splitlines() if line.startswith("    python ")]) == len(
        commands
    )
    head, *rows = rows_of(page)
    assert len(rows) == 8 and all(len(row) == len(head) for row in rows)
    report = json.loads((folder / "dinov2-wide.json").read_text())
    assert report["imgsz"] == [84, 47] and report["canvas"] == [84, 56]
    assert json.loads((folder / "dinov2-tta.json").read_text())["tta"] == 1
    # A second run does nothing and writes the same page; lost scores are measured again.
    commands.clear()
    assert cli.run(reproduce.main, words) == 0
    assert not commands and (folder / "RESULTS.md").read_text() == page
    capsys.readouterr()
    for path in folder.glob("*.json"):
        path.unlink()
    assert cli.run(reproduce.main, words) == 0
    assert set(commands) == {"apps/evaluate.py"}


def test_a_step_that_fails_is_one_line(load_app, words, monkeypatch, capsys):
    monkeypatch.setattr(steps, "execute", lambda command: 1)
    assert cli.run(load_app("reproduce").main, words) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: Step 'train-tutorial' failed")


def test_a_page_is_not_written_over_before_anything_runs(load_app, words, commands, tmp_path):
    (tmp_path / "mine.md").write_text("mine")
    assert cli.run(load_app("reproduce").main, [*words, "--output", "mine.md"]) == 1
    assert (tmp_path / "mine.md").read_text() == "mine" and not commands


def test_classifiers_and_neighbors_are_measured_where_classes_are_given(
    load_app, words, commands, tmp_path, capsys
):
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 2)):
        for name, level in (("bright", 200), ("dark", 60)):
            (tmp_path / "classes" / part / name).mkdir(parents=True)
            for index in range(count):
                image = rng.normal(level, 20, (60, 70, 3)).clip(0, 255).astype(np.uint8)
                cv2.imwrite(str(tmp_path / "classes" / part / name / f"{index}.png"), image)
    reproduce = load_app("reproduce")
    assert cli.run(reproduce.main, [*words, "--classes", "classes"]) == 0
    page = (tmp_path / "runs" / "reproduce-quick" / "RESULTS.md").read_text()
    rows = rows_of(page.partition("## Whole images")[2])
    assert [row[0].partition(", ")[2] for row in rows[1:]] == [
        "20 nearest neighbors",
        "frozen, head linear, last epoch",
        "frozen, head linear4, last epoch",
        "fine-tuned, last epoch",
    ]
    for row, name in zip(rows[1:], ("knn", "frozen", "frozen4", "finetuned"), strict=True):
        prefix = "" if name == "knn" else "classify-"
        report = tmp_path / "runs" / "reproduce-quick" / f"{prefix}{name}.json"
        assert row[2].startswith(f"{100 * json.loads(report.read_text())['top1']:.1f} %")
