"""Times of frames, from timestamps that are written down here."""

from fractions import Fraction
from types import SimpleNamespace

import pytest

from seg.video.timestamps import FrameClock

STREAM = SimpleNamespace(time_base=Fraction(1, 100), start_time=0)


def times(*stamps):
    clock = FrameClock(STREAM, 0.04)
    return [clock.time_of(SimpleNamespace(pts=stamp, dts=None)) for stamp in stamps]


def test_two_frames_of_one_timestamp_have_two_times():
    assert times(0, 10, 10, 20) == pytest.approx([0, 0.1, 0.14, 0.2])


def test_timestamps_that_go_back_a_little_or_are_missing_count_on():
    assert times(0, 10, 5, None, 30) == pytest.approx([0, 0.1, 0.14, 0.18, 0.3])


def test_timestamps_that_start_anew_go_on_from_the_last_frame():
    assert times(0, 500, 0, 10) == pytest.approx([0, 5, 5.04, 5.14])
