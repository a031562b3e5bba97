"""The arithmetic of timing, on clocks that are set by hand."""

import itertools

import numpy as np
import pytest

from seg import SourceError
from seg.benchmark.interleave import Stopwatch, Times, interleave, schedule
from seg.video.base import Frame

IMAGE = np.zeros((4, 6, 3), np.uint8)


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Runner:
    """Takes as long for a frame as it is told, half a millisecond for reading it."""

    def __init__(self, name, clock, times_ms, calls, clip=5):
        self.name, self.clock, self.calls, self.clip = name, clock, calls, clip
        self.times_ms = iter(times_ms)

    def frames(self):
        for index in range(self.clip):
            self.clock.now += 0.0005
            yield Frame(IMAGE, index, float(index))

    def run(self, frame, watch):
        self.calls.append((self.name, frame.index))
        with watch.stage("model"):
            self.clock.now += next(self.times_ms) / 1e3


def test_the_schedule_goes_back_and_forth():
    assert list(schedule(3, 5, block=2)) == [
        (0, 2), (1, 2), (2, 2),
        (2, 2), (1, 2), (0, 2),
        (0, 1), (1, 1), (2, 1),
    ]  # fmt: skip
    counts = {who: sum(n for w, n in schedule(4, 37) if w == who) for who in range(4)}
    assert set(counts.values()) == {37}


def test_no_candidate_is_earlier_than_another_on_average():
    places = {0: [], 1: []}
    for place, (who, _) in enumerate(schedule(2, 32, block=8)):
        places[who].append(place)
    assert np.mean(places[0]) == np.mean(places[1])


def test_stages_add_up_and_laps_start_afresh():
    clock = Clock()
    watch = Stopwatch(clock)
    for spent in (0.001, 0.002):
        with watch.stage("pack"):
            clock.now += spent
    watch.lap()
    with watch.stage("encode"):
        clock.now += 0.004
    watch.lap()
    assert watch.frames == [{"pack": pytest.approx(3)}, {"encode": pytest.approx(4)}]


def test_percentiles_and_rate_by_hand():
    """1 to 101 ms: the median is 51, the 95th 96, the 99th 100; and 1 ms of decoding each."""
    times = Times(7.0, [{"decode": 1.0, "model": float(ms)} for ms in range(1, 102)])
    assert times.percentiles("model") == pytest.approx((51, 96, 100))
    assert times.percentiles("total") == pytest.approx((52, 97, 101))
    assert times.percentiles("encode") == (0, 0, 0)
    assert times.fps == pytest.approx(1000 / 52)  # the mean of 2 to 102


def test_the_rate_is_frames_by_time_not_a_mean_of_rates():
    """10 and 30 ms are 50 frames a second; the mean of 100 and 33.3 would be 66.7."""
    assert Times(0.0, [{"model": 10.0}, {"model": 30.0}]).fps == pytest.approx(50)


def test_warm_up_does_not_count_and_the_clip_starts_again():
    clock, calls = Clock(), []
    slow_start = Runner("a", clock, itertools.chain([500, 500], itertools.repeat(10)), calls)
    other = Runner("b", clock, itertools.repeat(2), calls)
    times = interleave([slow_start, other], num_frames=12, warmup=2, clock=clock)
    assert times["a"].first_ms == pytest.approx(500.5)
    assert [len(one.frames) for one in times.values()] == [12, 12]
    assert times["a"].percentiles("model") == pytest.approx((10, 10, 10))
    assert times["a"].percentiles("decode") == pytest.approx((0.5, 0.5, 0.5), abs=0.01)
    assert times["a"].fps == pytest.approx(1000 / 10.5, rel=0.02)
    names = "".join(name for name, _ in calls)
    assert names == "aabb" + "a" * 8 + "b" * 8 + "b" * 4 + "a" * 4
    assert [index for name, index in calls if name == "a"] == [n % 5 for n in range(14)]


def test_an_empty_clip_is_an_error():
    with pytest.raises(SourceError, match="no frame"):
        interleave([Runner("a", Clock(), iter(()), [], clip=0)], 3, 1, Clock())
