import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, SourceError
from seg.video import mp4, recorder
from seg.video.base import Processed
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile


def copy(source_path, target, finish=True, keep=None):
    """Writes a clip's frames as they are; returns the writer."""
    source = VideoFile(source_path)
    with source, Mp4Writer(target, source=source.path, fps=source.fps) as writer:
        for frame in list(source)[:keep]:
            writer.write(frame, Processed(frame.image, {}))
        if finish:
            writer.end_of_stream()
    return writer


def facts(path):
    """Returns timestamps in seconds, the average rate, the sound's packets and the format."""
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        codec = video.codec_context
        about = (codec.name, codec.pix_fmt, codec.colorspace, float(video.average_rate))
        times = [float(p.pts * p.time_base) for p in file.demux(video) if p.size]
    with av.open(str(path)) as file:
        sound = [
            (round(float(p.pts * p.time_base), 4), bytes(p)) for p in file.demux(audio=0) if p.size
        ] if file.streams.audio else []  # fmt: skip
    return times, about, sound


def numbers(path, number_of):
    with VideoFile(path) as source:
        return [number_of(frame.image) for frame in source]


def test_frames_timestamps_and_rate_are_the_sources(clip, tmp_path, number_of):
    writer = copy(clip, tmp_path / "out.mp4")
    assert writer.num_frames == 12 and numbers(writer.path, number_of) == list(range(12))
    times, about, sound = facts(writer.path)
    np.testing.assert_allclose(times, np.arange(12) / 25)
    assert about == ("h264", "yuv420p", 1, 25.0) and sound == []


def test_ntsc_rate_stays_exact(tmp_path, write_clip):
    rate, clock = Fraction(30000, 1001), Fraction(1, 30000)
    clip = write_clip(tmp_path / "ntsc.mp4", rate=rate, clock=clock)
    with av.open(str(copy(clip, tmp_path / "out.mp4").path)) as file:
        assert file.streams.video[0].average_rate == rate


def test_a_variable_rate_stays_one_and_the_last_picture_stays_as_long(tmp_path, write_clip):
    times = [0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.04]
    clip = write_clip(tmp_path / "vfr.mp4", 7, times=[Fraction(str(t)) for t in times])
    (before, about, _), (after, again, _) = facts(clip), facts(copy(clip, tmp_path / "o.mp4").path)
    np.testing.assert_allclose(after, times)
    assert before == after and about[3] == again[3]


def test_colours_come_back(tmp_path):
    colours = [(30, 30, 220), (40, 200, 40), (220, 60, 20), (128, 128, 128)]
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        for index, colour in enumerate(colours):
            writer.add(np.full((64, 64, 3), colour, np.uint8), index / 25)
        writer.end_of_stream()
    with VideoFile(writer.path) as source:
        for frame, colour in zip(source, colours, strict=True):
            assert np.abs(frame.image.mean((0, 1)) - colour).max() < 6


@pytest.mark.parametrize("hw", [(1, 1), (5, 7), (64, 97), (63, 96)])
def test_odd_sides_repeat_the_last_line_and_say_so(tmp_path, hw, caplog):
    image = np.full((*hw, 3), 90, np.uint8)
    image[:, -1] = image[-1] = 230
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        writer.add(image, 0.0)
        writer.end_of_stream()
    assert "the last column or row is there twice" in caplog.text
    with VideoFile(writer.path) as source:
        (frame,) = source
    assert frame.image.shape[:2] == (hw[0] + hw[0] % 2, hw[1] + hw[1] % 2)
    expected = np.pad(image, ((0, hw[0] % 2), (0, hw[1] % 2), (0, 0)), mode="edge")
    assert np.abs(frame.image.astype(int) - expected).mean() < 6


def test_a_picture_of_another_size_is_fitted_into_the_first_ones(tmp_path):
    with Mp4Writer(tmp_path / "out.mp4") as writer:
        writer.add(np.full((64, 96, 3), 200, np.uint8), 0.0)
        writer.add(np.full((32, 32, 3), 200, np.uint8), 0.04)
        writer.end_of_stream()
    with VideoFile(writer.path) as source:
        second = list(source)[1].image
    assert second.shape == (64, 96, 3)
    assert abs(second[:60, :60].mean() - 200) < 6 and second[:, 70:].mean() < 6


