"""A faulty graph does not pass the check at export, and a right one carries the result."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seg import ParityError, Segmenter
from seg.imaging.image_io import photo
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs
from seg.verification.export_check import verify_export
from seg.verification.parity import compare
from seg.verification.self_test import verify

MEAN = np.float32([0.45, 0.4, 0.35])
WEIGHT = np.float32([[0.5, -0.25, 0.75], [1.5, 0.5, -0.5]])
SPEC = ModelSpec(
    arch="by hand",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(64, 96),
    stride=16,
    mean=tuple(float(m) for m in MEAN),
)
CANVAS = dataclasses.replace(SPEC, canvas_hw=(64, 96), batch=1)
MASK = dataclasses.replace(
    CANVAS, outputs=segmentation_outputs(SPEC.classes, "mask"), input_kind="frames"
)


def source(spec=SPEC):
    """Two sums of the channels, the mean subtracted, a score for each pixel."""

    def run(images):
        return np.einsum("oc,bchw->bohw", WEIGHT, images - MEAN[:, None, None])

    return FakeRuntime(run, spec)


def write(path, *, weight=WEIGHT, mean=MEAN, shift=0):
    """Writes the same as a graph of images."""
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [node("Sub", ["images", "mean"], ["centered"]), *conv("centered", "scores")]
    nodes += roll("scores", "logits", shift)
    save(
        path, nodes,
        [value("images", TensorProto.FLOAT, ["B", 3, "H", "W"])],
        [value("logits", TensorProto.FLOAT, ["B", 2, "H", "W"])],
        {"weight": weight[..., None, None], "mean": mean[:, None, None]},
    )  # fmt: skip


def write_mask_graph(path, *, weight=WEIGHT, mean=MEAN, shift=0, order="bgr"):
    """Writes the same as a graph from raw frames to masks."""
    node, value = helper.make_node, helper.make_tensor_value_info
    flipped = order == "bgr"
    nodes = [
        node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        node("Gather", ["planes", "order"], ["rgb"], axis=1),
        node("Div", ["rgb", "levels"], ["images"]),
        node("Sub", ["images", "mean"], ["centered"]),
        *conv("centered", "scores"),
        *roll("scores", "rolled", shift),
        node("ArgMax", ["rolled"], ["labels"], axis=1, keepdims=0),
        node("Cast", ["labels"], ["mask"], to=TensorProto.UINT8),
    ]
    save(
        path, nodes,
        [value("frames", TensorProto.UINT8, [1, 64, 96, 3])],
        [value("mask", TensorProto.UINT8, [1, 64, 96])],
        {
            "weight": weight[..., None, None], "mean": mean[:, None, None],
            "order": np.int64([2, 1, 0] if flipped else [0, 1, 2]), "levels": np.float32(255),
        },
    )  # fmt: skip


def conv(before, after):
    return [helper.make_node("Conv", [before, "weight"], [after])]


def roll(before, after, columns):
    """Moves a map to the right by some columns; the left border comes from the right one."""
    if not columns:
        return [helper.make_node("Identity", [before], [after])]
    node = helper.make_node
    ends = [("near", -columns), ("far", 2**31), ("zero", 0), ("last", 3)]
    constants = [
        node("Constant", [], [name], value=numpy_helper.from_array(np.int64([number])))
        for name, number in ends
    ]
    return [
        *constants,
        node("Slice", [before, "near", "far", "last"], ["tail"]),
        node("Slice", [before, "zero", "near", "last"], ["start"]),
        node("Concat", ["tail", "start"], [after], axis=3),
    ]


def save(path, nodes, inputs, outputs, arrays):
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "by hand", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


FAULTS = {
    "red and blue swapped": {"weight": WEIGHT[:, ::-1].copy()},
    "classes swapped": {"weight": WEIGHT[::-1].copy()},
    "the mean reversed": {"mean": MEAN[::-1].copy()},
    "another mean": {"mean": MEAN + np.float32(0.02)},
    "scores shifted by two pixels": {"shift": 2},
}


@pytest.mark.parametrize("spec", [SPEC, CANVAS])
def test_a_file_that_passes_carries_the_result_and_tests_itself(spec, tmp_path):
    path = tmp_path / "net.onnx"
    write(path)
    images = [photo("astronaut"), photo("coffee")]
    report = verify_export(source(), spec, path, images, {"more": "words"})
    assert report.parity["segmentation"].results.agreement > 0.9999
    kept = {prop.key: prop.value for prop in onnx.load(str(path)).metadata_props}
    assert json.loads(kept["dinoseg.parity"])["frames"] == 2 and kept["more"] == "words"
    # The coffee is 64x96 when fitted; the astronaut is 64x64, and has padding on the canvas alone.
    assert ("in_apps" in kept["dinoseg.parity"]) == (spec == CANVAS)
    with Segmenter(path, "cpu") as segment:
        assert verify(segment).error < 1e-5


def test_a_float16_file_carries_its_sources_scores(tmp_path):
    """Its own are a thousandth off, which float16 allows and the self-test then says."""
    path = tmp_path / "net.onnx"
    write(path, weight=WEIGHT * np.float32(1.001))
    half = dataclasses.replace(CANVAS, precision="float16")
    verify_export(source(), half, path, [photo("astronaut")], {})
    with Segmenter(path, "cpu") as segment:
        assert 1e-4 < verify(segment).error < 1e-2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_graph_of_images_is_caught(fault, tmp_path):
    write(tmp_path / "net.onnx", **FAULTS[fault])
    with pytest.raises(ParityError, match="results differ"):
        verify_export(source(), CANVAS, tmp_path / "net.onnx", [photo("astronaut")], {})


def test_a_fault_that_the_images_do_not_show_is_caught_by_the_self_test(tmp_path):
    """Red and blue change places, their means as well: the same in every gray image."""
    write(tmp_path / "net.onnx", weight=WEIGHT[:, ::-1].copy(), mean=MEAN[::-1].copy())
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2).repeat(160, 0)
    with pytest.raises(ParityError, match="does not compute what the model's source did"):
        verify_export(source(), CANVAS, tmp_path / "net.onnx", [gray], {})


@pytest.mark.parametrize("fault", [*FAULTS, "frames taken for RGB"])
def test_a_faulty_graph_of_frames_is_caught(fault, tmp_path):
    faults = {**FAULTS, "frames taken for RGB": {"order": "rgb"}}
    write_mask_graph(tmp_path / "mask.onnx", **faults[fault])
    with pytest.raises(ParityError, match="results differ"):
        verify_export(source(), MASK, tmp_path / "mask.onnx", [photo("astronaut")], {})


def test_a_graph_of_frames_passes_where_it_is_right(tmp_path):
    write_mask_graph(tmp_path / "mask.onnx")
    images = [photo("astronaut"), photo("coffee")]
    report = verify_export(source(), MASK, tmp_path / "mask.onnx", images, {})
    assert report.parity["segmentation"].results.agreement > 0.9999
    # Each pixel has its own score, so neither padding nor canvas changes any.
    assert report.rounded_padding.results.agreement == 1 and report.rounded_padding.num_images == 1
    assert report.in_apps["segmentation"].results.agreement == 1


def test_a_wrong_mean_in_the_spec_is_caught_by_the_padding():
    """The source pads with its own mean, and what was exported with that of its spec."""

    def above_the_canvas(images):
        margin = (images - images.mean((2, 3), keepdims=True)).sum(1)
        return np.stack([-margin, margin], 1)

    for mean, passes in ((SPEC.mean, True), ((0.9, 0.9, 0.9), False)):
        exported = FakeRuntime(above_the_canvas, dataclasses.replace(CANVAS, mean=mean))
        parity = compare(FakeRuntime(above_the_canvas, SPEC), exported, [photo("astronaut")])
        assert parity.passes("float32") == passes
