import os
import re
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from seg.errors import SourceError
from seg.video.sources import VideoFile

TICK = Fraction(1, 25)
OPEN_GOP = {
    "libx264": "open-gop=1:keyint=20:bframes=3:b-adapt=0:scenecut=0",
    "libx265": "open-gop=1:keyint=20:bframes=3:b-adapt=0:scenecut=0:log-level=none",
}


def test_every_frame_comes_once_and_in_order(clip, number_of):
    with VideoFile(clip) as source:
        frames = list(source)
        assert (source.fps, source.frame_hw, source.live) == (25, (64, 96), False)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(12) / 25, atol=1e-9)


def test_a_variable_rate_keeps_its_timestamps(tmp_path, write_clip):
    times = [0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.04]
    path = write_clip(tmp_path / "vfr.mp4", 7, times=[Fraction(str(t)) for t in times])
    with VideoFile(path) as source:
        np.testing.assert_allclose([frame.time_s for frame in source], times, atol=1e-4)
        assert source.damage == ""


@pytest.mark.parametrize(("rotation", "clockwise"), [(90, 3), (-90, 1), (180, 2)])
def test_rotation_metadata_is_applied(tmp_path, write_clip, numbered, rotation, clockwise):
    path = write_clip(tmp_path / "turned.mp4", 3, rotation=rotation)
    with VideoFile(path) as source:
        frames = list(source)
    upright = [np.rot90(numbered(i), -clockwise) for i in range(3)]
    assert source.frame_hw == upright[0].shape[:2]
    for frame, expected in zip(frames, upright, strict=True):
        assert np.abs(frame.image.astype(int) - expected).mean() < 4


def test_a_gif_is_a_video(tmp_path):
    writer = cv2.Animation()
    writer.frames = [np.full((20, 30, 3), 60 * i, np.uint8) for i in range(4)]
    writer.durations = np.array([100, 100, 300, 100])
    cv2.imwriteanimation(str(tmp_path / "a.gif"), writer)
    with VideoFile(tmp_path / "a.gif") as source:
        frames = list(source)
    assert [round(frame.image.mean() / 60) for frame in frames] == [0, 1, 2, 3]
    np.testing.assert_allclose([frame.time_s for frame in frames], [0, 0.1, 0.2, 0.5], atol=0.011)


