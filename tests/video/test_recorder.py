import errno
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, SourceError
from seg.files import lock
from seg.files.lock import open_exclusive
from seg.video import mp4, recorder, recording_file
from seg.video.base import Processed
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile

BLACK = np.zeros((8, 8, 3), np.uint8)


def copy(source_path, target, is_complete=True, keep=None):
    """Writes a clip's frames as they are; returns the writer."""
    source = VideoFile(source_path)
    with source, Mp4Writer(target, source=source.path, fps=source.fps) as writer:
        for frame in list(source)[:keep]:
            writer.write(frame, Processed(frame.image, {}))
        if is_complete:
            writer.end_of_stream()
    return writer


def facts(path):
    """Returns timestamps in seconds, the average rate, the audio's packets and the format."""
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        codec = video.codec_context
        about = (codec.name, codec.pix_fmt, codec.colorspace, float(video.average_rate))
        times = [float(p.pts * p.time_base) for p in file.demux(video) if p.size]
    with av.open(str(path)) as file:
        audio = [
            (round(float(p.pts * p.time_base), 4), bytes(p)) for p in file.demux(audio=0) if p.size
        ] if file.streams.audio else []  # fmt: skip
    return times, about, audio


def numbers(path, number_of):
    with VideoFile(path) as source:
        return [number_of(frame.image) for frame in source]


def test_frames_timestamps_and_rate_are_the_sources(clip, tmp_path, number_of):
    writer = copy(clip, tmp_path / "out.mp4")
    assert writer.num_frames == 12 and numbers(writer.path, number_of) == list(range(12))
    times, about, audio = facts(writer.path)
    np.testing.assert_allclose(times, np.arange(12) / 25)
    assert about == ("h264", "yuv420p", 1, 25.0) and audio == []


def test_ntsc_rate_stays_exact(tmp_path, write_clip):
    rate, clock = Fraction(30000, 1001), Fraction(1, 30000)
    clip = write_clip(tmp_path / "ntsc.mp4", rate=rate, clock=clock)
    with av.open(str(copy(clip, tmp_path / "out.mp4").path)) as file:
        assert file.streams.video[0].average_rate == rate


def test_a_variable_rate_stays_one_and_the_last_image_stays_as_long(tmp_path, write_clip):
    times = [0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.04]
    clip = write_clip(tmp_path / "vfr.mp4", 7, times=[Fraction(str(t)) for t in times])
    (before, about, _), (after, again, _) = facts(clip), facts(copy(clip, tmp_path / "o.mp4").path)
    np.testing.assert_allclose(after, times)
    assert before == after and about[3] == again[3]


def test_the_last_image_of_a_slide_show_stays_as_long_as_in_the_source(clip, tmp_path):
    path = tmp_path / "slides.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        packets[-1].duration = round(3 / packets[-1].time_base)
        for packet in packets:
            packet.stream = stream
            out.mux(packet)
    for written in (path, copy(path, tmp_path / "out.mp4").path):
        with av.open(str(written)) as file:
            video = file.streams.video[0]
            assert float(video.duration * video.time_base) == pytest.approx(11 / 25 + 3, abs=0.01)


def test_images_of_one_time_come_one_after_the_other(tmp_path):
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        for time_s in (0.0, 0.0, 0.04, 0.03, 0.08):
            writer.add(BLACK, time_s)
        writer.end_of_stream()
    times, _, _ = facts(writer.path)
    assert len(times) == 5 and (np.diff(times) > 0).all()
    np.testing.assert_allclose(times, (0, 0, 0.04, 0.04, 0.08), atol=1e-3)


def test_an_encoder_that_is_behind_is_waited_for(tmp_path, monkeypatch):
    """Else a long video's images would all be in memory."""
    is_free, write, added = threading.Event(), mp4.Encoder.write, []

    def slow(self, image, time_s):
        is_free.wait()
        write(self, image, time_s)

    def add_all(writer):
        for index in range(40):
            writer.add(BLACK, index / 25)
            added.append(index)

    monkeypatch.setattr(mp4.Encoder, "write", slow)
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        thread = threading.Thread(target=add_all, args=(writer,))
        thread.start()
        thread.join(0.5)
        num_ahead = len(added)
        is_free.set()
        thread.join()
        writer.end_of_stream()
    assert num_ahead < 12
    assert len(added) == writer.num_frames == 40


