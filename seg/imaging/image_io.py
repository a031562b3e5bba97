"""Still pictures: reading a file, and a few photos that installed packages carry."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from seg.errors import EngineMissing
from seg.results import UInt8

# Something real to show and to compare on, offline, that may be published.
PHOTOS = {
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),  # US Navy, public domain
    "astronaut": ("skimage", "data/astronaut.png"),  # NASA, public domain
    "coffee": ("skimage", "data/coffee.png"),  # Rachel Michetti, CC0
    "rocket": ("skimage", "data/rocket.jpg"),  # SpaceX, CC0
}


def read_picture(path: Path) -> UInt8 | None:
    """Reads a picture, turned upright as its EXIF orientation says.

    Grey is spread over three channels, 16 bits are scaled down to 8, transparency is ignored.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array; None where the file is no picture, or is cut off.

    Raises:
        OSError: The file cannot be opened.
    """
    # Not imread: it fills up a JPEG that was cut off, and needs ASCII paths on Windows.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def photo(name: str) -> UInt8:
    """Returns one of `PHOTOS`, uint8 `(H, W, 3)` BGR; hopper and astronaut show a person.

    Raises:
        EngineMissing: The package that carries it is not installed.
    """
    package, inside = PHOTOS[name]
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / inside if found and found.origin else None
    image = read_picture(path) if path and path.is_file() else None
    if image is None:
        pip = {"skimage": "scikit-image"}.get(package, package)
        raise EngineMissing(f"The photo '{name}' comes with {pip}: pip install {pip}")
    return image
