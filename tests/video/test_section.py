import numpy as np
import pytest

from seg import SourceError
from seg.video.base import Frame, Source
from seg.video.section import Section


class Ticks(Source):
    fps, num_frames = 10.0, 50

    def __iter__(self):
        for index in range(50):
            yield Frame(np.zeros((2, 2, 3), np.uint8), index, index / 10)


def taken(*words):
    section = Section(Ticks(), *words)
    return [frame.index for frame in section], section


def test_start_is_in_end_is_out_and_stride_counts_from_the_start():
    assert taken(1.0, 2.0)[0] == list(range(10, 20))
    found, section = taken(0.55, 3.0, 5)
    assert found == [6, 11, 16, 21, 26]
    assert abs(section.num_frames - len(found)) <= 1 and section.fps == 2
    assert taken(4.5)[0] == [45, 46, 47, 48, 49]


def test_a_start_behind_the_end_is_said():
    found, section = taken(9.0)
    assert found == [] and "shorter" in section.damage
    with pytest.raises(SourceError, match="--end 1 must be after --start 2"):
        Section(Ticks(), 2.0, 1.0)