def test_an_interrupt_while_a_file_is_finished_waits_until_it_has_its_name(tmp_path, monkeypatch):
    signals = [signal.SIGINT]

    def interrupted(path):
        if signals:
            signal.raise_signal(signals.pop())
        return mp4.count_frames(path)

    monkeypatch.setattr(recorder, "count_frames", interrupted)
    writer = Mp4Writer(tmp_path / "out.mp4")
    writer.add(BLACK, 0.0)
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert mp4.count_frames(writer.path) == 1


def test_colors_come_back(tmp_path):
    colors = [(30, 30, 220), (40, 200, 40), (220, 60, 20), (128, 128, 128)]
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        for index, color in enumerate(colors):
            writer.add(np.full((64, 64, 3), color, np.uint8), index / 25)
        writer.end_of_stream()
    with VideoFile(writer.path) as source:
        for frame, color in zip(source, colors, strict=True):
            assert np.abs(frame.image.mean((0, 1)) - color).max() < 6


@pytest.mark.parametrize("hw", [(1, 1), (5, 7), (64, 97), (63, 96)])
def test_odd_sides_repeat_the_last_line_and_say_so(tmp_path, hw, caplog):
    image = np.full((*hw, 3), 90, np.uint8)
    image[:, -1] = image[-1] = 230
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        writer.add(image, 0.0)
        writer.end_of_stream()
    assert f"{hw[1]}x{hw[0]} padded to" in caplog.text
    with VideoFile(writer.path) as source:
        (frame,) = source
    assert frame.image.shape[:2] == (hw[0] + hw[0] % 2, hw[1] + hw[1] % 2)
    expected = np.pad(image, ((0, hw[0] % 2), (0, hw[1] % 2), (0, 0)), mode="edge")
    assert np.abs(frame.image.astype(int) - expected).mean() < 6


def test_an_image_of_another_size_is_fitted_into_the_first_ones(tmp_path):
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        writer.add(np.full((64, 96, 3), 200, np.uint8), 0.0)
        writer.add(np.full((32, 32, 3), 200, np.uint8), 0.04)
        writer.end_of_stream()
    with VideoFile(writer.path) as source:
        second = list(source)[1].image
    assert second.shape == (64, 96, 3)
    assert abs(second[:60, :60].mean() - 200) < 6 and second[:, 70:].mean() < 6


def test_audio_is_copied_packet_for_packet(tmp_path, write_clip):
    clip = write_clip(tmp_path / "s.mp4", 12, audio_s=0.6)
    target = copy(clip, tmp_path / "out.mp4").path
    assert len(facts(clip)[2]) > 4 and facts(clip)[2] == facts(target)[2]


def test_audio_and_frames_stay_together_where_frames_start_late(tmp_path, write_clip):
    clip = write_clip(tmp_path / "late.mp4", 5, audio_s=1.0, first_s=0.4)
    (before, _, heard), (after, _, again) = facts(clip), facts(copy(clip, tmp_path / "o.mp4").path)
    np.testing.assert_allclose(before, np.arange(5) / 25 + 0.4)
    np.testing.assert_allclose(after, before)
    assert heard == again


def test_a_transport_stream_with_audio_becomes_a_file_from_zero(tmp_path, write_clip, number_of):
    clip = write_clip(tmp_path / "s.ts", 12, audio_s=0.6, clock=Fraction(1, 90000))
    target = copy(clip, tmp_path / "out.mp4").path
    times, _, audio = facts(target)
    assert numbers(target, number_of) == list(range(12)) and len(audio) > 3
    assert abs(times[0]) < 0.2 and abs(np.diff(times).mean() - 0.04) < 1e-3


