"""Cut-outs: inside the image itself, outside the background, and only edges between them."""

import numpy as np

from seg.imaging.cutout import blurred, cut_out, of_color, of_image, replace_background
from seg.results import Mask

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
LABELS = np.zeros((40, 60), np.uint8)
LABELS[10:30, 20:40] = 1
MASK = Mask(LABELS, ("background", "person"))
DEEP, FAR = np.zeros((2, 40, 60), bool)
DEEP[12:28, 22:38] = True
FAR[:] = True
FAR[8:32, 18:42] = False


def test_alpha_is_whole_inside_nothing_outside_and_fades_between():
    pixels = cut_out(IMAGE, MASK)
    np.testing.assert_array_equal(pixels[..., :3], IMAGE)
    alpha = pixels[..., 3]
    assert (alpha[DEEP] == 255).all() and (alpha[FAR] == 0).all()
    middle = alpha[20, 17:23].astype(int)
    assert (np.diff(middle) >= 0).all() and abs(middle[2] + middle[3] - 255) <= 1


def test_another_background_is_behind_and_what_is_in_front_stays():
    made = replace_background(IMAGE, MASK, of_color((255, 0, 10)))
    np.testing.assert_array_equal(made[DEEP], IMAGE[DEEP])
    assert (made[FAR] == (255, 0, 10)).all()


def test_a_background_image_covers_and_keeps_its_shape():
    behind = np.zeros((100, 100, 3), np.uint8)
    behind[:, 50:] = 200
    made = of_image(behind)(IMAGE)
    assert made.shape == IMAGE.shape
    assert (made[:, :29] == 0).all() and (made[:, 31:] == 200).all()


def test_blur_keeps_the_mean_and_takes_the_detail():
    soft = blurred(IMAGE)
    assert soft.shape == IMAGE.shape and soft.std() < 0.3 * IMAGE.std()
    assert abs(soft.mean() - IMAGE.mean()) < 3
