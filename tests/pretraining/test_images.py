"""The order of the images, their views, and what is refused."""

import numpy as np
import pytest

from seg.data.augment_multicrop import MultiCrop
from seg.errors import DataError
from seg.imaging.image_io import read_image
from seg.pretraining.images import Order, ViewLoader, open_images
from seg.pretraining.transform_args import read_transform_args

STILL = {"color_jitter": None, "random_gray_scale": None, "random_flip": None}
STILL |= {"global_view_0": {"gaussian_blur": None}, "global_view_1": {"gaussian_blur": None}}


def test_each_epoch_has_every_image_once_in_another_order():
    order = Order(10, seed=3)
    epochs = [[order[epoch * 10 + i] for i in range(10)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]
    assert [Order(10, seed=3)[i] for i in range(10)] == epochs[0]


def test_views_have_their_sizes_and_depend_on_the_seed_alone():
    crops = MultiCrop(read_transform_args({"image_size": [56, 70]}, 14))
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    large, small = crops.views(image, 5)
    assert [v.shape for v in large] == [(56, 70, 3)] * 2
    assert [v.shape for v in small] == [(98, 98, 3)] * 8
    again = crops.views(image, 5)
    pairs = zip(large + small, again[0] + again[1], strict=True)
    assert all((a == b).all() for a, b in pairs)
    assert not (crops.views(image, 6)[0][0] == large[0]).all()


def test_local_views_cover_less_than_global_ones():
    """On a ramp the range of a view's values is the share of the width that it covers."""
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 3))
    crops = MultiCrop(read_transform_args(STILL | {"local_view": {"gaussian_blur": None}}, 14))
    large, small = crops.views(ramp, 0)
    assert max(np.ptp(v) for v in small) < 256 * (0.32 * 4 / 3) ** 0.5 + 4
    assert min(np.ptp(v) for v in large) > 256 * (0.32 * 3 / 4) ** 0.5 - 8


def test_only_the_second_global_view_is_solarized():
    values = STILL | {"local_view": None}
    values["global_view_1"] = {"gaussian_blur": None, "solarize": {"prob": 1.0, "threshold": 0.5}}
    white = np.full((60, 60, 3), 255, np.uint8)
    large, _ = MultiCrop(read_transform_args(values, 14)).views(white, 0)
    assert large[0].min() == 255 and large[1].max() == 0


def test_channels_are_dropped_by_their_weight():
    """Weights are those of red, green and blue; images are BGR."""
    drop = {"num_channels_keep": 2, "weight_drop": [1.0, 0.0, 0.0]}
    crops = MultiCrop(read_transform_args(STILL | {"channel_drop": drop, "local_view": None}, 14))
    view = crops.views(np.full((60, 60, 3), 200, np.uint8), 0)[0][0]
    assert view[..., 2].max() == 0 and view[..., :2].min() == 200


def test_a_list_names_images_beside_itself(noise, tmp_path):
    (tmp_path / "some.txt").write_text(f"{noise}/1.png\n\nhere.png\n")
    found = open_images([str(tmp_path / "some.txt")])
    assert found == [noise / "1.png", tmp_path / "here.png"]


def test_a_batch_of_views_is_rgb_and_ordered_by_view(noise):
    args = read_transform_args({"image_size": [28, 28], "local_view": {"num_views": 3}}, 14)
    loader = ViewLoader(open_images([str(noise)]), args, 4, 2, seed=0)
    batches = list(loader.batches(0, 3))
    assert len(batches) == 6
    assert batches[0].global_views.shape == (4, 3, 28, 28)
    assert batches[0].local_views.shape == (6, 3, 98, 98)
    assert 0 <= batches[0].global_views.min() <= batches[0].global_views.max() <= 1
    later = next(loader.batches(2, 3))
    assert (later.global_views == batches[4].global_views).all()
    first = read_image(noise / batches[0].files[0].split("/")[-1])
    crops = MultiCrop(args)
    assert first is not None and crops.num_local == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["missing"], "--data missing does not exist; expected a folder or a .txt list"),
        (["{noise}/1.png"], "is a file; expected a folder"),
        (["{noise},only=*.gif"], "holds no images"),
    ],
)
def test_bad_data_is_refused(noise, texts, message):
    with pytest.raises(DataError) as caught:
        open_images([text.format(noise=noise) for text in texts])
    assert message in str(caught.value)
