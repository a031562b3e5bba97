import av

from seg.video.source_tracks import SourceTracks


class Picky:
    """A container that holds H.264 alone."""

    supported_codecs = frozenset({"h264"})

    def __init__(self):
        self.metadata = {}


def test_audio_that_mp4_cannot_hold_is_named(tmp_path, write_clip, caplog):
    tracks = SourceTracks(write_clip(tmp_path / "s.mp4", 5, audio_s=0.3))
    tracks.add_to(Picky())
    tracks.copy_until(9.0)
    tracks.close()
    assert "audio left out: MP4 cannot hold aac" in caplog.text


def test_subtitles_that_are_left_out_are_named(tmp_path, write_clip, caplog):
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n\n", "utf-8")
    paths = write_clip(tmp_path / "a.mp4", 5), tmp_path / "a.srt"
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        files = [av.open(str(path)) for path in paths]
        streams = [out.add_stream_from_template(file.streams[0]) for file in files]
        for file, stream in zip(files, streams, strict=True):
            for packet in file.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
            file.close()
    tracks = SourceTracks(tmp_path / "a.mkv")
    tracks.add_to(Picky())
    tracks.close()
    assert "subtitles left out" in caplog.text
