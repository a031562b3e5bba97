"""int8: integers inside, the same masks outside, or no file."""

import hashlib
import json

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export import to_onnx
from seg import Segmenter, cli, progress
from seg.exporting import quantization
from seg.runtimes.open import open_runtime
from seg.spec import METADATA_KEY, ModelSpec, segmentation_outputs
from seg.verification.self_test import verify

SPEC = ModelSpec(
    arch="tiny",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(96, 128),
    stride=4,
)


def scene(index):
    """Noise on gray, and a red square."""
    image = np.random.default_rng(index).integers(90, 130, (96, 128, 3), dtype=np.uint8)
    image[20:68, 12 + 8 * index : 60 + 8 * index] = (30, 30, 220)
    return image


def square(index):
    """Returns where the square is."""
    return scene(index)[:, :, 2] > 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images, and one that is nearly black, in a folder of its own."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "dark").mkdir()
    dark = np.random.default_rng(0).integers(0, 4, (96, 128, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "dark" / "0.png"), dark)
    for index in range(6):
        cv2.imwrite(str(folder / f"{index}.png"), scene(index))
    return folder


def write_net(path, spec=SPEC):
    """Writes three convolutions that say person where red outweighs green and blue.

    The eight channels carry one answer at eight scales, 1 to 128, which only a scale for each
    channel can hold in 8 bits.
    """
    scales = 2.0 ** np.arange(8)
    first = np.zeros((8, 3, 3, 3))
    first[:, :, 1, 1] = scales[:, None] * np.array([1, -0.5, -0.5])
    second = np.zeros((8, 8, 3, 3))
    second[:, :, 1, 1] = np.eye(8) / scales
    last = np.stack([np.zeros(8), np.ones(8) / 4])[:, :, None, None]
    arrays = {"w1": first, "w2": second, "w3": last, "b3": np.array([0.4, 0.0])}
    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["a"], "one", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "two", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"], "relu_2"),
        helper.make_node("AveragePool", ["d"], ["e"], "mean", kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["e", "w3", "b3"], ["logits"], "three"),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "tiny",
        [tensor("images", TensorProto.FLOAT, ["B", 3, "H", "W"])],
        [tensor("logits", TensorProto.FLOAT, ["B", 2, "h", "w"])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, str(path))


@pytest.fixture(scope="module")
def files(folder, tmp_path_factory):
    """The network in float32 and in int8."""
    here = tmp_path_factory.mktemp("models")
    write_net(here / "net.onnx")
    words = ["--precision", "int8", "--calibration", str(folder)]
    assert export(here / "net.onnx", here / "int8.onnx", folder, *words) == 0
    return here


def export(model, output, folder, *words):
    flags = ["--model", str(model), "--output", str(output), "--input", str(folder), *words]
    return cli.run(to_onnx.main, flags)


def test_every_convolution_but_the_last_computes_in_integers(files):
    graph = onnx.load(str(files / "int8.onnx")).graph
    makers = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    *inner, last = [node for node in graph.node if node.op_type == "Conv"]
    assert len(inner) == 2 and weights[last.input[1]].dtype == np.float32
    for node in inner:
        data, weight = (makers[name] for name in node.input[:2])
        assert data.op_type == weight.op_type == "DequantizeLinear"
        assert weights[data.input[2]].dtype == np.uint8 and weights[data.input[1]].ndim == 0
        values = weights[weight.input[0]]
        # A scale for each channel: the largest weight of each is at the end of its scale.
        assert values.dtype == np.int8 and weights[weight.input[1]].shape == (8,)
        assert (np.abs(values.astype(int)).max(axis=(1, 2, 3)) >= 126).all()
    # Behind the first Relu nothing is negative, so zero is the lowest of the 256 steps.
    assert weights[makers[inner[1].input[0]].input[2]] == 0


@pytest.mark.parametrize("options", [{}, {"runtime": "openvino", "precision": "float32"}])
def test_both_engines_find_the_square(files, options):
    with Segmenter(files / "int8.onnx", device="cpu", **options) as segment:
        assert segment.runtime.precision == "int8" and "int8" in segment.description
        verify(segment)
        for index in range(6):
            # A pixel of its edge is rounded away by the grid of four, in float32 as well.
            assert np.mean(segment(scene(index)).labels == square(index)) > 0.97


