"""Small folders of images, written with Pillow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Returns a function that writes an image of one color, or given pixels, below tmp_path."""

    def _write(name: str, pixels: object = 0, wh: tuple[int, int] = (8, 6)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(pixels, tuple):
            Image.new("RGB", wh, pixels).save(path)
        elif isinstance(pixels, int):
            Image.new("L", wh, pixels).save(path)
        else:
            Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
        return path

    return _write
