import os
import threading

import numpy as np
import pytest

from seg import SourceError
from seg.video.raw_input import RawInput


def read(data, hw=(4, 6), chunk=50):
    """Feeds a pipe in small pieces, as a program would."""
    reader, writer = os.pipe()

    def feed():
        for start in range(0, len(data), chunk):
            os.write(writer, data[start : start + chunk])
        os.close(writer)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reader, "rb", buffering=0) as file:
        source = RawInput(file, hw, 10.0)
        frames = list(source)
        thread.join()
    return frames, source


def test_frames_come_back_byte_for_byte_at_the_rate():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    frames, source = read(images.tobytes())
    np.testing.assert_array_equal([frame.image for frame in frames], images)
    assert [(frame.index, frame.time_s) for frame in frames] == [(i, i / 10) for i in range(5)]
    assert source.damage == "" and not source.live


def test_an_end_within_a_frame_is_said():
    frames, source = read(bytes(4 * 6 * 3 * 2 + 7))
    assert len(frames) == 2
    assert source.damage.startswith("standard input ended within frame 2: 7 of 72 bytes")


def test_a_pipe_that_keeps_silent_does_not_keep_the_loop():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as file:
        source = RawInput(file, (4, 6))
        threading.Timer(0.1, source.stop.set).start()
        assert list(source) == [] and source.damage == ""
    os.close(writer)


def test_a_terminal_is_refused():
    leader, follower = os.openpty()
    with os.fdopen(follower, "rb", buffering=0) as file, pytest.raises(SourceError, match="pipe"):
        RawInput(file, (4, 6))
    os.close(leader)
