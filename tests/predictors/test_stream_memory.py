"""What remembers a stream remembers a bounded part of it."""

import tracemalloc

import numpy as np
import pytest

from seg import Segmenter
from seg.predictors.keyframes import KeyframeSegmenter
from seg.predictors.smoothing import METHODS, SteadySegmenter
from seg.runtimes.fake import FakeRuntime
from seg.video.base import Frame


@pytest.mark.parametrize("kind", [*METHODS, "keyframes"])
def test_memory_does_not_grow_with_the_frames(kind):
    scores = np.random.default_rng(0).normal(size=(1, 2, 16, 16)).astype(np.float32)
    segmenter = Segmenter(FakeRuntime(lambda images: scores))
    one = KeyframeSegmenter(segmenter, 0.2) if kind == "keyframes" else None
    stream = one or SteadySegmenter(segmenter, kind)
    image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    used = []
    tracemalloc.start()
    try:
        for index in range(600):
            stream.predict_frame(Frame(image.copy(), index, index / 25))
            if index in (100, 599):
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # A frame is 12 KB and its scores 2 KB: one kept in ten would be 0.7 MB.
    assert used[1] - used[0] < 100_000
