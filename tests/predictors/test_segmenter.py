"""Segmenter: scores become a mask of the frame's size, with any engine behind."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from seg import EngineFailure, Segmenter, ShapeError, SpecMismatch
from seg.imaging.letterbox import Letterbox
from seg.predictors.decode import decode_logits
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.spec import ModelSpec, Output, segmentation_outputs
from tests.conftest import ROOT


def red_is_person(images):
    """A network that calls a cell of 4x4 pixels person where it is more red than blue."""
    margin = (images[:, 0] - images[:, 2]).reshape(len(images), images.shape[2] // 4, 4, -1, 4)
    person = margin.mean((2, 4))
    return np.stack([-person, person], 1).astype(np.float32)


@pytest.mark.parametrize("hw", [(240, 320), (241, 317), (320, 100), (33, 500)])
def test_a_red_square_is_found_where_it_is(hw):
    spec = ModelSpec(
        arch="fake",
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(640, 640),
        stride=32,
    )
    image = np.full((*hw, 3), (200, 100, 50), np.uint8)
    top, left, bottom, right = hw[0] // 4, hw[1] // 4, 3 * hw[0] // 4, 3 * hw[1] // 4
    image[top:bottom, left:right] = (50, 100, 200)
    mask = Segmenter(FakeRuntime(red_is_person, spec))(image)
    truth = np.zeros(hw, bool)
    truth[top:bottom, left:right] = True
    wrong = mask.of("person") != truth
    assert mask.labels.shape == hw
    # Wrong pixels touch the square's edge, and corners round off by a cell at most.
    near = cv2.dilate(truth.astype(np.uint8), np.ones((3, 3))) - cv2.erode(
        truth.astype(np.uint8), np.ones((3, 3))
    )
    assert wrong[near == 0].sum() <= 40
    assert mask.area_fraction("person") == pytest.approx(truth.mean(), abs=0.02)


@pytest.mark.parametrize("hw", [(1, 1), (1, 999), (999, 1), (2, 3)])
def test_tiny_frames_get_masks(hw):
    image = np.full((*hw, 3), (0, 0, 255), np.uint8)
    assert (Segmenter(FakeRuntime(red_is_person))(image).labels == 1).all()


def test_two_classes_and_many_agree_with_argmax():
    rng = np.random.default_rng(0)
    box = Letterbox.fit((90, 120), (64, 64), 16)
    for count in (2, 3, 7):
        logits = rng.normal(size=(count, 16, 16)).astype(np.float32)
        whole = np.stack([box.unpack(scores) for scores in logits])
        agree = decode_logits(logits, box.unpack) == whole.argmax(0)
        assert agree.mean() > 0.9995  # two classes: one rounding instead of two


def test_frames_may_change_size():
    segmenter = Segmenter(FakeRuntime(red_is_person))
    for hw in ((48, 64), (64, 48), (48, 64)):
        assert segmenter(np.zeros((*hw, 3), np.uint8)).labels.shape == hw


def test_the_frame_is_not_changed_and_may_be_a_view():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    view, kept = image[::-1, ::2], image.copy()
    segmenter = Segmenter(FakeRuntime(red_is_person))
    mask = segmenter(view)
    assert np.array_equal(image, kept)
    assert np.array_equal(mask.labels, segmenter(np.ascontiguousarray(view)).labels)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), None]
)
def test_no_image_no_mask(image):
    with pytest.raises(ShapeError, match="BGR"):
        Segmenter(FakeRuntime(red_is_person))(image)


def test_scores_that_are_not_finite_are_an_error_not_a_mask():
    broken = FakeRuntime(lambda x: np.full((1, 2, 4, 4), np.nan, np.float32))
    with pytest.raises(EngineFailure, match="finite"):
        Segmenter(broken)(np.zeros((64, 64, 3), np.uint8))


def test_a_model_with_other_classes_than_it_says_is_an_error():
    three = FakeRuntime(lambda x: np.zeros((1, 3, 4, 4), np.float32))
    with pytest.raises(SpecMismatch, match="2 classes and returns 3"):
        Segmenter(three)(np.zeros((64, 64, 3), np.uint8))


def test_another_size_may_be_asked_for():
    sizes = []

    def watch(images):
        sizes.append(images.shape[2:])
        return red_is_person(images)

    Segmenter(FakeRuntime(watch), input_hw=(128, 128))(np.zeros((64, 64, 3), np.uint8))
    Segmenter(FakeRuntime(watch))(np.zeros((64, 64, 3), np.uint8))
    assert sizes == [(128, 128), DEFAULT.input_hw]


def test_two_threads_with_two_sizes_never_meet():
    """A letterbox kept from one call to the next would be another thread's."""
    segmenter = Segmenter(FakeRuntime(red_is_person))
    images = [squares(hw) for hw in ((48, 64), (64, 48), (33, 500), (120, 20))]
    expected = [segmenter(image).labels for image in images]

    def again(index):
        return [segmenter(images[index]).labels for _ in range(150)]

    with ThreadPoolExecutor(len(images)) as pool:
        for found, wanted in zip(pool.map(again, range(len(images))), expected, strict=True):
            assert all(np.array_equal(labels, wanted) for labels in found)