def test_a_broadcast_that_counts_from_an_hour_becomes_a_file_from_zero(tmp_path, write_clip):
    late = {"output_ts_offset": "3600"}
    clock = Fraction(1, 90000)
    clip = write_clip(tmp_path / "s.ts", 12, audio_s=0.6, clock=clock, options=late)
    (before, _, heard), (after, _, again) = facts(clip), facts(copy(clip, tmp_path / "o.mp4").path)
    start_s = heard[0][0]
    assert start_s > 3599 and again[0][0] == 0
    np.testing.assert_allclose(after, np.subtract(before, start_s), atol=1e-3)
    np.testing.assert_allclose(
        [time_s for time_s, _ in again], [time_s - start_s for time_s, _ in heard], atol=1e-3
    )


def test_what_was_written_before_a_stop_is_a_file_and_says_so(tmp_path, write_clip, caplog):
    clip = write_clip(tmp_path / "s.mp4", 25, audio_s=1.0)
    target = copy(clip, tmp_path / "out.mp4", is_complete=False, keep=10).path
    assert "partial file" in caplog.text and "out.mp4 holds 10 frames" in caplog.text
    times, about, audio = facts(target)
    assert len(times) == 10 and about[3] == 25
    assert 0.2 < audio[-1][0] < 0.4


def test_a_partial_file_of_one_frame_is_called_so(tmp_path, write_clip, caplog):
    clip = write_clip(tmp_path / "s.mp4", 25)
    copy(clip, tmp_path / "out.mp4", is_complete=False, keep=1)
    assert caplog.messages[-1] == f"partial file: {tmp_path / 'out.mp4'} holds 1 frame"


def test_nothing_written_is_no_file(tmp_path):
    with Mp4Writer(tmp_path / "out.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_free_until_the_file_is_finished(clip, tmp_path):
    target = tmp_path / "new" / "out.mp4"
    with Mp4Writer(target) as writer:
        writer.add(BLACK, 0.0)
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["out.mp4"]


def test_an_existing_file_is_refused_and_kept(tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"mine")
    with pytest.raises(ArtifactError, match="--overwrite"):
        Mp4Writer(target)
    assert target.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 1
    with Mp4Writer(target, overwrite=True) as writer:
        writer.add(BLACK, 0.0)
    assert mp4.count_frames(target) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="Cannot write"):
        Mp4Writer(tmp_path / "file" / "out.mp4")


def test_another_format_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"expected a name in \.mp4, got .*out\.avi"):
        Mp4Writer(tmp_path / "out.avi")


def test_a_failing_encoder_is_an_error_and_leaves_no_file(tmp_path, monkeypatch):
    def fail(self, image, time_s):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder.Encoder, "write", fail)
    with pytest.raises(SourceError, match="No space left"), Mp4Writer(tmp_path / "o.mp4") as writer:
        for index in range(50):
            writer.add(BLACK, index / 25)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_reads_back_short_is_said_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "count_frames", lambda path: 1)
    writer = Mp4Writer(tmp_path / "o.mp4")
    writer.add(BLACK, 0.0)
    writer.add(BLACK, 0.1)
    with pytest.raises(SourceError, match="was to hold 2 frames and reads back 1"):
        writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


def test_names_with_spaces_and_unicode(clip, tmp_path, number_of):
    odd = Path(shutil.copy(clip, tmp_path / "ein Fußgänger 走る.mp4"))
    target = copy(odd, tmp_path / "out put é.mp4").path
    assert numbers(target, number_of) == list(range(12))


def test_rotated_clips_come_out_upright_without_metadata(tmp_path, write_clip):
    clip = write_clip(tmp_path / "turned.mp4", 3, rotation=90)
    target = copy(clip, tmp_path / "out.mp4").path
    with av.open(str(target)) as file:
        assert next(file.decode(video=0)).rotation == 0
    assert cv2.VideoCapture(str(target)).read()[1].shape == (96, 64, 3)


def boxes(path):
    """Returns the kinds of an MP4's outermost boxes, in order."""
    data, start, kinds = path.read_bytes(), 0, []
    while start < len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        kinds.append(kind.decode())
        start += length
    return kinds


def test_the_index_comes_first_so_that_a_file_plays_while_it_loads(clip, tmp_path):
    kinds = boxes(copy(clip, tmp_path / "out.mp4").path)
    assert kinds.index("moov") < kinds.index("mdat") and "moof" not in kinds


