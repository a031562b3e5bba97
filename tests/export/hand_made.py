"""A network whose ONNX file is written by hand, and a frame that it divides in two."""

import dataclasses

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from seg.spec import METADATA_KEY, ModelSpec, segmentation_outputs

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(64, 96),
    stride=32,
    made_with="test",
)


def network(path, norm=False, canvas_hw=None, batch=1):
    """Writes a network by hand: one convolution to red minus green, and a norm or an Add.

    With a canvas its input is fixed, the batch included.
    """
    rows, cols = canvas_hw or ("rows", "cols")
    count = batch if canvas_hw else "batch"
    node, value = helper.make_node, helper.make_tensor_value_info
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[:, :2, 0, 0] = [[-1.1, 1.3], [1.1, -1.3]]
    # Over the two scores of each pixel, and mild: near a margin of 0 no rounding decides.
    normalized = [
        node("Transpose", ["margin"], ["last"], perm=[0, 2, 3, 1]),
        node("LayerNormalization", ["last", "one", "zero"], ["norm"], axis=-1, epsilon=0.1),
        node("Transpose", ["norm"], ["logits"], perm=[0, 3, 1, 2]),
    ]
    graph = helper.make_graph(
        [
            node("Conv", ["images", "weight"], ["margin"]),
            *(normalized if norm else [node("Add", ["margin", "zero"], ["logits"])]),
        ],
        "by hand",
        [value("images", TensorProto.FLOAT, [count, 3, rows, cols])],
        [value("logits", TensorProto.FLOAT, [count, 2, rows, cols])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.ones(1, np.float32), "one"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    spec = dataclasses.replace(SPEC, canvas_hw=canvas_hw, batch=batch if canvas_hw else None)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    disc = cv2.circle(np.full((64, 96, 3), (200, 200, 20), np.uint8), (40, 30), 20, (0, 9, 250), -1)
    (path.parent / "frames").mkdir(exist_ok=True)
    cv2.imwrite(str(path.parent / "frames" / "disc.png"), disc)
    return path
