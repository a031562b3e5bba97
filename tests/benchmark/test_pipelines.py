"""Clips that are damaged are nothing to measure on."""

import numpy as np
import pytest

from seg.benchmark.pipelines import TimedPipeline
from seg.benchmark.soak import LoopedVideo
from seg.errors import SourceError
from seg.video.recorder import Mp4Writer


class Reading(TimedPipeline):
    """A pipeline that only reads."""

    def run(self, frame, watch):
        pass


@pytest.fixture
def clip(tmp_path):
    """Twelve frames of noise, whose packets fill the file."""
    rng = np.random.default_rng(0)
    with Mp4Writer(tmp_path / "clip.mp4") as writer:
        for index in range(12):
            writer.add(rng.integers(0, 255, (64, 96, 3), np.uint8), index / 25)
        writer.end_of_stream()
    return tmp_path / "clip.mp4"


def damage(clip):
    """Zeroes a quarter of a file from its middle on."""
    data = bytearray(clip.read_bytes())
    half = len(data) // 2
    data[half : half + len(data) // 4] = bytes(len(data) // 4)
    clip.write_bytes(data)


def test_a_damaged_clip_is_not_timed(clip):
    pipeline = Reading("reading", clip)
    assert len(list(pipeline.frames())) == 12
    damage(clip)
    with pytest.raises(SourceError, match="cut or damaged"):
        list(pipeline.frames())
    pipeline.close()


def test_a_damaged_clip_is_not_repeated(clip):
    with LoopedVideo(clip, 30) as source:
        assert [frame.index for frame in source] == list(range(30))
    damage(clip)
    with LoopedVideo(clip, 30) as source, pytest.raises(SourceError, match="cut or damaged"):
        list(source)
