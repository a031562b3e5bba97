"""Clips whose frames carry their number as bars, written with PyAV alone."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags

BITS = 6
OUTPUT_CORRUPT = 8  # AV_CODEC_FLAG_OUTPUT_CORRUPT, which the ffmpeg command sets


def numbered(index, hw=(64, 96)):
    """Returns a gray image with the bits of `index` as white and black bars."""
    image = np.full((*hw, 3), 128, np.uint8)
    for bit in range(BITS):
        left, right = hw[1] * bit // BITS, hw[1] * (bit + 1) // BITS
        image[hw[0] // 4 : -(hw[0] // 4), left:right] = 255 * (index >> bit & 1)
    return image


def number_of(image):
    """Reads the number back."""
    row = image[image.shape[0] // 2].mean(1)
    middles = [int(image.shape[1] * (bit + 0.5) / BITS) for bit in range(BITS)]
    return sum(int(row[x] > 128) << bit for bit, x in enumerate(middles))


def write_clip(
    path, num_frames=12, hw=(64, 96), times=None, rate=25, clock=Fraction(1, 12800), rotation=0,
    audio_s=0.0, first_s=0.0, codec="libx264", options=None, gop=None,
    tune="zerolatency", pix_fmt="yuv420p", aspect=None, is_interlaced=False, params="",
):  # fmt: skip
    """Writes a clip; `times` in seconds make its rate variable."""
    with av.open(str(path), "w", options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *hw, pix_fmt
        stream.codec_context.time_base = clock
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if is_interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if gop:
            stream.codec_context.gop_size = gop
        if codec == "libx264":
            stream.options = {"crf": "10", "preset": "ultrafast" if tune else "fast"}
            if tune:
                stream.options = {**stream.options, "tune": tune}
        if params:
            stream.options = {**stream.options, f"{codec.removeprefix('lib')}-params": params}
        if rotation:
            stream.set_display_rotation(rotation)
        audio = out.add_stream("aac", rate=8000, layout="mono") if audio_s else None
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered(index, hw), format="bgr24")
            time_s = times[index] if times else Fraction(index) / rate
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = round((time_s + first_s) / clock), clock
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio:
            tone = np.sin(np.arange(int(8000 * audio_s)) / 5, dtype=np.float32)[None] / 4
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 8000, 0
            out.mux(audio.encode(samples))
            out.mux(audio.encode(None))
    return path


def count_frames(path):
    """Counts what FFmpeg decodes with one thread, errors skipped; 0 for a file it does not open."""
    num_frames = 0

    def decode(context, packet):
        nonlocal num_frames
        try:
            num_frames += len(context.decode(packet))
        except av.FFmpegError:
            return

    try:
        with av.open(str(path)) as file:
            context = file.streams.video[0].codec_context
            context.thread_count = 1
            context.flags |= OUTPUT_CORRUPT
            try:
                for packet in file.demux(video=0):
                    if packet.size:
                        decode(context, packet)
            except av.FFmpegError:
                pass
            decode(context, None)
    except (av.FFmpegError, IndexError):
        return 0
    return num_frames


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


@pytest.fixture(scope="session", name="count_frames")
def count_frames_fixture():
    return count_frames


@pytest.fixture
def said(capsys, caplog):
    """Returns, when called, what the user was told since the last call."""

    def read():
        text = capsys.readouterr().err + caplog.text
        caplog.clear()
        return text

    return read