def test_the_rounding_is_there_and_small(files, folder):
    pixels = cv2.imread(str(folder / "3.png"))[None, :, :, ::-1].transpose(0, 3, 1, 2) / 255
    logits = []
    for name in ("net", "int8"):
        with open_runtime(files / f"{name}.onnx", "cpu") as runtime:
            logits.append(runtime.run(np.ascontiguousarray(pixels, np.float32))["logits"])
    assert 1e-5 < np.abs(logits[0] - logits[1]).max() < 0.03 * np.ptp(logits[0])


def test_the_file_says_how_it_was_made(files, folder):
    model = onnx.load(str(files / "int8.onnx"))
    values = {prop.key: prop.value for prop in model.metadata_props}
    spec, said = json.loads(values[METADATA_KEY]), json.loads(values["dinoseg.calibration"])
    assert spec["precision"] == "int8" and spec["canvas_hw"] is None
    digest = hashlib.sha256((files / "net.onnx").read_bytes()).hexdigest()
    assert spec["source_sha256"] == digest
    listed = [hashlib.sha256((folder / f"{i}.png").read_bytes()).hexdigest() for i in range(6)]
    assert said["pictures"] == 6
    assert said["pictures_sha256"] == hashlib.sha256("\n".join(listed).encode()).hexdigest()
    assert "ONNX Runtime" in json.loads(values["dinoseg.parity"])["source"]
    assert b"site-packages" not in (files / "int8.onnx").read_bytes()


def test_of_many_images_some_are_taken_from_all_over(files, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(quantization, "MAX_IMAGES", 3)
    images = [folder / f"{index}.png" for index in range(6)]
    made = quantization.quantize(files / "net.onnx", tmp_path / "int8.onnx", images)
    taken = [hashlib.sha256(images[i].read_bytes()).hexdigest() for i in (0, 2, 5)]
    assert made["pictures"] == 3
    assert made["pictures_sha256"] == hashlib.sha256("\n".join(taken).encode()).hexdigest()


def test_measuring_ranges_says_how_far_it_is(files, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "INTERVAL_S", 0)
    words = ["--precision", "int8", "--calibration", str(folder)]
    assert export(files / "net.onnx", tmp_path / "int8.onnx", folder, *words) == 0
    assert "measuring ranges: 3 of 6 (50%), about" in capsys.readouterr().err


def test_ranges_of_the_wrong_images_leave_no_file(files, folder, tmp_path, capsys):
    """On a dark image alone every range is far too narrow, and the check at export sees it."""
    words = ["--precision", "int8", "--calibration", str(folder / "dark")]
    assert export(files / "net.onnx", tmp_path / "bad.onnx", folder, *words) == 1
    assert "results differ" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("net.onnx", ["--precision", "int8"], "go together"),
        ("net.onnx", ["--calibration", "."], "go together"),
        ("net.onnx", [], "only --precision int8"),
        ("net.onnx", ["--precision", "int8", "--calibration", ".", "--batch", "2"], "--batch"),
        ("net.onnx", ["--precision", "int8", "--calibration", "none"], "none: cannot be read"),
        (
            "net.onnx",
            ["--precision", "int8", "--calibration", ".", "--output-kind", "mask"],
            "is for logits",
        ),
    ],
)
def test_what_contradicts_itself_is_one_line(files, folder, tmp_path, model, words, said, capsys):
    assert export(files / model, tmp_path / "out.onnx", folder, *words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ") and said in lines[-1] and len(lines) == 1
    assert not list(tmp_path.iterdir())


def test_integers_are_not_quantized_again(files, folder, tmp_path, capsys):
    words = ["--precision", "int8", "--calibration", str(folder)]
    assert export(files / "int8.onnx", tmp_path / "out.onnx", folder, *words) == 1
    assert "is int8" in capsys.readouterr().err


def test_a_range_is_the_mean_of_each_images_so_an_odd_one_does_not_stretch_it(tmp_path):
    """Five images are gray and one is white: the mean of their largest values."""
    levels = [102] * 5 + [255]
    images = [tmp_path / f"{index}.png" for index in range(len(levels))]
    for path, level in zip(images, levels, strict=True):
        cv2.imwrite(str(path), np.full((96, 128, 3), level, np.uint8))
    write_net(tmp_path / "net.onnx")
    quantization.quantize(tmp_path / "net.onnx", tmp_path / "int8.onnx", images)
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (node,) = (node for node in graph.node if node.input[0] == "images")
    assert node.op_type == "QuantizeLinear"
    assert weights[node.input[1]] * 255 == pytest.approx(np.mean(levels) / 255, rel=1e-3)
