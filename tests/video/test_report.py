import pytest

from seg.video.report import Report

TIMES = {"decode": [2.0] * 100, "segment": [15.1] * 90 + [18.0] * 10}
REPORT = Report(
    num_read=318, num_frames=314, num_dropped=2, wall_s=12.31, stages=TIMES, peak_mb=312.4
)


def test_the_line_says_what_the_rate_includes():
    assert str(REPORT) == (
        "314 frames in 12.3 s: 25.5 FPS end to end (decode, segment); 2 frames dropped to stay live"
    )


def test_one_image_is_an_image():
    assert str(Report(num_frames=1, wall_s=0.5, stages={"read": [1.0]}, unit="image")) == (
        "1 image in 0.5 s: 2.0 images/s end to end (read)"
    )


def test_a_run_without_frames_has_no_rate():
    report = Report()
    assert (str(report), report.fps) == ("0 frames in 0.0 s", 0)
    assert report.to_dict()["stages"] == {}


def test_the_table_has_a_row_for_each_stage_and_the_counts():
    assert REPORT.table().splitlines()[1:] == [
        "         p50 ms  p95 ms",
        "decode      2.0     2.0",
        "segment    15.1    18.0",
        "frames: read 318, written 314, dropped 2; peak memory 312 MB",
    ]


def test_a_script_gets_the_same_numbers():
    numbers = REPORT.to_dict()
    assert numbers["stages"]["segment"] == {"p50_ms": 15.1, "p95_ms": 18.0}
    assert (numbers["frames_read"], numbers["frames_written"], numbers["frames_dropped"]) == (
        318, 314, 2,
    )  # fmt: skip
    assert numbers["damage"] is None and numbers["peak_memory_mb"] == 312.4
    assert numbers["frames_per_s"] == pytest.approx(25.51, abs=0.01)
