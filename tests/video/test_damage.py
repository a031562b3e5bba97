"""Damaged recordings: what is read is what FFmpeg decodes, and what is missing is said.

The mutations are seeded. DINOSEG_SOAK=200 tries 200 of each kind of file in place of a few.
"""

import os
import random
import re
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import PIL.Image
import pytest

from seg.errors import SourceError
from seg.video.damage import DamageCounter
from seg.video.sources import VideoFile

NUM_FRAMES = 60
SOAK = int(os.environ.get("DINOSEG_SOAK", "0"))
FASTSTART = {"movflags": "+faststart"}
TICK = Fraction(1, 25)
CLUSTERS = {"cluster_time_limit": "400"}  # of Matroska: several in a short clip
KINDS = {
    "h264.mp4": {"options": FASTSTART, "audio_s": 2.4, "gop": 10},
    "bframes.mp4": {"options": FASTSTART, "tune": None, "gop": 10},
    "h264.mkv": {"audio_s": 2.4, "tune": None, "gop": 10, "options": CLUSTERS},
    "h264.avi": {"gop": 10, "clock": TICK},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "clock": TICK},
    "empty chunks.avi": {"gop": 10},
    "audio.avi": {"gop": 10, "clock": TICK, "audio_s": 6.0},
    "vp8.webm": {"codec": "libvpx", "gop": 5, "options": CLUSTERS},
    "png.mov": {"codec": "png", "pix_fmt": "rgb24", "options": FASTSTART},
}
CLUSTER, CUES = b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b"  # of Matroska
# What comes before a file's frames, and after them.
MEDIA = {".mp4": b"mdat", ".mov": b"mdat", ".mkv": CLUSTER, ".webm": CLUSTER, ".avi": b"movi"}
INDEX = {".mkv": CUES, ".webm": CUES, ".avi": b"idx1"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_clip):
    """Returns a clip of a kind, written once."""
    folder, written = tmp_path_factory.mktemp("whole"), {}

    def get(name):
        if name not in written:
            written[name] = write_clip(folder / name, NUM_FRAMES, **KINDS[name])
        return written[name]

    return get


def read(path):
    """Returns a file's frames and the line that says what is missing."""
    try:
        with VideoFile(path) as source:
            return list(source), source.damage
    except SourceError as error:
        return [], str(error)


def media_of(path):
    """Returns where a file's frames begin and end."""
    data, end = path.read_bytes(), INDEX.get(path.suffix)
    return data.index(MEDIA[path.suffix]) + 8, data.rindex(end) if end else len(data)


def damaged(data, start, rng):
    """Returns a file with one of the faults that disks, cards and connections make."""
    length, at = len(data), rng.randrange(start, len(data))
    fault = rng.choice(["flips", "zeros", "noise", "cut", "drop", "insert"])
    out = bytearray(data)
    end = min(length, at + rng.randrange(1, length // 4))
    if fault == "flips":
        for _ in range(rng.randrange(1, 60)):
            out[rng.randrange(start, length)] = rng.randrange(256)
    elif fault == "zeros":
        out[at:end] = bytes(end - at)
    elif fault == "noise":
        out[at:end] = rng.randbytes(end - at)
    elif fault == "cut":
        del out[at:]
    elif fault == "drop":
        del out[at : at + rng.randrange(1, 2000)]
    else:
        out[at:at] = rng.randbytes(rng.randrange(1, 500))
    return fault, bytes(out)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "audio.avi"])