def test_fragments_that_cannot_be_copied_are_said_and_kept(
    clip, tmp_path, monkeypatch, number_of, caplog
):
    def fail(recording, target, path):
        target.write(b"something")
        raise ValueError("no room")

    monkeypatch.setattr(recorder, "put_index_first", fail)
    target = copy(clip, tmp_path / "out" / "out.mp4").path
    assert "stays in fragments" in caplog.text and "no room" in caplog.text
    assert numbers(target, number_of) == list(range(12)) and "moof" in boxes(target)
    assert [path.name for path in target.parent.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_starts_at_once_and_runs_evenly(tmp_path, write_clip, codec):
    """It has no timestamps; FFmpeg's guesses for B-frames keep the first frame for too long."""
    clip = write_clip(tmp_path / "clip.avi", 12, codec=codec, clock=Fraction(1, 25), tune=None)
    times, about, _ = facts(copy(clip, tmp_path / "out.mp4").path)
    np.testing.assert_allclose(times, np.arange(12) / 25, atol=1e-3)
    assert about[3] == 25


def test_audio_whose_times_go_back_does_not_end_the_recording(tmp_path, write_clip, caplog):
    part = write_clip(tmp_path / "s.ts", 12, audio_s=0.6, clock=Fraction(1, 90000))
    (tmp_path / "glued.ts").write_bytes(part.read_bytes() * 2)
    writer = copy(tmp_path / "glued.ts", tmp_path / "out.mp4")
    assert writer.num_frames == len(facts(writer.path)[0]) == 24
    assert "damaged packets of audio left out" in caplog.text


def test_a_title_stays(tmp_path, write_clip):
    clip = write_clip(tmp_path / "plain.mp4", 3)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "titled.mp4"), "w") as out:
        out.metadata["title"] = "Zwei Füße"
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(copy(tmp_path / "titled.mp4", tmp_path / "out.mp4").path)) as file:
        assert file.metadata["title"] == "Zwei Füße"


def test_a_real_scene_is_not_much_larger_than_its_source(tmp_path, data_root):
    path = data_root / "video" / "people-walking.mp4"
    with av.open(str(path)) as file:
        sizes = [packet.size for packet in file.demux(video=0)]
    with VideoFile(path) as source, Mp4Writer(tmp_path / "out.mp4", fps=source.fps) as writer:
        frames = list(islice(source, 90))
        for frame in frames:
            writer.add(frame.image, frame.time_s)
    assert writer.path.stat().st_size < 1.5 * sum(sizes[:90])
    with VideoFile(writer.path) as source:
        pairs = zip(source, frames, strict=True)
        errors = [np.square(a.image.astype(np.float32) - b.image).mean() for a, b in pairs]
    assert 10 * np.log10(255**2 / np.mean(errors)) > 33


class Full:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if self.room < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


def add_noise(writer, num_frames=60, hw=(64, 96)):
    rng = np.random.default_rng(0)
    for index in range(num_frames):
        writer.add(rng.integers(0, 256, (*hw, 3), dtype=np.uint8), index / 25)


@pytest.mark.parametrize("room", [0, 30, 30_000, 110_000])
def test_a_disk_that_fills_up_is_one_line_and_what_fits_is_kept(tmp_path, monkeypatch, room):
    def open_full(path, **options):
        return Full(open_exclusive(path, **options), room)

    monkeypatch.setattr(recording_file, "open_exclusive", open_full)
    writer = Mp4Writer(tmp_path / "out.mp4", fps=25)
    with pytest.raises(SourceError, match=r"No space left on device\. Make room") as error, writer:
        add_noise(writer)
    if room < 100_000:  # less than the first second
        assert list(tmp_path.iterdir()) == []
        return
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    with VideoFile(writer.path) as source:
        num_frames = len(list(source))
        assert not source.damage
    assert 20 <= num_frames < 60 and f"The first {num_frames} frames are kept." in str(error.value)