def test_time_goes_on_where_files_are_glued_together(tmp_path, write_clip):
    times = [Fraction(n, 25) for n in (0, 1, 2, 20, 21, 70)]
    part = write_clip(tmp_path / "part.ts", 6, times=times).read_bytes()
    (tmp_path / "both.ts").write_bytes(2 * part)
    with VideoFile(tmp_path / "both.ts") as source:
        seconds = [frame.time_s for frame in source]
    assert len(seconds) == 12
    np.testing.assert_allclose(seconds[:6], [float(t) for t in times], atol=1e-3)
    assert seconds[6] > seconds[5]
    np.testing.assert_allclose(np.diff(seconds[6:]), np.diff(seconds[:6]), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("truncated.mp4", b"\0\0\0\x1cftypisom" + bytes(50), "not a video that can be read"),
        ("notes.mp4", b"hello\n" * 50, "not a video that can be read"),
        ("empty.mp4", b"", "is empty"),
        ("folder", None, "is a folder"),
    ],
)
def test_what_is_not_a_video_gives_a_line(tmp_path, name, content, words, capfd):
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        VideoFile(path)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"There is no file .*nothing\.mp4"):
        VideoFile(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_says_about_how_many_frames_it_has(tmp_path, write_clip, suffix):
    with VideoFile(write_clip(tmp_path / f"clip{suffix}", 12, clock=Fraction(1, 25))) as source:
        assert abs(source.num_frames - 12) <= 1


def test_audio_alone_is_not_a_video(tmp_path, write_clip):
    with av.open(str(tmp_path / "tone.m4a"), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        out.mux(stream.encode(samples))
        out.mux(stream.encode(None))
    with pytest.raises(SourceError, match="not a video"):
        VideoFile(tmp_path / "tone.m4a")


def test_a_cut_file_gives_what_is_there_and_then_says_so(tmp_path, write_clip, number_of):
    whole = write_clip(tmp_path / "w.mp4", 50, options={"movflags": "+faststart"}).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with VideoFile(tmp_path / "cut.mp4") as source:
        assert source.damage == ""
        frames = [number_of(frame.image) for frame in source]
    assert re.search(r"cut\.mp4 is cut or damaged: .*its last \d\.\d s are missing", source.damage)
    assert 5 < len(frames) < 50
    assert frames[:-1] == list(range(len(frames) - 1))


def test_a_last_frame_that_stays_is_no_cut(tmp_path, write_clip):
    path = write_clip(tmp_path / "long.mp4", 3, times=[0, 2, 2.04], audio_s=4.0)
    with VideoFile(path) as source:
        assert len(list(source)) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"tune": None},
        {"pix_fmt": "yuv420p10le", "tune": None},
        {"pix_fmt": "gray"},
        {"pix_fmt": "yuvj420p"},
        {"pix_fmt": "yuv444p"},
        {"codec": "mpeg4"},
        {"codec": "png", "pix_fmt": "rgba"},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_images_are_those_that_opencv_decodes(tmp_path, write_clip, options):
    path = write_clip(tmp_path / "clip.mov", 8, **options)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    with VideoFile(path) as source:
        images = [frame.image for frame in source]
    assert len(images) == 8
    for image in images:
        np.testing.assert_array_equal(image, capture.read()[1])
        assert image.dtype == np.uint8 and image.flags.c_contiguous
    assert not capture.read()[0]


def test_interlaced_frames_are_images(tmp_path, write_clip, number_of):
    path = write_clip(tmp_path / "clip.ts", 8, codec="mpeg2video", is_interlaced=True, clock=TICK)
    with av.open(str(path)) as file:
        assert next(file.decode(video=0)).interlaced_frame
    with VideoFile(path) as source:
        assert [number_of(frame.image) for frame in source] == list(range(8))
    assert source.damage == ""


def test_an_avi_with_b_frames_counts_evenly_from_zero(tmp_path, write_clip, number_of):
    """Its timestamps are those of decoding, which run ahead."""
    path = write_clip(tmp_path / "b.avi", 20, tune=None, clock=TICK)
    with VideoFile(path) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(20) / 25, atol=1e-9)


def test_a_stream_without_timestamps_counts_evenly(tmp_path, write_clip):
    path = write_clip(tmp_path / "raw.h264", 10)
    with VideoFile(path) as source:
        times = [frame.time_s for frame in source]
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-9)


@pytest.mark.parametrize(
    ("aspect", "hw"),
    [
        (Fraction(4, 3), (64, 128)),
        (Fraction(8, 9), (72, 96)),
        (Fraction(1280, 1281), (64, 96)),
        (Fraction(30, 1), (64, 96)),
    ],
)
def test_pixels_that_are_not_square_are_made_so(tmp_path, write_clip, number_of, said, aspect, hw):
    path = write_clip(tmp_path / "clip.mp4", 5, aspect=aspect)
    with VideoFile(path) as source:
        frames = list(source)
    assert source.frame_hw == hw
    assert (f"is scaled to {hw[1]}x{hw[0]}" in said()) == (hw != (64, 96))
    assert {frame.image.shape for frame in frames} == {(*hw, 3)}
    assert [number_of(frame.image) for frame in frames] == list(range(5))


def test_a_turned_video_is_made_square_before_it_is_turned(tmp_path, write_clip):
    path = write_clip(tmp_path / "clip.mp4", 3, aspect=Fraction(4, 3), rotation=90)
    with VideoFile(path) as source:
        assert source.frame_hw == (128, 64)


