"""apps/benchmark.py in-process, on a network of four numbers and a clip of ten frames."""

import json

import cv2
import numpy as np
import pytest

from seg import Segmenter, cli
from seg.benchmark import tutorial
from seg.benchmark.interleave import STAGES, Stopwatch
from seg.benchmark.pipelines import ModelPipeline, TutorialPipeline
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs
from seg.video.base import Frame
from tests.fake_gpu import FakeGpuRuntime


@pytest.fixture
def bench(load_app):
    app = load_app("benchmark")
    common = ["--frames", "3", "--warmup", "1"]
    return lambda *words: cli.run(app.main, [*map(str, words), *common])


@pytest.fixture
def squares(here, red_square, square_labels):
    """Three images with labels."""
    for part, make in (("images", red_square), ("masks", square_labels)):
        (here / "squares" / part).mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(str(here / "squares" / part / f"{index}.png"), make(index))
    return here / "squares"


def thirds(images):
    """Stands in for DINOv2: the right third of the square is a person."""
    margin = np.full((1, 46, 46), -1, np.float32)
    margin[:, :, 31:] = 1
    return np.stack([-margin, margin], 1)


def test_every_stage_of_every_model_is_in_the_report(bench, clip, squares, tiny, here, capsys):
    words = ["--input", clip, "--data", f"{squares},val=2", "--output", "report", "--model"]
    models = [f"{tiny},device=cpu", f"{tiny},runtime=openvino,precision=float32,imgsz=48x32"]
    assert bench(*words, *models, "--batches", "1", "3") == 0
    report = json.loads((here / "report" / "benchmark.json").read_text())
    names = ["tiny.onnx cpu", "tiny.onnx openvino float32 48x32"]
    assert [row["name"] for row in report["rows"]] == names
    for row in report["rows"]:
        assert set(row["ms"]) == {*STAGES, "total"} and row["num_frames"] == 3
        assert {stage for stage, ms in row["ms"].items() if ms["p50"] == 0} == {"transfer"}
        assert row["fps"] > 0 and row["speedup"] is None and row["first_frame_ms"] > 0
        assert row["foreground_iou"] > 0.8
    # The square lies on the finer one's grid of four pixels, and its corners are rounded.
    scores = [row["foreground_iou"] for row in report["rows"]]
    assert scores[0] == pytest.approx(1 - 4 / 256) and scores[1] < scores[0]
    assert [row["imgsz"] for row in report["rows"]] == [[96, 64], [48, 32]]
    assert len(next(iter(report["models"].values()))) == 64
    assert "clip.mp4, 3 frames" in report["about"]["clip"] and report["about"]["machine"]
    assert [row["batch"] for row in report["model_only"]] == [1, 3, 1, 3]
    assert all(row["images_per_second"] > 0 for row in report["model_only"])
    out = capsys.readouterr().out
    assert (here / "report" / "benchmark.md").read_text().strip() in out
    assert cv2.imread(str(here / "report" / "benchmark.png")) is not None
    assert bench(*words, *models) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_the_baseline_has_a_speedup_of_one(bench, clip, tiny, here, monkeypatch, capsys):
    spec = ModelSpec(
        arch="fake",
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(640, 640),
        stride=14,
    )
    monkeypatch.setattr(tutorial, "open_tutorial", lambda device: FakeRuntime(thirds, spec))
    assert bench("--input", clip, "--model", tiny, "--baseline", "tutorial") == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    rows = {cells[0].strip("| "): cells for cells in lines if len(cells) > 5}
    assert rows["tutorial"][-2] == "1.0x" and rows["tiny.onnx"][-2].endswith("x")


def test_a_target_rate_tries_engines_precisions_and_sizes(bench, clip, squares, tiny, here, capsys):
    words = ["--input", clip, "--data", f"{squares},val=2", "--target-fps", "1"]
    assert bench(*words, "--model", tiny) == 0
    shown = capsys.readouterr()
    assert "1 FPS: take tiny.onnx" in shown.out and "foreground IoU" in shown.out
    tried = [line for line in shown.err.splitlines() if line.startswith("tiny.onnx")]
    assert {line.split(" ")[1] for line in tried} == {"onnxruntime", "openvino"}
    assert {line.split(":")[0].split(" ")[-1] for line in tried} == {
        "96x64", "76x52", "60x40", "44x28",
    }  # fmt: skip


def test_json_goes_to_stdout_alone(bench, clip, tiny, capsys):
    assert bench("--input", clip, "--model", tiny, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in report["rows"]] == ["tiny.onnx"]
    assert report["recommendation"] is None


def test_the_old_name_of_the_baseline_is_refused_with_the_new_one(bench, clip, capsys):
    with pytest.raises(SystemExit) as raised:
        bench("--input", clip, "--baseline", "seed")
    assert raised.value.code == 2
    assert "invalid choice: 'seed' (choose from 'tutorial')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "tiny.onnx,speed=9"], "bad option 'speed=9'"),
        (["--model", "tiny.onnx,imgsz=9"], "such as 640x360"),
        (["--model", "none.onnx"], "No model at none.onnx"),
        (["--model", "TINY", "TINY"], "the same name"),
    ],
)
def test_bad_input_is_one_line(bench, clip, tiny, words, line, capsys):
    assert bench("--input", clip, *[str(tiny) if w == "TINY" else w for w in words]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and line in error


def test_the_tutorials_loop_draws_the_labels_of_its_network(clip, monkeypatch):
    """Its square has the right third marked, and the frame comes out reddened there alone."""
    drawn, seen = [], []

    def network(images):
        seen.append(images)
        return thirds(images)

    spec = ModelSpec(
        arch="fake",
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(640, 640),
        stride=14,
    )
    with TutorialPipeline("tutorial", clip, FakeRuntime(network, spec)) as pipeline:
        monkeypatch.setattr(pipeline, "encode", lambda image, watch: drawn.append(image))
        image = np.full((90, 160, 3), (10, 120, 250), np.uint8)
        pipeline.run(Frame(image, 0, 0.0), watch := Stopwatch())
        watch.lap()
    assert set(watch.frames[0]) == {"pack", "model", "unpack", "overlay"}
    (pixels,) = seen
    assert pixels.shape == (1, 3, 644, 644) and (pixels[:, :, :2] == 0).all()
    np.testing.assert_allclose(pixels[0, :, 300, 300], np.float32([250, 120, 10]) / 255)
    left, right = drawn[0][45, 20], drawn[0][45, 150]
    assert np.abs(left - image[0, 0] * 0.6).max() <= 1 and (right != left).any()


def test_a_device_makes_the_mask_and_its_transfers_are_timed(clip, monkeypatch):
    drawn = []
    image = np.full((90, 160, 3), (10, 120, 250), np.uint8)
    for kind in (FakeRuntime, FakeGpuRuntime):
        with ModelPipeline("one", clip, Segmenter(kind(thirds))) as pipeline:
            monkeypatch.setattr(pipeline, "encode", lambda image, watch: drawn.append(image))
            pipeline.run(Frame(image, 0, 0.0), watch := Stopwatch())
            watch.lap()
    assert set(watch.frames[0]) == {"transfer", "pack", "model", "unpack", "overlay"}
    assert (drawn[0] != image).any()
    np.testing.assert_array_equal(*drawn)
