"""Rewritten graphs are valid, narrow where they should be, and lead to the same masks."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from seg import Segmenter, SpecMismatch
from seg.exporting.onnx_graph import write_onnx
from seg.exporting.precision import convert_precision, has_fp32_ops
from seg.exporting.precision_modes import PrecisionMode
from seg.imaging.image_io import photo
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.segmentation import LinearSegmentationNet
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs
from seg.verification.parity import compare

SPEC = ModelSpec(
    arch="tiny14", outputs=segmentation_outputs(("background", "person")), input_hw=(140, 140),
    canvas_hw=(140, 140), stride=14,
)  # fmt: skip
FLOAT, HALF, BF16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """A tiny DINOv2 whose masks have people and background in them."""
    torch.manual_seed(0)
    vit = DinoVisionTransformer(ViTConfig(embed_dim=48, depth=4, num_heads=3))
    backbone = DinoBackbone(vit, name="tiny14", source="random")
    net = LinearSegmentationNet(backbone, 2, SPEC.mean, SPEC.std)
    for module in net.modules():
        if isinstance(module, torch.nn.LayerNorm):  # equal ones would be exported as one
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.nn.init.normal_(net.head.conv_seg.weight)
    path = tmp_path_factory.mktemp("dino") / "dino.onnx"
    write_onnx(net, SPEC, path)
    return path


def run(model, **inputs):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, inputs)[0]


def kinds(model):
    """The float types that nodes of each operator are given, by ONNX's own inference."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    known = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info)}
    known |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    floats = (FLOAT, HALF, BF16)
    return {
        op: {known[i] for n in graph.node if n.op_type == op for i in n.input if i} & set(floats)
        for op in {node.op_type for node in graph.node}
    }


def runtime_of(model):
    """Computes in the graph's own types: ONNX Runtime's CPU widens float16 where it can."""
    network = ReferenceEvaluator(model)
    return FakeRuntime(lambda images: network.run(None, {"images": images})[0], SPEC)


NARROW = [mode for mode in PrecisionMode if mode != "float32"]


@pytest.mark.parametrize("mode", NARROW)
def test_masks_stay_within_the_tolerances(dino, mode):
    model = onnx.load(str(dino))
    frames = [photo("astronaut")[:256], photo("hopper")[:300]]
    with Segmenter(dino, "cpu") as wide:
        narrow = runtime_of(convert_precision(model, mode))
        parity = compare(wide.runtime, narrow, frames).require(mode.precision)
        shares = [wide(frame).labels.mean() for frame in frames]
    assert all(0.02 < share < 0.98 for share in shares) and parity.max_difference > 1e-4


def test_each_mode_is_as_far_off_as_its_mantissa_says(dino):
    model = onnx.load(str(dino))
    images = np.random.default_rng(0).random((1, 3, 140, 140), dtype=np.float32)
    expected = run(model, images=images)
    error = {}
    for mode in PrecisionMode:
        (found,) = ReferenceEvaluator(convert_precision(model, mode)).run(None, {"images": images})
        error[mode] = np.abs(found - expected).max()
    scale = np.abs(expected).max()
    assert error["float32"] < 1e-5 * scale  # 24, 11 and 8 bits
    for mode in ("float16", "float16-mixed"):
        assert 1e-5 * scale < error[mode] < 1e-2 * scale
    assert 1e-3 * scale < error["bfloat16"] < 1e-1 * scale


def test_float32_operators_and_only_they_are_wide(dino):
    model = onnx.load(str(dino))
    wide = {"LayerNormalization", "Softmax"}
    for mode, narrow in zip(NARROW, (HALF, HALF, BF16), strict=True):
        found = convert_precision(model, mode)
        if narrow == HALF:
            onnx.checker.check_model(found, full_check=True)
            seen = kinds(found)
            for op in ("MatMul", "Gelu", "Add", "Conv", "Softmax", "LayerNormalization"):
                assert seen[op] == {FLOAT if mode.keeps_float32 and op in wide else HALF}
        large = [t for t in found.graph.initializer if np.prod(t.dims) > 48 and t.data_type != 7]
        assert {t.data_type for t in large} == {narrow}
        assert [v.type.tensor_type.elem_type for v in found.graph.input] == [FLOAT]
        assert [v.type.tensor_type.elem_type for v in found.graph.output] == [FLOAT]


