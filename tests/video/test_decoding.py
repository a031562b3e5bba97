"""The decoder on containers that fail while they are read."""

from types import SimpleNamespace

import av

from seg.video.decoding import Decoder


def test_a_container_that_fails_midway_gives_the_frames_before_and_is_cut(
    tmp_path, write_clip, number_of
):
    decoder = Decoder(str(write_clip(tmp_path / "clip.mkv")), num_threads=1)
    whole = decoder._file

    def demux():
        for index, packet in enumerate(whole.demux()):
            if index == 5:
                raise av.InvalidDataError(1, "Invalid data found when processing input")
            yield packet

    decoder._file = SimpleNamespace(demux=demux, close=whole.close)
    found = [number_of(decoded.frame.to_ndarray(format="bgr24")) for decoded in decoder]
    decoder.close()
    assert found == [0, 1, 2, 3, 4] and decoder.damage.is_cut


def test_frames_that_a_codec_holds_back_come_at_the_end(tmp_path, write_clip, number_of):
    """With B-frames and lookahead a decoder is several frames behind the last packet."""
    decoder = Decoder(str(write_clip(tmp_path / "clip.mp4", tune=None)))
    found = [number_of(decoded.frame.to_ndarray(format="bgr24")) for decoded in decoder]
    decoder.close()
    assert found == list(range(12)) and not decoder.damage
