import ast
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from seg.errors import EngineFailure, SourceError, SpecMismatch
from seg.video import loop
from seg.video.base import Frame, Processed, Sink, Source
from seg.video.loop import run
from seg.video.meter import Meter
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile

IMAGE = np.zeros((4, 4, 3), np.uint8)


class Events(list):
    """What happened, in order."""


class Numbers(Source):
    """Counts; `error` comes after `count`."""

    def __init__(self, events, count=20, error=None, live=False):
        super().__init__()
        self.events, self.count, self.error, self.live = events, count, error, live

    def __iter__(self):
        for index in range(self.count):
            yield Frame(IMAGE, index, index / 25)
        if self.error:
            raise self.error

    def close(self):
        readers = [t for t in threading.enumerate() if t.name == "dinoseg-reader"]
        self.events.append(f"source closed, stopped {self.stop.is_set()}, readers {len(readers)}")


class Kept(Sink):
    def __init__(self, events, name="sink", error_at=None, closes_at=None, close_error=None):
        self.events, self.name, self.indices = events, name, []
        self.error_at, self.closes_at, self.close_error = error_at, closes_at, close_error

    def write(self, frame, processed):
        if frame.index == self.error_at:
            raise SourceError("disk full")
        self.indices.append(frame.index)
        self.closed = frame.index == self.closes_at

    def end_of_stream(self):
        self.events.append(f"{self.name} ended")

    def close(self):
        self.events.append(f"{self.name} closed")
        if self.close_error:
            raise self.close_error


class Does:
    """A process that calls a function on each frame and makes a count of them."""

    tasks = ("count",)

    def __init__(self, function=lambda frame: None):
        self.function = function

    def __call__(self, frame):
        self.function(frame)
        return Processed(frame.image, {"count": frame.index})


NOTHING = Does()


ENDING = ["source closed, stopped True, readers 0", "a closed", "b closed"]


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def sinks(events):
    return [Kept(events, "a"), Kept(events, "b")]


def test_every_frame_reaches_every_sink_in_order_and_the_end_is_in_order(events, sinks):
    report = run(Numbers(events), NOTHING, sinks)
    assert sinks[0].indices == sinks[1].indices == list(range(20))
    assert events == ["a ended", "b ended", *ENDING]
    assert (report.num_frames, report.num_dropped) == (20, 0)


def test_a_source_without_frames_ends_well(events, sinks):
    assert run(Numbers(events, 0), NOTHING, sinks).num_frames == 0
    assert events[2:] == ENDING


