import numpy as np
import pytest

from seg.benchmark.pipelines import TimedPipeline
from seg.errors import SourceError
from seg.video.recorder import Mp4Writer


class Reading(TimedPipeline):
    """A pipeline that only reads."""

    def run(self, frame, watch):
        pass


def test_a_damaged_clip_is_no_clip_to_measure_on(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(12)]
    with Mp4Writer(tmp_path / "clip.mp4") as writer:
        for index, image in enumerate(images):
            writer.add(image, index / 25)
        writer.end_of_stream()
    pipeline = Reading("reading", tmp_path / "clip.mp4")
    assert len(list(pipeline.frames())) == len(images)
    data = bytearray((tmp_path / "clip.mp4").read_bytes())
    half = len(data) // 2
    data[half : half + len(data) // 4] = bytes(len(data) // 4)
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(SourceError, match="cut or damaged"):
        list(pipeline.frames())
    pipeline.close()