def squares(hw, seed=0):
    """Red and blue cells."""
    red = np.random.default_rng(seed).integers(0, 2, (-(-hw[0] // 8), -(-hw[1] // 8)), np.uint8)
    red = np.kron(red, np.ones((8, 8), np.uint8))[: hw[0], : hw[1]]
    return np.stack([255 * (1 - red), red, 255 * red], 2)


@pytest.mark.parametrize("options", [{}, {"guided": True}, {"tta": 1}])
def test_a_list_is_predicted_in_batches_of_one_canvas(options):
    batches = []

    def watch(images):
        batches.append(images.shape)
        return red_is_person(images)

    segmenter = Segmenter(FakeRuntime(watch), **options)
    sizes = [(48, 64), (64, 48), (96, 128), (30, 40), (64, 48)] + [(64, 64)] * 9
    images = [squares(hw, seed) for seed, hw in enumerate(sizes)]
    together = segmenter.predict(images)
    if not options.get("tta"):
        wide, tall, square = (3, 3, 48, 64), (2, 3, 64, 48), (8, 3, 64, 64)
        assert batches == [wide, tall, square, (1, 3, 64, 64)]
    assert len(together) == len(images)
    for image, mask in zip(images, together, strict=True):
        np.testing.assert_array_equal(mask.labels, segmenter(image).labels)
    assert segmenter.predict([]) == []


def test_a_bad_image_in_a_list_is_named_before_anything_runs():
    segmenter = Segmenter(FakeRuntime(lambda images: pytest.fail("ran")))
    with pytest.raises(ShapeError, match=r"\(4, 4\)"):
        segmenter.predict([squares((8, 8)), np.zeros((4, 4), np.uint8)])


def test_a_closed_segmenter_says_so_and_leaves_a_callers_runtime_open():
    runtime = FakeRuntime(red_is_person)
    with Segmenter(runtime) as segmenter:
        segmenter(squares((8, 8)))
    segmenter.close()
    for call in (segmenter, segmenter.predict_logits):
        with pytest.raises(EngineFailure, match="closed; open the model again"):
            call(squares((8, 8)))
    assert Segmenter(runtime)(squares((8, 8))).labels.shape == (8, 8)


def test_a_segmenter_closes_the_runtime_that_it_opened():
    segmenter = Segmenter(ROOT / "weights" / "person-lite.onnx", "cpu")
    segmenter.close()
    with pytest.raises(EngineFailure, match="closed"):
        segmenter.runtime.run(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.parametrize("option", [{"precision": "float16"}, {"num_threads": 2}])
def test_options_of_an_engine_are_not_dropped_where_it_is_open_already(option):
    (name,) = option
    with pytest.raises(TypeError, match=f"A runtime that is open takes no {name}"):
        Segmenter(FakeRuntime(lambda images: images[:, :2]), **option)
    with pytest.raises(TypeError, match="num_threads"):
        Segmenter(ROOT / "weights" / "person-lite.onnx", num_threads=2)


def test_a_model_for_another_task_is_refused():
    spec = dataclasses.replace(DEFAULT, outputs=(Output("scores", "classification", ("a", "b")),))
    with pytest.raises(SpecMismatch, match="one output for segmentation; this one is for classif"):
        Segmenter(FakeRuntime(red_is_person, spec))
    with pytest.raises(SpecMismatch, match="fits by letterbox; got center_crop"):
        Segmenter(FakeRuntime(red_is_person, dataclasses.replace(DEFAULT, fit="center_crop")))


@pytest.mark.parametrize("input_hw", [(100_000, 100_000), (16385, 1), (10_000, 10_000)])
def test_a_size_beyond_memory_is_one_line_at_once(input_hw):
    with pytest.raises(SpecMismatch, match=r"^A size of \d+x\d+ is too large; expected sides"):
        Segmenter(FakeRuntime(red_is_person), input_hw=input_hw)
