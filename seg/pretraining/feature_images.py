"""Feature images: the patches of a few fixed images in the colors of their principal components."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seg.errors import DataError
from seg.features.pca import PcaView
from seg.files.atomic import atomic_write
from seg.imaging.contact_sheet import tile
from seg.imaging.image_io import read_image
from seg.predictors.embedder import Embedder
from seg.results import UInt8

COUNT, SIDE = 4, 224


def fixed_images(paths: Sequence[Path]) -> list[UInt8]:
    """Reads images from all over a list, the same ones each time; damaged ones are left out."""
    found = []
    for index in np.linspace(0, len(paths) - 1, COUNT).astype(int):
        try:
            found.append(read_image(paths[index]))
        except DataError:
            continue
    return found


def draw_features(embedder: Embedder, images: Sequence[UInt8], path: Path) -> None:
    """Writes images, and below them their patches in the colors of one basis for all.

    Args:
        embedder: Its features are drawn.
        images: At least one.
        path: A PNG.
    """
    grids = [features.patches for features in embedder.predict(images)]
    view = PcaView.fit(grids, is_whole=True)
    above = [tile(image, SIDE) for image in images]
    size = (SIDE, SIDE)
    below = [cv2.resize(view.colors(g), size, interpolation=cv2.INTER_NEAREST) for g in grids]
    sheet = np.vstack([np.hstack(above), np.hstack(below)])
    with atomic_write(path) as part:
        part.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