def test_a_whole_clip_is_read_to_its_end_without_a_word(whole, name, number_of):
    frames, damage = read(whole(name))
    assert ([number_of(frame.image) for frame in frames], damage) == (list(range(NUM_FRAMES)), "")
    assert not any(frame.discontinuity for frame in frames)
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(NUM_FRAMES) / 25, atol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_no_frame_is_lost_that_ffmpeg_decodes_and_no_loss_is_silent(
    whole, name, tmp_path, count_frames
):
    data, (start, _), silent = whole(name).read_bytes(), media_of(whole(name)), []
    for seed in range(SOAK or 8):
        fault, broken = damaged(data, start, random.Random(f"{name} {seed}"))
        path = tmp_path / name
        path.write_bytes(broken)
        frames, damage = read(path)
        assert len(frames) == count_frames(path), (seed, fault)
        if len(frames) < NUM_FRAMES and not damage:
            silent.append((seed, fault))
        if frames and path.suffix == ".mp4":  # which lists its frames
            lost = re.search(r"(\d+) frames? could not be read", damage)
            assert int(lost[1] if lost else 0) == NUM_FRAMES - len(frames), (seed, fault)
        times = [frame.time_s for frame in frames]
        assert (np.diff(times) > 0).all() and [f.index for f in frames] == list(range(len(frames)))
    # A flipped byte may make a structure that Matroska knows to be skipped.
    assert len(silent) <= SOAK // 200, silent


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("lost", [0.01, 0.03, 0.1, 0.3])
def test_a_cut_is_said_however_short(whole, name, lost, tmp_path, count_frames):
    data = whole(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: round(len(data) * (1 - lost))])
    frames, damage = read(path)
    assert len(frames) == count_frames(path) > 0
    assert "s are missing in" not in damage  # in the middle
    assert len(frames) == NUM_FRAMES or "is cut or damaged" in damage


@pytest.mark.parametrize("fill", ["zeros", "noise"])
@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "h264.avi"])
def test_half_of_the_media_data_gone_is_half_of_the_frames_read_and_said(
    whole, name, fill, tmp_path, count_frames
):
    data = bytearray(whole(name).read_bytes())
    start, end = media_of(whole(name))
    half = (start + end) // 2
    size = end - half
    data[half:end] = bytes(size) if fill == "zeros" else random.Random(0).randbytes(size)
    (tmp_path / name).write_bytes(data)
    frames, damage = read(tmp_path / name)
    assert len(frames) == count_frames(tmp_path / name)
    assert 10 < len(frames) < NUM_FRAMES
    assert "is cut or damaged: " in damage and f"{len(frames)} frames could be read" in damage


