"""Progress: a bar on a terminal, a line now and then elsewhere, nothing where work is short."""

import io
import logging
import sys

import pytest

from seg import progress
from seg.progress import track


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_line_comes_every_ten_seconds_with_the_time_left(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []
    for item in track(range(10), "evaluating"):
        seen.append(item)
        clock.now += 6
    assert seen == list(range(10))
    assert caplog.messages == [
        "evaluating: 2 of 10 (20%), about 48 s left",
        "evaluating: 4 of 10 (40%), about 36 s left",
        "evaluating: 6 of 10 (60%), about 24 s left",
        "evaluating: 8 of 10 (80%), about 12 s left",
    ]


def test_short_work_says_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in track(range(1000), "evaluating"):
        clock.now += 0.009
    assert not caplog.messages


def test_work_of_unknown_length_is_counted(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in track(iter(range(3)), "reading"):
        clock.now += 11
    assert caplog.messages == ["reading: 1 in 11 s", "reading: 2 in 22 s"]


def test_a_terminal_gets_a_bar_that_is_wiped_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track(iter("abc"), "evaluating", total=3)) == ["a", "b", "c"]
    shown = terminal.getvalue()
    assert "evaluating:" in shown and "0/3" in shown and shown.endswith("\r")


def test_a_program_that_has_set_up_no_logging_sees_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    caplog.set_level(logging.WARNING, "dinoseg")
    assert list(track("abc", "evaluating")) == ["a", "b", "c"]
    assert terminal.getvalue() == ""


def test_a_unit_is_counted_per_second(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in track(range(4), "embedding", unit="image"):
        clock.now += 10
    assert caplog.messages[0] == "embedding: 1 of 4 (25%), about 30 s left, 0.1 images/s"
