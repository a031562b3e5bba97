"""Embedder: features know where they are in the frame, and padding is not among them."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from seg.errors import EngineFailure, ShapeError, SpecMismatch
from seg.predictors.embedder import Embedder
from seg.predictors.open import open_predictor
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.spec import Output, embedding_outputs

SPEC = dataclasses.replace(
    DEFAULT, outputs=embedding_outputs(is_mean=True), input_hw=(64, 64), stride=16
)


def mean_colors(images):
    """A network whose features are the mean color of each 16x16 cell, RGB 0..1."""
    b, c, h, w = images.shape
    cells = images.reshape(b, c, h // 16, 16, w // 16, 16).mean((3, 5), dtype=np.float64)
    patches = cells.astype(np.float32)
    return {"cls": patches.mean((2, 3)), "patches": patches}


def embedder(spec=SPEC, function=mean_colors, **options):
    return Embedder(FakeRuntime(function, spec), **options)


def ramp(hw):
    """Green grows with the row and red with the column."""
    rows, columns = np.indices(hw)
    blue = np.zeros(hw)
    return np.stack([blue, 255 * rows / hw[0], 255 * columns / hw[1]], 2).astype(np.uint8)


@pytest.mark.parametrize("hw", [(128, 128), (90, 120), (300, 77), (200, 500)])
@pytest.mark.parametrize("fit", ["letterbox", "center_crop"])
def test_each_patch_is_where_it_says(hw, fit):
    image = ramp(hw)
    features = embedder(fit=fit)(image)
    assert features.frame_hw == hw
    rows, columns = features.whole_hw
    assert rows > 0 and columns > 0
    for row in range(rows):
        for column in range(columns):
            y = features.origin[0] + (row + 0.5) * features.patch_hw[0]
            x = features.origin[1] + (column + 0.5) * features.patch_hw[1]
            assert features.patch_at(y, x) == (row, column)
            red, green, _ = features.patches[row, column]
            assert green == pytest.approx(y / hw[0], abs=0.03)
            assert red == pytest.approx(x / hw[1], abs=0.03)


def test_padding_is_in_no_mean():
    image = np.full((40, 64, 3), 255, np.uint8)  # 40 rows of 16: two and a half
    features = embedder()(image)
    assert features.patches.shape == (3, 4, 3) and features.whole_hw == (2, 4)
    np.testing.assert_allclose(features.cls, 1, atol=1e-6)
    np.testing.assert_allclose(features.patches[:2], 1, atol=1e-6)
    assert features.patches[2].max() < 0.9  # the row that is half padding
    np.testing.assert_allclose(features.vector("mean"), 3**-0.5, atol=1e-6)


def test_patches_of_a_fixed_canvas_that_show_padding_alone_are_cut_off():
    fixed = dataclasses.replace(SPEC, canvas_hw=(128, 128), batch=1)
    features = embedder(fixed)(np.full((32, 64, 3), 255, np.uint8))
    assert features.patches.shape == (2, 4, 3)
    np.testing.assert_allclose(features.cls, 1, atol=1e-6)


def test_a_class_token_is_the_networks_own():
    def with_token(images):
        return mean_colors(images) | {"cls": np.full((len(images), 3), 7, np.float32)}

    spec = dataclasses.replace(SPEC, outputs=embedding_outputs())
    features = embedder(spec, with_token)(ramp((50, 60)))
    assert features.cls.tolist() == [7, 7, 7]
    assert features.vector().tolist() == pytest.approx([3**-0.5] * 3)


def test_a_list_is_embedded_in_batches_of_one_canvas():
    sizes = []

    def watch(images):
        sizes.append(images.shape)
        return mean_colors(images)

    images = [ramp(hw) for hw in ((48, 64), (64, 48), (96, 128), (30, 40), (64, 48))]
    one = embedder(function=watch)
    together = one.predict(images)
    assert sizes == [(3, 3, 48, 64), (2, 3, 64, 48)]
    for image, features in zip(images, together, strict=True):
        alone = one(image)
        np.testing.assert_allclose(features.patches, alone.patches, atol=1e-6)
        assert features.patch_hw == alone.patch_hw


def test_two_threads_with_two_sizes_never_meet():
    one = embedder()
    images = [ramp(hw) for hw in ((48, 64), (64, 48), (33, 500), (120, 20))]
    expected = [one(image).patches for image in images]

    def again(index):
        return [one(images[index]).patches for _ in range(100)]

    with ThreadPoolExecutor(len(images)) as pool:
        for found, wanted in zip(pool.map(again, range(len(images))), expected, strict=True):
            assert all(np.array_equal(patches, wanted) for patches in found)


def test_the_registry_opens_it_with_its_option():
    opened = open_predictor(FakeRuntime(mean_colors, SPEC), fit="center_crop")
    assert isinstance(opened, Embedder) and "cropped to 64x64" in opened.description
    with pytest.raises(SpecMismatch, match="letterbox or center_crop; got squash"):
        embedder(fit="squash")


def test_models_and_outputs_that_do_not_fit_are_one_line():
    with pytest.raises(SpecMismatch, match="one output for embedding; this one is for segm"):
        Embedder(FakeRuntime(mean_colors, DEFAULT))
    other = dataclasses.replace(SPEC, outputs=(Output("vector", "embedding"),))
    with pytest.raises(SpecMismatch, match=r"returns cls and patches to embed images; .* vector"):
        Embedder(FakeRuntime(mean_colors, other))
    image = ramp((64, 64))
    flat = embedder(function=lambda x: mean_colors(x) | {"cls": np.ones((1, 5), np.float32)})
    with pytest.raises(SpecMismatch, match=r"returns \(1, 5\) and \(1, 3, 4, 4\)"):
        flat(image)
    nan = embedder(function=lambda x: mean_colors(x) | {"cls": np.full((1, 3), np.nan)})
    with pytest.raises(EngineFailure, match="finite"):
        nan(image)
    with pytest.raises(ShapeError, match="BGR"):
        embedder()(np.zeros((4, 4), np.uint8))