def add_stream(path, hw, disposition, num_frames=1):
    """Writes the clip again, with a second stream of red images before its own."""
    out_path = path.with_name(f"two-{path.name}")
    with av.open(str(path)) as file, av.open(str(out_path), "w") as out:
        red = out.add_stream("mjpeg", rate=25)
        red.height, red.width, red.pix_fmt = *hw, "yuvj420p"
        red.disposition = disposition
        copy = out.add_stream_from_template(file.streams.video[0])
        copy.disposition = Disposition.default
        image = np.zeros((*hw, 3), np.uint8)
        image[:] = (0, 0, 255)
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuvj420p")
            frame.pts = index
            out.mux(red.encode(frame))
        out.mux(red.encode(None))
        for packet in file.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return out_path


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_before_the_first_keyframe_are_not_damage(tmp_path, write_clip, codec):
    """A clip that was cut out of a longer one, without being encoded again."""
    path = write_clip(tmp_path / "w.mkv", 60, codec=codec, tune=None, params=OPEN_GOP[codec])
    with av.open(str(path)) as file, av.open(str(tmp_path / "part.mkv"), "w") as out:
        copy = out.add_stream_from_template(file.streams.video[0])
        packets = [packet for packet in file.demux(video=0) if packet.size]
        second = [index for index, packet in enumerate(packets) if packet.is_keyframe][1]
        for packet in packets[second:]:
            packet.stream = copy
            out.mux(packet)
    assert min(p.pts for p in packets[second:]) < packets[second].pts
    with VideoFile(tmp_path / "part.mkv") as source:
        assert len(list(source)) >= 40
    assert source.damage == ""


def test_cover_art_is_not_the_video(clip, number_of):
    path = add_stream(clip, (300, 300), Disposition.attached_pic)
    with VideoFile(path) as source:
        assert [number_of(frame.image) for frame in source] == list(range(12))


def test_of_several_videos_one_is_read_and_named(clip, number_of, said):
    path = add_stream(clip, (32, 32), Disposition(0), num_frames=12)
    with VideoFile(path) as source:
        assert [number_of(frame.image) for frame in source] == list(range(12))
    assert "has 2 video streams; the one of 96x64 is read" in said()


def test_audio_with_a_cover_is_not_a_video(tmp_path, clip, write_clip):
    path = tmp_path / "song.m4a"
    with av.open(str(write_clip(tmp_path / "a.mp4", 3, audio_s=1.0))) as file:
        audio = file.streams.audio[0]
        with av.open(str(path), "w", format="mp4") as out:
            copy = out.add_stream_from_template(audio)
            cover = out.add_stream("mjpeg", rate=1)
            cover.height, cover.width, cover.pix_fmt = 64, 64, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="bgr24")
            out.mux(cover.encode(image.reformat(format="yuvj420p")))
            out.mux(cover.encode(None))
            for packet in file.demux(audio):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
    with pytest.raises(SourceError, match="audio or cover art alone"):
        VideoFile(path)


def test_a_name_with_a_colon_is_no_protocol(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    clip.rename("data:clip.mp4")
    with VideoFile("data:clip.mp4") as source:
        assert len(list(source)) == 12


def test_a_name_that_is_not_utf_8_is_opened(clip):
    path = Path(os.fsdecode(os.fsencode(clip.parent) + b"/caf\xe9 12:30.mp4"))
    clip.rename(path)
    with VideoFile(path) as source:
        assert len(list(source)) == 12


def test_a_file_that_may_not_be_read_is_said_to_be_so(clip, monkeypatch):
    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match=r"clip\.mp4 cannot be read: Permission denied\."):
        VideoFile(clip)


def test_what_is_not_a_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="is a device or a pipe"):
        VideoFile(tmp_path / "pipe.mp4")


def test_an_address_is_sent_to_the_command_that_reads_it_without_its_password():
    with pytest.raises(SourceError, match=r"infer_webcam\.py reads addresses") as caught:
        VideoFile(Path("http://anna:secret@host/clip.mp4?token=secret"))
    assert "host/clip.mp4" in str(caught.value) and "secret" not in str(caught.value)


def test_a_stream_that_starts_between_two_keyframes_is_not_damaged(tmp_path, write_clip, number_of):
    data = write_clip(tmp_path / "w.ts", 40, gop=10).read_bytes()
    with av.open(str(tmp_path / "w.ts")) as file:
        positions = [packet.pos for packet in file.demux(video=0) if packet.size]
    (tmp_path / "late.ts").write_bytes(data[: 3 * 188] + data[positions[5] :])
    with VideoFile(tmp_path / "late.ts") as source:
        numbers = [number_of(frame.image) for frame in source]
    assert numbers[-30:] == list(range(10, 40)) and source.damage == ""
