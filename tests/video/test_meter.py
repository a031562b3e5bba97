import numpy as np
import pytest

from seg.video.meter import Meter, peak_memory_mb


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


def test_stages_and_the_wall_clock_are_kept_apart(clock):
    meter = Meter(clock)
    meter.start()
    for milliseconds in (10, 20, 30):
        with meter.stage("segment"):
            clock.now += milliseconds / 1e3
        with meter.stage("overlay"):
            clock.now += 0.08
        meter.tick()
    assert meter.num_frames == 3 and meter.wall_s == pytest.approx(0.3)
    assert list(meter.stages) == ["segment", "overlay"]
    assert meter.stages["segment"] == pytest.approx((10, 20, 30))


def test_a_stage_that_fails_is_not_counted(clock):
    meter = Meter(clock)
    with pytest.raises(ValueError, match="broken"), meter.stage("segment"):
        raise ValueError("broken")
    assert meter.stages == {"segment": ()}


def test_the_peak_is_at_least_what_is_held_now():
    before = peak_memory_mb()
    held = np.ones(120_000_000, np.uint8)
    assert peak_memory_mb() >= max(before, 120) and held.all()
