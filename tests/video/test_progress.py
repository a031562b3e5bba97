import numpy as np

from seg.video import progress
from seg.video.base import Frame, Processed, Source
from seg.video.progress import Progress

IMAGE = np.zeros((2, 2, 3), np.uint8)


class Three(Source):
    unit, num_frames = "image", 3

    def __iter__(self):
        yield from ()


def test_each_frame_is_a_step_of_what_the_source_says_it_has(monkeypatch):
    steps = []

    def track(items, doing, total):
        assert (doing, total) == ("images", 3)
        try:
            for item in items:
                steps.append(item)
                yield item
        finally:
            steps.append("closed")

    monkeypatch.setattr(progress, "track", track)
    with Progress(Three()) as sink:
        for index in range(5):  # the number is only a hint
            sink.write(Frame(IMAGE, index, 0.0), Processed(IMAGE, {}))
    assert steps == [0, 1, 2, 3, 4, "closed"]
