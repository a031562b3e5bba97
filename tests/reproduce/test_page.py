"""The page against scores written by hand."""

import json
from pathlib import Path

import pytest

from seg.reproduce.page import render_page, without_local_paths
from seg.reproduce.plan import ReproduceConfig, ResultRow, plan
from seg.reproduce.steps import ROOT, Record, Step


def step(name, output=Path("nothing")):
    return Step(name=name, command=("train.py", "--lr", "1e-3"), output=output)


@pytest.fixture
def evaluation(tmp_path):
    made = tmp_path / "scores.json"
    ranges = {"foreground_iou": [0.8, 0.95], "miou": [0.85, 0.97], "boundary_iou": [None, None]}
    scores = {"foreground_iou": 0.9012, "miou": 0.9349, "boundary_iou": None}
    made.write_text(json.dumps({**scores, "intervals_95": ranges}))
    return step("evaluate-it", made)


def rows(evaluation, record, **more):
    row = ResultRow(model="it", size="640x640", evaluation=evaluation, training=step("train-it"))
    records = {"train-it": record}
    text = render_page(
        [evaluation], [row], records, {"date": "today"}, data="D", quick=False, **more
    )
    return text.splitlines()


def test_a_row_has_percent_intervals_and_minutes(evaluation):
    lines = rows(evaluation, Record({}, seconds=1500))
    assert "| it | 640x640 | 90.1 % (80.0 to 95.0) | 93.5 % (85.0 to 97.0) | - | 25.0 |" in lines
    assert "- date: today" in lines and "    python train.py --lr 1e-3" in lines


def test_minutes_that_nobody_counted_are_not_hidden(evaluation):
    lines = rows(evaluation, Record({}, seconds=1500, is_timing_complete=False))
    assert any(line.endswith("| over 25.0 |") for line in lines)


def test_a_trial_says_so_first():
    text = render_page([], [], {}, {}, data="D", quick=True)
    assert "numbers mean nothing" in text.partition("|")[0]
    assert "numbers mean nothing" not in render_page([], [], {}, {}, data="D", quick=False)


def test_no_path_of_this_machine_is_on_the_page():
    text = f"python apps/x.py --model {ROOT}/weights/a.onnx --data {Path.home()}/.cache/b"
    assert without_local_paths(text) == "python apps/x.py --model weights/a.onnx --data ~/.cache/b"


@pytest.fixture
def whole():
    return plan(
        ReproduceConfig(
            data=Path("PF"),
            backbone=Path("v.pth"),
            arch="dinov2_vits14",
            imgsz=(640, 640),
            images=(Path("street.mp4"),),
            classes=None,
            folder=Path("runs/r"),
            device="auto",
            quick=False,
        )
    )


def test_the_plan_is_what_was_promised(whole):
    lines = [one.line for one in whole[0]]
    assert lines[0].startswith("python train.py --data PF --arch dinov2_vits14 --backbone v.pth")
    assert [line.split("--recipe ")[1].split()[0] for line in lines[:2]] == ["tutorial", "dinov2"]
    assert lines[2].endswith("--imgsz 640 360") and "export/to_onnx.py" in lines[2]
    assert any("--tta 5" in line for line in lines)
    assert any("person-lite.onnx" in line for line in lines)
    distill = next(line for line in lines if line.startswith("python train.py distill"))
    assert "--teacher runs/r/dinov2/last.pt --student lite" in distill
    assert "--images street.mp4" in distill
    assert not any("--epochs" in line for line in lines)


def test_every_step_needs_only_what_is_given_or_made_before(whole):
    steps, rows = whole
    made = {Path("PF"), Path("v.pth"), Path("street.mp4"), ROOT / "weights" / "person-lite.onnx"}
    for one in steps:
        # A training makes its best epoch beside its last.
        assert {path.with_name("last.pt") if path.stem == "best_iou" else path
                for path in one.inputs} <= made  # fmt: skip
        made.add(one.output)
    assert len({one.name for one in steps}) == len({one.output for one in steps}) == len(steps)
    assert {row.evaluation.name for row in rows} <= {one.name for one in steps}