def test_sound_is_copied_packet_for_packet(tmp_path, write_clip):
    clip = write_clip(tmp_path / "s.mp4", 12, sound_s=0.6)
    target = copy(clip, tmp_path / "out.mp4").path
    assert len(facts(clip)[2]) > 4 and facts(clip)[2] == facts(target)[2]


def test_sound_and_pictures_stay_together_where_pictures_start_late(tmp_path, write_clip):
    clip = write_clip(tmp_path / "late.mp4", 5, sound_s=1.0, first_s=0.4)
    (before, _, heard), (after, _, again) = facts(clip), facts(copy(clip, tmp_path / "o.mp4").path)
    np.testing.assert_allclose(before, np.arange(5) / 25 + 0.4)
    np.testing.assert_allclose(after, before)
    assert heard == again


def test_a_transport_stream_with_sound_becomes_a_file_from_zero(tmp_path, write_clip, number_of):
    clip = write_clip(tmp_path / "s.ts", 12, sound_s=0.6, clock=Fraction(1, 90000))
    target = copy(clip, tmp_path / "out.mp4").path
    times, _, sound = facts(target)
    assert numbers(target, number_of) == list(range(12)) and len(sound) > 3
    assert abs(times[0]) < 0.2 and abs(np.diff(times).mean() - 0.04) < 1e-3


def test_sound_that_mp4_cannot_hold_is_named(tmp_path, write_clip, caplog):
    clip = write_clip(tmp_path / "s.mp4", 5, sound_s=0.3)

    class Picky:
        supported_codecs = frozenset({"h264"})

    origin = mp4.Origin(clip)
    origin.add_sound_to(Picky())
    origin.copy_until(9.0)
    origin.close()
    assert "sound left out: MP4 cannot hold aac" in caplog.text


def test_what_was_written_before_a_stop_is_a_file_and_says_so(tmp_path, write_clip, caplog):
    clip = write_clip(tmp_path / "s.mp4", 25, sound_s=1.0)
    target = copy(clip, tmp_path / "out.mp4", finish=False, keep=10).path
    assert "out.mp4 holds the 10 frames until here" in caplog.text
    times, about, sound = facts(target)
    assert len(times) == 10 and about[3] == 25
    assert 0.2 < sound[-1][0] < 0.4


def test_nothing_written_is_no_file(tmp_path):
    with Mp4Writer(tmp_path / "out.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_free_until_the_file_is_finished(clip, tmp_path):
    target = tmp_path / "new" / "out.mp4"
    with Mp4Writer(target) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0.0)
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["out.mp4"]


def test_an_existing_file_is_refused_and_kept(tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"mine")
    with pytest.raises(ArtifactError, match="--overwrite"):
        Mp4Writer(target)
    assert target.read_bytes() == b"mine" and len(list(tmp_path.iterdir())) == 1
    with Mp4Writer(target, overwrite=True) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), 0.0)
    assert mp4.count_frames(target) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="Cannot write"):
        Mp4Writer(tmp_path / "file" / "out.mp4")


def test_another_format_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"ends in \.mp4"):
        Mp4Writer(tmp_path / "out.avi")


def test_a_failing_encoder_is_an_error_and_leaves_no_file(tmp_path, monkeypatch):
    def fail(self, picture, time_s):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder.Encoder, "write", fail)
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(SourceError, match="No space left"), Mp4Writer(tmp_path / "o.mp4") as writer:
        for index in range(50):
            writer.add(picture, index / 25)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_reads_back_short_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "count_frames", lambda path: 1)
    writer = Mp4Writer(tmp_path / "o.mp4")
    writer.add(np.zeros((8, 8, 3), np.uint8), 0.0)
    writer.add(np.zeros((8, 8, 3), np.uint8), 0.1)
    with pytest.raises(SourceError, match="was to hold 2 frames and holds 1"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


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
