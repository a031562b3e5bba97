import pytest

from seg.errors import ShapeError
from seg.imaging.palette import Palette

RED, GREEN = (0, 0, 255), (0, 255, 0)


def test_many_classes_have_colors_that_differ_and_stay():
    colors = [Palette()[label] for label in range(1, 31)]
    assert len(set(colors)) == 30
    assert colors == [Palette()[label] for label in range(1, 31)]


def test_given_colors_come_first():
    palette = Palette([RED, GREEN])
    assert (palette[1], palette[2]) == (RED, GREEN)
    assert palette[3] == Palette()[3]


@pytest.mark.parametrize("color", [(0, 0), (0, 0, 256), (-1, 0, 0)])
def test_a_color_that_is_none_is_refused(color):
    with pytest.raises(ShapeError, match="A color is three numbers"):
        Palette([color])
