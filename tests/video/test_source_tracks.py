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
