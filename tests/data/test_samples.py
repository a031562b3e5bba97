"""What a sample loads: sizes, orientation, tables."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.data.samples import UNKNOWN, Sample, binary_table, fits, instance_table, label_table
from seg.errors import DataError

Write = Callable[..., Path]
ORIENTATION = 274


def test_tables_say_what_each_value_stands_for() -> None:
    three = label_table(3)
    assert (list(three[:4]), three[254], three[255]) == ([0, 1, 2, UNKNOWN], UNKNOWN, 255)
    two = binary_table()
    assert (two[0], two[1], two[254], two[255]) == (0, UNKNOWN, UNKNOWN, 1)
    people = instance_table(4)
    assert people[0] == 0 and set(people[1:]) == {4}
    assert {len(table) for table in (three, two, people)} == {256}


def test_images_are_bgr_whatever_their_file_holds(tmp_path: Path) -> None:
    orange = (255, 128, 0)
    Image.new("RGB", (3, 2), orange).save(tmp_path / "rgb.png")
    Image.new("RGBA", (3, 2), (*orange, 7)).save(tmp_path / "rgba.png")
    Image.new("RGB", (3, 2), orange).quantize(4).save(tmp_path / "palette.png")
    for path in tmp_path.iterdir():
        image, labels = Sample(path).load()
        assert image.dtype == labels.dtype == np.uint8
        assert image.shape == (2, 3, 3) and (image == (0, 128, 255)).all(), path.name
    Image.new("L", (3, 2), 77).save(tmp_path / "gray.png")
    assert (Sample(tmp_path / "gray.png").load()[0] == 77).all()


def test_small_masks_are_resized_by_the_nearest_pixel(write: Write) -> None:
    image = write("a.png", (1, 2, 3), (6, 4))
    mask = write("m.png", [[0, 1, 2], [255, 0, 1]])
    labels = Sample(image, mask, label_table(3)).load()[1]
    assert labels.tolist() == [
        [0, 0, 1, 1, 2, 2],
        [0, 0, 1, 1, 2, 2],
        [255, 255, 0, 0, 1, 1],
        [255, 255, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ("mask_wh", "image_wh", "same"),
    [
        ((551, 454), (1280, 1055), True),
        ((547, 457), (1079, 900), True),  # rounded up: 547 wide is 456.3 high
        ((612, 408), (1500, 1001), True),
        ((1280, 1055), (551, 454), True),
        ((640, 480), (640, 480), True),
        ((480, 640), (640, 480), False),
        ((640, 480), (640, 483), False),
        ((320, 240), (640, 470), False),
        ((100, 100), (640, 480), False),
    ],
)
def test_masks_fit_with_the_same_aspect_within_rounding(
    mask_wh: tuple[int, int], image_wh: tuple[int, int], same: bool
) -> None:
    assert fits(mask_wh[::-1], image_wh[::-1]) is same


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_images_are_turned_upright_and_masks_belong_to_that(
    tmp_path: Path, write: Write, suffix: str
) -> None:
    """A phone held upright: stored 60x40 with orientation 6, seen 40x60, left half white."""
    upright = np.zeros((60, 40, 3), np.uint8)
    upright[:, :20] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = Image.fromarray(np.rot90(upright).copy())
    assert stored.size == (60, 40)
    stored.save(tmp_path / f"photo{suffix}", exif=exif)
    mask = (upright[..., 0] > 0).astype(np.uint8)
    good = Sample(tmp_path / f"photo{suffix}", write("good.png", mask), label_table(2))
    image, labels = good.load()
    assert image.shape == (60, 40, 3)
    assert (image[:, 4:16] > 250).all() and (image[:, 24:36] < 5).all()
    assert np.array_equal(labels, mask)
    turned = Sample(good.image, write("turned.png", np.rot90(mask)), label_table(2))
    with pytest.raises(DataError, match="size 60x40, its image is 40x60; masks belong to the"):
        turned.load()
    # A mask may carry the same orientation as its image.
    Image.fromarray(np.rot90(mask).copy()).save(tmp_path / "both.png", exif=exif)
    assert np.array_equal(Sample(good.image, tmp_path / "both.png", label_table(2)).load()[1], mask)


def test_samples_are_values(tmp_path: Path) -> None:
    one = Sample(tmp_path / "a.b.jpg", tmp_path / "m.png", binary_table())
    assert one.name == "a.b"
    assert pickle.loads(pickle.dumps(one)) == one
    assert len({one, Sample(tmp_path / "a.b.jpg", tmp_path / "m.png", binary_table())}) == 1


def test_loading_never_hands_out_the_same_array(write: Write) -> None:
    sample = Sample(write("a.png", (1, 2, 3)), write("m.png", 1), label_table(2))
    sample.load()[1][:] = 9
    sample.load()[0][:] = 9
    image, labels = sample.load()
    assert (image == (3, 2, 1)).all() and (labels == 1).all()
