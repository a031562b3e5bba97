import pytest

from seg.video.meter import Meter, Report


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_live_rate_divides_by_gaps(clock):
    meter = Meter(clock)
    assert meter.fps == 0
    for _ in range(3):
        clock.now += 0.125
        meter.tick()
    assert meter.fps == 8


def test_the_live_rate_forgets_what_was_two_seconds_ago(clock):
    meter = Meter(clock)
    for gap in [1.0] * 5 + [0.25] * 20:
        clock.now += gap
        meter.tick()
    assert meter.fps == 4


def test_a_rate_slower_than_the_window_is_still_one(clock):
    meter = Meter(clock)
    for _ in range(3):
        clock.now += 5
        meter.tick()
    assert meter.fps == 0.2


def test_the_report_keeps_model_and_wall_clock_apart(clock):
    meter = Meter(clock)
    meter.start()
    for milliseconds in (10, 20, 30):
        with meter.model():
            clock.now += milliseconds / 1e3
        clock.now += 0.08
        meter.tick()
    report = meter.report(["decode", "model"], dropped=0)
    assert report.num_frames == 3
    assert report.wall_s == pytest.approx(0.3)
    assert report.fps == pytest.approx(10)
    assert report.model_ms == pytest.approx((10, 20, 30))


def test_the_line_says_which_number_is_which():
    report = Report(314, 2, 12.31, [15.1] * 99 + [18.0], ["decode", "model", "overlay", "encode"])
    assert str(report) == (
        "314 frames in 12.3 s: 25.5 FPS end to end (decode, model, overlay, encode); "
        "model alone 15.1 ms median, 15.1 p95 (66 FPS); 2 frames dropped to stay live"
    )
    assert str(Report(1, 0, 0.5, [], ["decode"])) == "1 frame in 0.5 s: 2.0 FPS end to end (decode)"
    assert Report(0, 0, 0.0, [], []).fps == 0
