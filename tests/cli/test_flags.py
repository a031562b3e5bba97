"""The flags that say what runs."""

from contextlib import ExitStack

import numpy as np
import onnx
import pytest

from seg import ArtifactError, EngineMissing, cli
from seg.runtimes.open import open_runtime
from seg.spec import METADATA_KEY, ModelSpec, segmentation_outputs
from seg.verification.self_test import GOLDEN_KEY, record

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(32, 48),
    stride=16,
)


@pytest.fixture
def model(tmp_path):
    """A network of one convolution: red is a person."""
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[1, 0] = 1
    tensor, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["images", "weights"], ["logits"])],
        "red",
        [tensor("images", kind, (1, 3, "h", "w"))],
        [tensor("logits", kind, (1, 2, "h", "w"))],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    made = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.helper.set_model_props(made, {METADATA_KEY: SPEC.to_json()})
    onnx.save(made, tmp_path / "red.onnx")
    return tmp_path / "red.onnx"


def opened(model, *words):
    parser = cli.parser("")
    cli.add_model_flags(parser)
    return cli.open_predictor(parser.parse_args(["--model", str(model), "--device", "cpu", *words]))


def test_the_flags_choose_engine_precision_and_size(model):
    assert "ONNX Runtime" in opened(model).description
    segment = opened(
        model, "--runtime", "openvino", "--precision", "float32", "--imgsz", "64", "32"
    )
    assert "OpenVINO" in segment.description and "float32 (as asked)" in segment.description
    assert segment.input_hw == (32, 64)


def test_verify_says_how_far_off_and_needs_the_sources_scores(model, caplog):
    with pytest.raises(ArtifactError, match="carries no scores"):
        opened(model, "--verify")
    scores = record(open_runtime(model))
    made = onnx.load(model)
    onnx.helper.set_model_props(made, {METADATA_KEY: SPEC.to_json(), GOLDEN_KEY: scores})
    onnx.save(made, model)
    opened(model, "--verify")
    assert "verified: scores are off by 0 standard deviations" in caplog.text


def test_the_device_is_the_one_that_was_asked_for(model):
    """OpenVINO has no CUDA, on any machine."""
    words = ["--model", str(model), "--runtime", "openvino", "--device", "cuda"]
    parser = cli.parser("")
    cli.add_model_flags(parser)
    cli.add_tasks_flag(parser)
    args = parser.parse_args(words)
    with pytest.raises(EngineMissing, match="--device"):
        cli.open_predictor(args)
    with pytest.raises(EngineMissing, match="--device"), ExitStack() as stack:
        cli.open_tasks(args, stack)
