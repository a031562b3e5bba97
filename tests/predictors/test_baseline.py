"""The shipped model draws the masks that the first release's code draws, on every engine."""

import numpy as np
import pytest

from seg import Segmenter
from seg.imaging.image_io import photo
from tests.conftest import ROOT

ENGINES = {"onnxruntime": None, "openvino": "float32"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["hopper", "astronaut", "coffee"])
def test_masks_are_those_of_before(golden, engine, name):
    """Labels, not hashes: other versions of an engine or other processors round differently.

    Where the values were computed, both engines gave them to the bit.
    """
    image = photo(name)
    model, precision = ROOT / "weights" / "person-lite.onnx", ENGINES[engine]
    with Segmenter(model, "cpu", runtime=engine, precision=precision) as segmenter:
        labels = segmenter(image).labels
    with np.load(golden / "person_lite_masks.npz") as before:
        expected = np.unpackbits(before[name], axis=1, count=image.shape[1])
    assert labels.shape == expected.shape
    assert (labels == expected).mean() >= 0.9999
