import json
import os
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from seg import cli
from seg.predictors.segmenter import Segmenter
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile


@pytest.fixture
def infer(load_app, tiny):
    app = load_app("infer_video")
    return lambda *words: cli.run(app.main, [*map(str, words), "--model", str(tiny)])


def test_every_frame_has_its_mask_and_the_rate_stays(infer, clip, here, square_labels, capsys):
    assert infer("--input", clip, "--save-masks", "masks") == 0
    names = sorted(path.name for path in (here / "masks").iterdir())
    assert names == [f"{index:06d}.png" for index in range(10)]
    for index, name in enumerate(names):
        mask = cv2.imread(str(here / "masks" / name), cv2.IMREAD_UNCHANGED)
        assert (mask != square_labels(index)).mean() < 0.01
    with av.open("clip-overlay.mp4") as file:
        video = file.streams.video[0]
        assert (video.average_rate, video.width, video.height) == (25, 96, 64)
        times = [frame.time for frame in file.decode(video)]
    np.testing.assert_allclose(times, np.arange(10) / 25)
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["clip-overlay.mp4", "masks"]
    assert "10 frames in" in out and "(decode, segmentation, overlay, masks, encode)" in out
    assert "CPUExecutionProvider" in err and "frames fitted into 96x64" in err


def test_the_overlay_is_where_the_square_is(infer, clip, here, square_labels):
    assert infer("--input", clip, "--opacity", 1) == 0
    with VideoFile(clip) as before, VideoFile(here / "clip-overlay.mp4") as after:
        for old, new in zip(before, after, strict=True):
            change = np.abs(old.image.astype(int) - new.image).mean(2)
            inside = square_labels(old.index) == 1
            assert change[inside].mean() > 40 and change[~inside].mean() < 6


def test_ctrl_c_leaves_a_file_that_plays_and_exits_with_130(infer, clip, here, monkeypatch, capsys):
    calls, segment = [], Segmenter.__call__

    def interrupted(self, image):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return segment(self, image)

    monkeypatch.setattr(Segmenter, "__call__", interrupted)
    assert infer("--input", clip) == 130
    err = capsys.readouterr().err
    assert "partial file: clip-overlay.mp4 holds 4 frames" in err and "interrupted" in err
    with VideoFile(here / "clip-overlay.mp4") as result:
        assert len(list(result)) == 4


