"""What enters a network: RGB, less ImageNet's mean, by its standard deviation."""

import numpy as np
import pytest
import torch

from seg import Segmenter
from seg.models.base import Normalize
from seg.runtimes.fake import FakeRuntime
from seg.spec import IMAGENET_MEAN, IMAGENET_STD


def test_the_mean_and_deviation_are_torchvisions_in_rgb_order() -> None:
    # https://docs.pytorch.org/vision/stable/models.html, "normalized using".
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


def test_the_mean_is_subtracted_and_the_deviation_divides() -> None:
    images = torch.tensor([0.6, 0.7, 0.8]).view(1, 3, 1, 1)
    out = Normalize((0.1, 0.2, 0.3), (0.5, 0.25, 0.125))(images)
    assert out.flatten().tolist() == pytest.approx([1.0, 2.0, 4.0])


def test_a_bgr_image_of_the_mean_color_enters_the_network_as_zero() -> None:
    seen = []

    def network(images: np.ndarray) -> np.ndarray:
        normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
        seen.append(normalize(torch.from_numpy(images)))
        return np.zeros((len(images), 2, 4, 4), np.float32)

    blue, green, red = (round(255 * part) for part in reversed(IMAGENET_MEAN))
    Segmenter(FakeRuntime(network))(np.full((64, 64, 3), (blue, green, red), np.uint8))
    assert float(seen[0].abs().max()) < 0.5 / 255 / min(IMAGENET_STD)
