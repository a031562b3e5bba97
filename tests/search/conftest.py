"""Images whose vectors are their own small copies: no network is needed to search them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.search.image_index import ImageIndex, VectorSource

SOURCE = VectorSource(
    arch="thumbnail",
    weights_id="0123456789abcdef" * 4,
    layers="11",
    pooling="cls",
    fit="letterbox",
    input_hw=(8, 8),
    dimension=192,
)


def embed(images: Sequence[np.ndarray]) -> np.ndarray:
    """Returns each image's colors at 8 x 8, centered, as a vector of length 1."""
    small = [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA) for image in images]
    vectors = np.stack([one.astype(np.float32).reshape(-1) for one in small])
    vectors -= vectors.mean(1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def noise_image(seed: int, hw: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Returns smooth noise: an image like no other."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 12 images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:02}.png"), noise_image(number))
    return folder


@pytest.fixture
def index() -> ImageIndex:
    """An empty index."""
    return ImageIndex(SOURCE, "thumbnail.onnx")