@pytest.mark.parametrize("error", [EngineFailure("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_in_the_middle_closes_all_in_order(events, sinks, error):
    def process(frame):
        if frame.index == 3:
            raise error

    with pytest.raises(type(error)):
        run(Numbers(events, 1000), Does(process), sinks)
    assert events == ENDING and sinks[0].indices == [0, 1, 2]


def test_an_error_in_the_reader_comes_after_the_frames_before_it(events, sinks):
    with pytest.raises(SourceError, match="unplugged"):
        run(Numbers(events, 7, SourceError("unplugged")), NOTHING, sinks)
    assert events == ENDING and sinks[0].indices == list(range(7))


def test_an_error_in_a_sink_closes_all_in_order(events):
    sinks = [Kept(events, "a", error_at=5), Kept(events, "b")]
    with pytest.raises(SourceError, match="disk full"):
        run(Numbers(events), NOTHING, sinks)
    assert events == ENDING and (sinks[0].indices, len(sinks[1].indices)) == ([0, 1, 2, 3, 4], 5)


def test_a_sink_that_fails_to_close_does_not_keep_the_next_open(events):
    sinks = [Kept(events, "a", close_error=SourceError("short")), Kept(events, "b")]
    with pytest.raises(SourceError, match="short"):
        run(Numbers(events), NOTHING, sinks)
    assert events[2:] == ENDING


def test_a_closed_window_ends_the_loop_unfinished(events):
    sinks = [Kept(events, "a", closes_at=4), Kept(events, "b")]
    assert run(Numbers(events, 1000), NOTHING, sinks).num_frames == 5
    assert events == ENDING and sinks[1].indices == [0, 1, 2, 3, 4]


def test_a_damaged_source_ends_unfinished_with_every_frame_written(events, sinks):
    class Damaged(Numbers):
        def __iter__(self):
            yield from super().__iter__()
            self.damage = "3 frames are missing"

    assert run(Damaged(events), NOTHING, sinks).num_frames == 20
    assert events == ENDING and sinks[1].indices == list(range(20))


def test_max_frames_ends_the_loop(events, sinks):
    assert run(Numbers(events, 1000), NOTHING, sinks, max_frames=6).num_frames == 6
    assert events == ENDING


def test_a_reader_that_waits_for_its_camera_is_told_to_stop(events, sinks):
    class Waiting(Numbers):
        def __iter__(self):
            yield from super().__iter__()
            self.stop.wait()

    camera = Waiting(events, 6)
    running = threading.Thread(
        target=run, args=(camera, NOTHING, sinks), kwargs={"max_frames": 6}, daemon=True
    )
    running.start()
    running.join(20)
    was_ended = not running.is_alive()
    camera.stop.set()
    running.join()
    assert was_ended and events == ENDING


def test_a_file_is_not_read_far_ahead(events, sinks):
    read = []

    class Slow(Numbers):
        def __iter__(self):
            for frame in super().__iter__():
                read.append(frame.index)
                yield frame

    gaps = []

    def process(frame):
        time.sleep(0.002)
        gaps.append(max(read) - frame.index)

    run(Slow(events, 60), Does(process), sinks)
    assert max(gaps) <= 6 and sinks[0].indices == list(range(60))


def test_live_keeps_the_newest_frame_and_counts_the_dropped(events, sinks):
    """The camera gives 0, waits until 0 is in work, gives 1 to 9, and lets the work go on."""
    in_work, given = threading.Event(), threading.Event()

    class Scripted(Numbers):
        def __iter__(self):
            for frame in super().__iter__():
                if frame.index == 1:
                    in_work.wait(5)
                yield frame
            given.set()

    def process(frame):
        in_work.set()
        given.wait(5)

    report = run(Scripted(events, 10, live=True), Does(process), sinks)
    assert sinks[0].indices == [0, 9]
    assert (report.num_frames, report.num_dropped) == (2, 8)
    assert "8 frames dropped to stay live" in str(report)


def test_ctrl_c_keeps_a_file_that_plays(clip, tmp_path, number_of, caplog):
    def process(frame):
        if frame.index == 6:
            raise KeyboardInterrupt

    source = VideoFile(clip)
    writer = Mp4Writer(tmp_path / "out.mp4", source=clip)
    with pytest.raises(KeyboardInterrupt):
        run(source, Does(process), [writer])
    with VideoFile(tmp_path / "out.mp4") as result:
        assert [number_of(frame.image) for frame in result] == [0, 1, 2, 3, 4, 5]
    assert "out.mp4 holds 6 frames" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_ends_the_loop_after_the_frame_in_work(events, sinks, number, times):
    class Stopped(Exception):
        pass

    def handle(number, frame):
        raise Stopped

    def process(frame):
        if frame.index == 3:
            for _ in range(times):
                signal.raise_signal(number)

    before = signal.signal(number, handle)
    try:
        with pytest.raises(Stopped):
            run(Numbers(events, 1000), Does(process), sinks)
        assert signal.getsignal(number) is handle
    finally:
        signal.signal(number, before)
    assert events == ENDING and sinks[0].indices == sinks[1].indices == [0, 1, 2, 3]


def test_a_signal_ends_the_wait_for_a_frame_that_does_not_come(events, sinks):
    class Silent(Numbers):
        def __iter__(self):
            yield from super().__iter__()
            while len(sinks[1].indices) < 3:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            self.stop.wait(20)

    with pytest.raises(KeyboardInterrupt):
        run(Silent(events, 3), NOTHING, sinks)
    assert events == ENDING and sinks[0].indices == [0, 1, 2]


def test_an_error_while_a_signal_waits_is_the_one_that_is_told(events, sinks):
    def process(frame):
        signal.raise_signal(signal.SIGINT)
        raise EngineFailure("broken")

    with pytest.raises(EngineFailure):
        run(Numbers(events, 1000), Does(process), sinks)
    assert events == ENDING


def test_a_result_that_a_sink_needs_and_nobody_makes_is_said_before_the_first_frame(events):
    class Needy(Kept):
        needs = ("count", "segmentation", "classification")

    sinks = [Kept(events, "a"), Needy(events, "b")]
    with pytest.raises(SpecMismatch, match=r"of classification, segmentation; .* makes count"):
        run(Numbers(events), NOTHING, sinks)
    assert events == ENDING and sinks[0].indices == []


def test_sinks_get_what_the_process_made(events):
    class Counts(Kept):
        needs = ("count",)

        def write(self, frame, processed):
            self.indices.append(processed.results["count"])

    run(Numbers(events, 3), NOTHING, [sink := Counts(events)])
    assert sink.indices == [0, 1, 2]


def test_whoever_is_timed_names_the_stage(events):
    class Camera(Numbers):
        stage, unit = "grab", "image"

    class Printer(Kept):
        stage = "print"

    meter = Meter()

    def process(frame):
        with meter.stage("think"):
            time.sleep(0.002)

    report = run(Camera(events, 3), Does(process), [Printer(events)], meter)
    assert set(report.stages) == {"grab", "think", "print"}
    assert [len(times) for times in report.stages.values()] == [3, 3, 3]
    assert min(report.stages["think"]) >= 2 and report.unit == "image"
    assert (report.num_read, report.num_frames, report.num_dropped) == (3, 3, 0)


def test_the_loop_imports_nothing_of_models_results_and_drawing():
    imported = {
        node.module
        for node in ast.walk(ast.parse(Path(loop.__file__).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("seg")
    }
    assert imported == {
        "seg.errors",
        *(f"seg.video.{n}" for n in ("base", "interrupts", "meter", "report")),
    }


@pytest.mark.parametrize("live", [True, False])
def test_a_live_frames_age_counts_until_the_last_sink_has_it(live):
    class Slow(Kept):
        def write(self, frame, processed):
            time.sleep(0.03)

    process = Does(lambda frame: Processed(frame.image, {}))
    report = run(Numbers([], 3, live=live), process, [Slow([]), Slow([])])
    assert len(report.ages_ms) == (report.num_frames if live else 0)
    assert all(age >= 60 for age in report.ages_ms)
    assert ("frame age, decoded to shown" in report.table()) == live
    assert (report.to_dict()["frame_age"] is not None) == live
