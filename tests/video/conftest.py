"""Clips whose frames carry their number as bars, written with PyAV alone."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest

BITS = 6


def numbered(index, hw=(64, 96)):
    """Returns a grey picture with the bits of `index` as white and black bars."""
    image = np.full((*hw, 3), 128, np.uint8)
    for bit in range(BITS):
        left, right = hw[1] * bit // BITS, hw[1] * (bit + 1) // BITS
        image[hw[0] // 4 : -(hw[0] // 4), left:right] = 255 * (index >> bit & 1)
    return image


def number_of(picture):
    """Reads the number back."""
    row = picture[picture.shape[0] // 2].mean(1)
    middles = [int(picture.shape[1] * (bit + 0.5) / BITS) for bit in range(BITS)]
    return sum(int(row[x] > 128) << bit for bit, x in enumerate(middles))


def write_clip(
    path, num_frames=12, hw=(64, 96), times=None, rate=25, clock=Fraction(1, 12800), rotation=0,
    sound_s=0.0, first_s=0.0, codec="libx264", options=None,
):  # fmt: skip
    """Writes a clip; `times` in seconds make its rate variable."""
    with av.open(str(path), "w", options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *hw, "yuv420p"
        stream.codec_context.time_base = clock
        if codec == "libx264":
            stream.options = {"crf": "10", "preset": "ultrafast", "tune": "zerolatency"}
        if rotation:
            stream.set_display_rotation(rotation)
        sound = out.add_stream("aac", rate=8000, layout="mono") if sound_s else None
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered(index, hw), format="bgr24")
            time_s = times[index] if times else Fraction(index) / rate
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = round((time_s + first_s) / clock), clock
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound:
            tone = np.sin(np.arange(int(8000 * sound_s)) / 5, dtype=np.float32)[None] / 4
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 8000, 0
            out.mux(sound.encode(samples))
            out.mux(sound.encode(None))
    return path


@pytest.fixture(autouse=True)
def no_thread_left():
    """Fails a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def clip(tmp_path):
    """Twelve frames at 25 per second."""
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture(scope="session", name="write_clip")
def write_clip_fixture():
    return write_clip


@pytest.fixture(scope="session", name="numbered")
def numbered_fixture():
    return numbered


@pytest.fixture(scope="session", name="number_of")
def number_of_fixture():
    return number_of