def test_a_cut_file_is_done_as_far_as_it_goes_and_exits_with_one(infer, here, red_square, capsys):
    from fractions import Fraction

    with av.open("whole.mp4", "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1", "tune": "zerolatency"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(red_square(index % 10), format="bgr24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    data = (here / "whole.mp4").read_bytes()
    (here / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    assert infer("--input", "cut.mp4") == 1
    err = capsys.readouterr().err
    assert "cut.mp4 is cut or damaged" in err and "Traceback" not in err
    with VideoFile(here / "cut-overlay.mp4") as result:
        assert 10 < len(list(result)) < 50


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--input", "none.mp4"], "There is no file none.mp4"),
        (["--input", "."], ". is a folder"),
        (["--input", "notes.mp4"], "not a video"),
        (["--input", "clip.mp4", "--output", "clip.mp4", "--overwrite"], "is an input"),
        (["--input", "clip.mp4", "--output", "./x/../clip.mp4", "--overwrite"], "is an input"),
        (["--input", "clip.mp4", "--output", "notes.mp4"], "exists already"),
        (["--input", "clip.mp4", "--output", "out.mkv"], "expected a name in .mp4"),
        (["--input", "clip.mp4", "--output", "notes.mp4/out.mp4"], "Cannot write"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(infer, clip, here, words, line, capsys):
    (here / "notes.mp4").write_text("hello\n" * 20)
    before = {path: path.read_bytes() for path in here.iterdir()}
    capsys.readouterr()
    assert infer(*words) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and line in error
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_a_model_that_is_missing_leaves_no_folder(load_app, clip, here, capsys):
    words = ["--input", str(clip), "--output", "new/out.mp4", "--model", "none.onnx"]
    assert cli.run(load_app("infer_video").main, words) == 1
    assert "none.onnx" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["clip.mp4"]


def test_a_wrong_size_leaves_no_file(infer, clip, here, monkeypatch):
    def broken(self, image):
        from seg.errors import EngineFailure

        raise EngineFailure("Not every score is finite.")

    monkeypatch.setattr(Segmenter, "__call__", broken)
    assert infer("--input", clip) == 1
    assert [path.name for path in here.iterdir()] == ["clip.mp4"]


@pytest.mark.skipif(sys.platform != "linux", reason="about X displays")
@pytest.mark.skipif(not cv2.currentUIFramework(), reason="this OpenCV is built without windows")
def test_show_without_a_display_is_one_line_and_no_abort(request, clip, here, tiny):
    script = request.config.rootpath / "apps" / "infer_video.py"
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    command = [sys.executable, script, "--input", clip, "--model", tiny, "--show"]
    child = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=here, check=False
    )
    assert child.returncode == 1
    assert child.stderr == (
        "error: Cannot show a window: DISPLAY is not set. Use --no-show and give --output.\n"
    )


@pytest.mark.parametrize("method", ["exponential", "hysteresis", "flow"])
def test_steady_masks_of_a_sure_square_follow_it(infer, clip, here, square_labels, method, capsys):
    assert infer("--input", clip, "--save-masks", "masks", "--steady", method) == 0
    for index in range(10):
        mask = cv2.imread(str(here / "masks" / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert (mask != square_labels(index)).mean() < 0.02
    assert f"steadied by {method}" in capsys.readouterr().err


def test_steady_is_refused_where_it_cannot_be(infer, clip, capsys):
    assert infer("--input", clip, "--steady", "flow", "--tta", 1) == 1
    assert "leave --tta out" in capsys.readouterr().err


def test_every_result_comes_from_one_pass(infer, clip, here, square_labels, capsys):
    words = ("--save-polygons", "p.jsonl", "--cut-out", "cut", "--save-background", "b.mp4")
    assert infer("--input", clip, *words, "--background", "#00ff00", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["polygons"] == ["p.jsonl"] and report["background"] == ["b.mp4"]
    assert len(list((here / "cut").iterdir())) == 10
    assert len((here / "p.jsonl").read_text().splitlines()) == 10
    with VideoFile(here / "b.mp4") as made:
        for frame in made:
            outside = cv2.dilate(square_labels(frame.index), np.ones((9, 9), np.uint8)) == 0
            assert np.abs(frame.image[outside].astype(int) - (0, 255, 0)).mean() < 12


def test_a_part_of_the_video_has_its_frames(infer, clip, here):
    assert infer("--input", clip, "--start", 0.08, "--end", 0.3, "--save-masks", "masks") == 0
    names = sorted(path.stem for path in (here / "masks").iterdir())
    assert names == [f"{index:06d}" for index in range(2, 8)]


def test_raw_frames_go_to_standard_output_alone(infer, clip, here, capfdbinary):
    assert infer("--input", clip, "--raw") == 0
    out, err = capfdbinary.readouterr()
    assert len(out) == 10 * 64 * 96 * 3 and b"10 frames in" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--background", "blur"), "--save-background"),
        (("--save-background", "b.mp4", "--background", "#12"), "#rrggbb"),
        (("--save-polygons", "p.txt"), ".jsonl or .json"),
        (("--cut-out", "c.mp4"), ".webm or .mov"),
        (("--save-background", "clip-overlay.mp4"), "two results"),
        (("--start", "9"), "shorter"),
    ],
)
def test_results_that_cannot_be_are_refused(infer, clip, words, said, capsys):
    assert infer("--input", clip, *words) == 1
    assert said in capsys.readouterr().err


def test_keyframes_reuse_a_still_clip_and_say_so(infer, here, red_square, square_labels, capsys):
    with Mp4Writer(here / "still.mp4", fps=25) as writer:
        for index in range(10):
            writer.add(red_square(3), index / 25)
    words = ("--keyframes", 10, "--save-polygons", "p.jsonl", "--save-masks", "masks", "--json")
    assert infer("--input", "still.mp4", *words) == 0
    assert json.loads(capsys.readouterr().out)["share_of_reused_frames"] == 0.9
    lines = [json.loads(line) for line in (here / "p.jsonl").read_text().splitlines()]
    assert [line.get("reused", False) for line in lines] == [False, *[True] * 9]
    last = cv2.imread("masks/000009.png", cv2.IMREAD_UNCHANGED)
    assert (last != square_labels(3)).mean() < 0.01


def test_keyframes_and_smoothing_exclude_each_other(infer, clip, capsys):
    assert infer("--input", clip, "--keyframes", 1, "--steady", "flow") == 1
    assert "leave --keyframes out" in capsys.readouterr().err
