"""Ratios, the Pareto front and the recommendation, from numbers set by hand."""

import json

import numpy as np
import pytest

from seg.benchmark.interleave import Times
from seg.benchmark.model_only import markdown as model_only_table
from seg.benchmark.model_only import time_model
from seg.benchmark.report import BenchmarkRow, markdown, pareto_front, recommend, speedup
from seg.predictors.segmenter import Segmenter
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs


def row(name, fps, iou=None, imgsz=(64, 64)):
    times = Times(99.0, [{"decode": 250 / fps, "model": 750 / fps}] * 4)
    interval = (iou - 0.01, iou + 0.01) if iou is not None else None
    return BenchmarkRow(
        name=name, engine="engine 1", imgsz=imgsz, times=times, iou=iou, interval=interval
    )  # fmt: skip


ROWS = [row("small", 90, 0.7), row("good", 40, 0.9), row("worse", 30, 0.85), row("best", 10, 0.95)]


def test_ratios_are_of_end_to_end_rates():
    assert ROWS[0].fps == pytest.approx(90)
    assert speedup(ROWS[0], row("tutorial", 1.5)) == pytest.approx(60)
    assert speedup(ROWS[0], None) is None


def test_the_pareto_front_leaves_out_what_another_row_beats():
    assert [one.name for one in pareto_front(ROWS)] == ["small", "good", "best"]
    assert [one.name for one in pareto_front([*ROWS, row("unknown", 500)])] == [
        "small",
        "good",
        "best",
    ]
    assert pareto_front([row("tutorial", 1)]) == []
    tie = [row("a", 20, 0.8), row("b", 20, 0.9)]
    assert [one.name for one in pareto_front(tie)] == ["b"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (30, "30 FPS: take good (engine 1), 40.0 FPS, foreground IoU 0.9000, 0.0500 below the"),
        (5, "take best (engine 1), 10.0 FPS, foreground IoU 0.9500, the best here"),
        (60, "take small (engine 1), 90.0 FPS, foreground IoU 0.7000, 0.2500 below"),
        (200, "out of reach here: the fastest is small with 90.0 FPS"),
    ],
)
def test_the_recommendation_is_the_most_accurate_that_is_fast_enough(target, said):
    assert said in recommend(ROWS, target)


def test_without_accuracy_the_largest_is_recommended_with_a_hint():
    rows = [row("small", 90), row("large", 50, imgsz=(640, 360)), row("huge", 5, imgsz=(1e3, 1e3))]
    assert recommend(rows, 30).startswith("30 FPS: take large") and "--data" in recommend(rows, 30)
    assert "no model could be opened" in recommend([], 30)


def test_json_and_table_agree():
    tutorial = row("tutorial", 2)
    made = json.loads(json.dumps(ROWS[1].to_dict(tutorial)))
    assert made["fps"] == pytest.approx(40) and made["speedup"] == pytest.approx(20)
    assert made["ms"]["model"] == {"p50": 18.75, "p95": 18.75, "p99": 18.75}
    assert made["ms"]["total"]["p50"] == 25 and made["num_frames"] == 4
    table = markdown([tutorial, ROWS[1]], tutorial, {"machine": "a test"}).splitlines()
    assert table[0] == "- machine: a test"
    cells = [cell.strip() for cell in table[5].split("|")]
    assert cells[1:4] == ["good", "engine 1", "64x64"]
    # Stages that nobody had are left out.
    assert cells[4:7] == ["6.2 / 6.2 / 6.2", "18.8 / 18.8 / 18.8", "25.0 / 25.0 / 25.0"]
    assert cells[7:10] == ["40.0", "20.0x", "0.9000 (0.8900 to 0.9100)"]
    assert len({line.count("|") for line in table[2:6]}) == 1


def test_a_model_without_video_is_timed_on_whole_batches_after_warming_up():
    """A clock by hand: runs of 900 and 100 ms to warm up, then 20, 40 and 60."""
    clock = iter(np.cumsum([0, 0.9, 0, 0.1, 0, 0.02, 0, 0.04, 0, 0.06]).tolist())
    shapes, enqueued = [], iter([0.9, 0.1, 0.001, 0.002, 0.003])

    def network(images):
        shapes.append(images.shape)
        runtime.enqueued_s = next(enqueued, None)
        return images[:, :2]

    spec = ModelSpec(
        arch="fake", outputs=segmentation_outputs(("a", "b")), input_hw=(60, 96), stride=32
    )
    runtime = FakeRuntime(network, spec)
    found = time_model("m", Segmenter(runtime), 8, 3, 2, lambda: next(clock))
    assert shapes == 5 * [(8, 3, 64, 96)]
    assert found.canvas == (96, 64) and found.ms[0] == pytest.approx(40)
    assert found.rate == pytest.approx(200) and found.to_dict()["batch"] == 8
    assert found.enqueued_ms[0] == pytest.approx(2)
    line = model_only_table([found]).splitlines()[2]
    assert line.startswith("| m | a function, not a network | 96x64 | 8 | 2.00 / ")
    assert " | 40.00 / " in line
    plain = time_model("m", Segmenter(runtime), 1, 1, 0)  # an engine of the processor says None
    assert plain.enqueued_ms is None