def test_a_gif_without_its_end_is_cut(tmp_path):
    frames = [PIL.Image.effect_noise((40, 30), index) for index in range(1, 9)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    data = (tmp_path / "a.gif").read_bytes()
    assert len(read(tmp_path / "a.gif")[0]) == 8 and read(tmp_path / "a.gif")[1] == ""
    for left in (len(data) - 1, len(data) * 2 // 3):
        (tmp_path / "cut.gif").write_bytes(data[:left])
        assert "its end is missing" in read(tmp_path / "cut.gif")[1]


def test_one_damaged_packet_costs_one_frame_and_the_next_one_tells(whole, tmp_path, number_of):
    path = whole("mjpeg.avi")
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"]
    data[starts[30] : starts[31] - 8] = bytes(starts[31] - 8 - starts[30])
    (tmp_path / "one.avi").write_bytes(data)
    frames, damage = read(tmp_path / "one.avi")
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == [i for i in range(NUM_FRAMES) if i != 30]
    assert "1 frame could not be read. 59 frames could be read" in damage
    assert [n for n, f in zip(numbers, frames, strict=True) if f.discontinuity] == [31]


@pytest.mark.parametrize("name", ["bframes.mp4", "png.mov", "h264.mkv"])
@pytest.mark.parametrize("back", [1, 2, 3, 4, 30])
def test_damage_among_the_last_packets_costs_no_intact_frame(
    whole, name, back, tmp_path, count_frames
):
    """Where several threads decode, an error at the end takes frames with it that came before."""
    data = bytearray(whole(name).read_bytes())
    with av.open(str(whole(name))) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    at = data.index(bytes(packets[-back]))
    data[at : at + packets[-back].size] = bytes(packets[-back].size)
    (tmp_path / name).write_bytes(data)
    frames, damage = read(tmp_path / name)
    assert len(frames) == count_frames(tmp_path / name) >= NUM_FRAMES - 10
    assert re.search("[12] frames? could not be read", damage)


def test_a_hole_in_a_container_is_said_and_the_frame_after_it_tells(whole, tmp_path):
    data = bytearray(whole("vp8.webm").read_bytes())
    with av.open(str(whole("vp8.webm"))) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    first, last = packets[20].pos, packets[40].pos
    data[first:last] = bytes(last - first)
    for copy in ("a.webm", "b.webm"):  # FFmpeg's log leaves out what it has just said
        (tmp_path / copy).write_bytes(data)
        frames, damage = read(tmp_path / copy)
        assert 15 < len(frames) < NUM_FRAMES
        assert "s are missing in 1 place" in damage
        (after,) = [n for n, frame in enumerate(frames) if frame.discontinuity]
        assert frames[after - 1].time_s < 0.8 and frames[after].time_s >= 1.6


def test_frames_that_an_avi_lacks_are_counted_where_its_audio_goes_on(whole, tmp_path):
    path = whole("audio.avi")
    with av.open(str(path)) as file:
        video = [packet for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes()[: media_of(path)[1]])
    for packet in video[-10:]:
        at = data.rindex(bytes(packet))
        data[at - 8 : at + packet.size] = bytes(packet.size + 8)
    (tmp_path / "lost.avi").write_bytes(data)
    frames, damage = read(tmp_path / "lost.avi")
    assert len(frames) == NUM_FRAMES - 10
    assert "10 frames could not be read" in damage


def test_a_hole_is_counted_where_frames_beside_it_are_damaged_too(whole, tmp_path):
    path = tmp_path / "hole.mkv"
    data = bytearray(whole("h264.mkv").read_bytes())
    with av.open(str(whole("h264.mkv"))) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    middle = packets[15].pos + 12
    data[middle : packets[40].pos] = bytes(packets[40].pos - middle)
    path.write_bytes(data)
    frames, damage = read(path)
    lost_s = float(re.search(r"([\d.]+) s are missing in 1 place", damage)[1])
    assert "1 frame could not be read" in damage and "its last" not in damage
    assert abs(len(frames) + 25 * lost_s - NUM_FRAMES) <= 1


def test_a_last_frame_that_is_cut_is_said_though_it_comes(whole, tmp_path):
    path = whole("mjpeg.avi")
    with av.open(str(path)) as file:
        last = [packet for packet in file.demux(video=0) if packet.size][-1]
    data = path.read_bytes()
    at = data.rindex(bytes(last))
    (tmp_path / "cut.avi").write_bytes(data[: at + last.size - 40])
    frames, damage = read(tmp_path / "cut.avi")
    assert len(frames) == NUM_FRAMES and "1 frame came with errors" in damage


def test_what_others_log_while_a_file_is_examined_is_not_its_damage(
    tmp_path, write_clip, monkeypatch
):
    times = [Fraction(n, 25) for n in (*range(10), 40, 41, 42)]  # a pause: its log is read
    path = write_clip(tmp_path / "a.mkv", 13, times=times)
    levels, open_file = [], av.open

    def open_and_complain(*args, **options):
        levels.append(av.logging.get_level())
        av.logging.log(av.logging.ERROR, "mp3float", "Header missing")
        return open_file(*args, **options)

    monkeypatch.setattr(av, "open", open_and_complain)
    frames, damage = read(path)
    assert (len(frames), damage, levels) == (13, "", [None, av.logging.ERROR])
    assert av.logging.get_level() is None


def fake_stream(container, codec):
    stream = SimpleNamespace(index_entries=range(10), duration=10, time_base=1, index=0)
    stream.codec_context = SimpleNamespace(name=codec)
    return SimpleNamespace(format=SimpleNamespace(name=container), duration=None), stream


@pytest.mark.parametrize(
    ("codec", "is_interlaced", "lost"),
    [("h264", False, 5), ("h264", True, 0), ("mpeg4", False, 0)],
)
def test_fewer_frames_than_packets_are_a_loss_where_each_packet_is_a_frame(
    codec, is_interlaced, lost
):
    """Interlaced H.264 may come as two packets a frame; MPEG-4 has packets without a frame."""
    counter = DamageCounter(*fake_stream("mov,mp4", codec), step_s=1.0)
    for pts in range(10):
        packet = SimpleNamespace(pts=pts, dts=pts, is_keyframe=True, is_corrupt=False)
        packet.is_discard = False
        counter.count_packet(packet)
    for pts in range(0, 10, 2):
        frame = SimpleNamespace(pts=pts, is_corrupt=False, interlaced_frame=is_interlaced)
        counter.count_frame(frame)
    counter.count_end()
    assert counter.is_short and counter.damage.undecodable == lost