def test_no_write_that_fails_crashes_the_process(tmp_path):
    """FFmpeg's MP4 writer did: each size of file up to 4 kB, and some beyond, in one child."""
    script = """
import resource, sys
from pathlib import Path
import numpy as np
from seg.errors import SourceError
from seg.video.recorder import Mp4Writer
rng, failed = np.random.default_rng(0), 0
for limit in [*range(0, 4000, 97), 20_000, 40_000, 90_000, 200_000]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with Mp4Writer(Path(sys.argv[1]) / f"{limit}.mp4", fps=25) as writer:
            for index in range(70):
                writer.add(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), index / 25)
    except SourceError as error:
        failed += "File too large" in str(error)
print(failed)
"""
    words = [sys.executable, "-c", script, str(tmp_path)]
    child = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == "46\n" and all(".part" not in path.name for path in tmp_path.iterdir())


def test_what_fails_in_the_end_still_closes_everything(clip, tmp_path, monkeypatch):
    def fail(self, *words):
        raise ValueError("broken")

    source = VideoFile(clip)
    with source, (tmp_path / "out.mp4").open("w+b") as file:
        encoder = mp4.Encoder(file, BLACK, 25.0, clip)
        encoder.write(BLACK, 0.0)
        closed, out = [], encoder._out
        monkeypatch.setattr(encoder._tracks, "close", lambda: closed.append("tracks"))
        encoder._out = SimpleNamespace(close=lambda: closed.append("file"))
        monkeypatch.setattr(mp4.Encoder, "_finish", fail)
        with pytest.raises(ValueError, match="broken"):
            encoder.close(is_complete=True)
        out.close()
    assert closed == ["file", "tracks"]


def test_two_runs_cannot_write_one_file(tmp_path):
    with Mp4Writer(tmp_path / "out.mp4") as first:
        first.add(BLACK, 0.0)
        for overwrite in (False, True):
            with pytest.raises(ArtifactError, match=r"Another run is writing .*out\.mp4"):
                Mp4Writer(tmp_path / "out.mp4", overwrite)
    assert mp4.count_frames(first.path) == 1
    with Mp4Writer(tmp_path / "out.mp4", overwrite=True) as second:
        second.add(BLACK, 0.0)


def test_a_file_that_appears_meanwhile_stays_and_the_recording_has_a_name_beside_it(tmp_path):
    target = tmp_path / "out.mp4"
    (tmp_path / "out-2.mp4").write_bytes(b"mine too")
    writer = Mp4Writer(target)
    writer.add(BLACK, 0.0)
    target.write_bytes(b"mine")
    with pytest.raises(ArtifactError, match=r"appeared during the run and .*out-3"):
        writer.close()
    assert target.read_bytes() == b"mine" and mp4.count_frames(tmp_path / "out-3.mp4") == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_a_file_system_without_links_and_locks_will_do(tmp_path, monkeypatch):
    def refuse(*words):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        writer.add(BLACK, 0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_killed_run_leaves_what_plays_and_the_next_one_says_so(tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
import numpy as np
from seg.video.recorder import Mp4Writer
rng, writer = np.random.default_rng(0), Mp4Writer(Path(sys.argv[1]), fps=25)
for index in range(250):
    writer.add(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), index / 25)
while writer.num_frames < 240:
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    target, part = tmp_path / "out.mp4", tmp_path / "out.part.mp4"
    child = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert child.returncode == -signal.SIGKILL and list(tmp_path.iterdir()) == [part]
    with VideoFile(part) as source:
        assert len(list(source)) >= 200  # of 10 s all but the last two
    with pytest.raises(ArtifactError, match=r"out\.part\.mp4 is the recording of a run that was"):
        Mp4Writer(target)
    assert mp4.count_frames(part) >= 200
    with Mp4Writer(target, overwrite=True) as writer:
        writer.add(BLACK, 0.0)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8_will_do(clip, tmp_path, number_of):
    odd = Path(shutil.copy(clip, tmp_path / os.fsdecode(b"caf\xe9.mp4")))
    target = copy(odd, tmp_path / os.fsdecode(b"out \xff.mp4")).path
    plain = Path(shutil.copy(target, tmp_path / "plain.mp4"))
    assert numbers(plain, number_of) == list(range(12))
