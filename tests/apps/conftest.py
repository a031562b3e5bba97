"""A network of four numbers, and clips with a red square that it finds."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seg.spec import METADATA_KEY, ModelSpec, segmentation_outputs
from seg.video.recorder import Mp4Writer

SPEC = ModelSpec(
    arch="tiny",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(64, 96),
    stride=4,
    made_with="a test",
)


def write_tiny(path, spec=SPEC):
    """Writes a network that says person where red outweighs green and blue."""
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[1, :, 0, 0] = 4, -2, -2
    bias = np.array([0, -1.73], np.float32)  # half of what the square gets: edges stay in place
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["fine"]),
        helper.make_node("AveragePool", ["fine"], ["logits"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "tiny",
        [tensor("images", TensorProto.FLOAT, ["B", 3, "H", "W"])],
        [tensor("logits", TensorProto.FLOAT, ["B", 2, "h", "w"])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, str(path))
    return path


def red_square(index=0, hw=(64, 96)):
    """Returns a gray image with a red square at rows 16 to 32, columns 8 + 4 * index on."""
    image = np.full((*hw, 3), 120, np.uint8)
    image[16:32, 8 + 4 * index : 24 + 4 * index] = (20, 20, 240)
    return image


def square_labels(index=0, hw=(64, 96)):
    """Returns the labels that belong to it."""
    labels = np.zeros(hw, np.uint8)
    labels[16:32, 8 + 4 * index : 24 + 4 * index] = 1
    return labels


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The network's file."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clip(here):
    """Ten frames with a square that moves right by four pixels a frame."""
    with Mp4Writer(here / "clip.mp4", fps=25) as writer:
        for index in range(10):
            writer.add(red_square(index), index / 25)
        writer.end_of_stream()
    return writer.path


@pytest.fixture(scope="session", name="red_square")
def red_square_fixture():
    return red_square


@pytest.fixture(scope="session", name="square_labels")
def square_labels_fixture():
    return square_labels


@pytest.fixture(scope="session")
def load_app(request):
    """Returns a command's module by its name."""
    import importlib.util

    def load(name):
        path = request.config.rootpath / "apps" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"app_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