def test_casts_are_counted_by_hand(dino):
    """One in, one out; a float32 operator has one before its data and one behind."""
    model = onnx.load(str(dino))
    count = Counter(node.op_type for node in model.graph.node)
    wide = count["LayerNormalization"] + count["Softmax"]
    assert wide == 2 * 4 + 4 + 4 and count["Cast"] == 0  # two norms and a softmax a block
    casts = {
        mode: sum(node.op_type == "Cast" for node in convert_precision(model, mode).graph.node)
        for mode in PrecisionMode
    }
    assert casts == {
        "float16": 2,
        "float16-mixed": 2 + 2 * wide,
        "bfloat16": 2,
        "float32": 0,
    }


def test_float32_is_a_copy_and_nothing_is_changed_in_place(dino):
    model = onnx.load(str(dino))
    before = model.SerializeToString()
    for mode in PrecisionMode:
        convert_precision(model, mode)
    assert model.SerializeToString() == before
    assert convert_precision(model, PrecisionMode.FLOAT32).SerializeToString() == before


def graph(nodes, weights):
    value = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            nodes,
            "by hand",
            [value("x", FLOAT, [1, 1, 2, 2])],
            [value("y", FLOAT, [1, 1, None, None])],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )


def test_scales_of_a_resize_stay_wide_though_another_node_shares_them():
    node = helper.make_node
    two = numpy_helper.from_array(np.float32(2), "two")
    model = graph(
        [
            node("Resize", ["x", "", "scales"], ["large"], mode="nearest"),
            node("Slice", ["scales", "start", "end"], ["factor"]),
            node("Mul", ["large", "factor"], ["product"]),
            node("Constant", [], ["constant"], value=two),
            node("Cast", ["constant"], ["cast"], to=FLOAT),
            node("Add", ["product", "cast"], ["y"]),
        ],
        {"scales": np.float32([1, 1, 2, 3]), "start": np.int64([3]), "end": np.int64([4])},
    )
    x = np.float32([[[[0.25, 1], [-2, 5]]]])  # exact in float16
    found = convert_precision(model, PrecisionMode.FLOAT16)
    onnx.checker.check_model(found, full_check=True)
    assert kinds(found)["Add"] == {HALF} and kinds(found)["Mul"] == {HALF}
    expected = np.repeat(np.repeat(x, 2, 2), 3, 3) * 3 + 2
    np.testing.assert_array_equal(run(model, x=x), expected)
    (narrow,) = ReferenceEvaluator(found).run(None, {"x": x})
    np.testing.assert_array_equal(narrow, (expected - 2).astype(np.float16) + np.float16(2))


def test_a_graph_without_norms_and_softmax_has_no_float32_operators(dino):
    assert has_fp32_ops(onnx.load(str(dino)))
    assert not has_fp32_ops(graph([helper.make_node("Relu", ["x"], ["y"])], {}))


def test_what_does_not_fit_is_infinite_for_the_check_to_see():
    model = graph([helper.make_node("Mul", ["x", "w"], ["y"])], {"w": np.float32([1e6])})
    assert np.isinf(
        run(convert_precision(model, PrecisionMode.FLOAT16), x=np.ones((1, 1, 2, 2), np.float32))
    ).all()


def test_branches_are_refused():
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["z"], value_float=1.0)],
        "branch",
        [],
        [helper.make_tensor_value_info("z", FLOAT, [])],
    )
    model = graph(
        [helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)],
        {"flag": np.array(True)},
    )
    with pytest.raises(SpecMismatch, match="without branches"):
        convert_precision(model, PrecisionMode.FLOAT16)
