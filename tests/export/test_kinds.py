"""The kinds of export: half precision, fixed batches, raw frames to masks, any size."""

import json

import cv2
import numpy as np
import onnx
import pytest
import torch

from export import to_onnx
from seg import Segmenter, SpecMismatch, cli
from seg.benchmark.entries import Entry
from seg.benchmark.parity_check import check
from seg.exporting import onnx_graph
from seg.exporting.onnx_export import fit_to_video
from seg.imaging.image_io import photo
from seg.imaging.letterbox import Letterbox
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.checkpoint import load_net, save_net
from seg.models.segmentation import LinearSegmentationNet
from seg.runtimes.open import open_runtime
from seg.runtimes.ort import run_graph
from seg.spec import ModelSpec, segmentation_outputs
from seg.video.recorder import Mp4Writer

CLASSES = ("background", "person")


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """A checkpoint of a tiny DINOv2, one block of 48, that tells bright patches from dark."""
    with pytest.MonkeyPatch.context() as patch:
        tiny = ViTConfig(embed_dim=48, depth=1, num_heads=3)
        patch.setitem(BACKBONES, "tiny14", dinov2("tiny14", tiny))
        torch.manual_seed(0)
        backbone = DinoBackbone(DinoVisionTransformer(tiny), name="tiny14", source="random")
        spec = ModelSpec(
            arch="tiny14",
            outputs=segmentation_outputs(CLASSES),
            input_hw=(70, 98),
            stride=14,
            layers=backbone.layers,
        )
        net = LinearSegmentationNet(backbone, 2, spec.mean, spec.std)
        bright, dark = (torch.full((1, 3, 70, 98), value) for value in (0.9, 0.1))
        with torch.inference_mode():
            maps = [net.features(images)[0].mean((1, 2)) for images in (dark, bright)]
        way = (maps[1] - maps[0]).clone()
        net.head.conv_seg.weight.data = torch.stack([-way, way])[:, :, None, None]
        net.head.conv_seg.bias.data[1] = -2 * way @ (maps[0] + maps[1]) / 2
        path = tmp_path_factory.mktemp("dino") / "dino.pt"
        save_net(path, net, spec)
        yield path


def export(model, output, *flags):
    return cli.run(to_onnx.main, ["--model", str(model), "--output", str(output), *flags])


def logits_of(path, images):
    net, _ = load_net(path)
    with torch.inference_mode():
        return net(torch.from_numpy(images)).numpy()


def noise(batch, hw):
    return np.random.default_rng(0).random((batch, 3, *hw), dtype=np.float32)


def test_half_precision_halves_the_weights_and_keeps_float32_outside(dino, tmp_path):
    cv2.imwrite(str(tmp_path / "astronaut.png"), photo("astronaut"))
    words = ["--precision", "float16", "--opset", "18", "--input", str(tmp_path / "astronaut.png")]
    assert export(dino, tmp_path / "half.onnx", *words) == 0
    model = onnx.load(str(tmp_path / "half.onnx"))
    kinds = {one.data_type for one in model.graph.initializer if np.prod(one.dims) > 100}
    assert kinds == {onnx.TensorProto.FLOAT16}
    ends = [*model.graph.input, *model.graph.output]
    assert {end.type.tensor_type.elem_type for end in ends} == {onnx.TensorProto.FLOAT}
    with open_runtime(tmp_path / "half.onnx", "cpu") as runtime:
        assert runtime.precision == runtime.spec.precision == "float16"
        images = noise(1, (70, 98))
        expected = logits_of(dino, images)
        got = runtime.run(images)["logits"]
    # OpenVINO drops the Cast before the end, and gives its output both names.
    with open_runtime(tmp_path / "half.onnx", "cpu", "openvino", "float32") as runtime:
        np.testing.assert_allclose(runtime.run(images)["logits"], got, atol=0.02 * np.ptp(got))
    assert 0 < np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_int8_of_a_transformer_keeps_attention_and_norms_in_float(dino, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("astronaut", "coffee"):
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), photo(name))
    words = ["--precision", "int8", "--calibration", str(tmp_path / "photos"), "--batch", "2"]
    assert export(dino, tmp_path / "int8.onnx", *words) == 0
    graph = onnx.load(str(tmp_path / "int8.onnx")).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    kinds = [
        [makers.get(name) == "DequantizeLinear" for name in node.input[:2]]
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm")
    ]
    # Query, key and value, what follows the attention, and two of the MLP; inside it, two.
    assert kinds.count([True, True]) == 4 and kinds.count([False, False]) == 2 == len(kinds) - 4
    for node in graph.node:
        if node.op_type in ("LayerNormalization", "Softmax", "Gelu"):
            assert makers.get(node.input[0]) not in ("DequantizeLinear", None)
    images = noise(2, (70, 98))
    with open_runtime(tmp_path / "int8.onnx", "cpu") as runtime:
        got, expected = runtime.run(images)["logits"], logits_of(dino, images)
    assert 0 < np.abs(got - expected).max() < 0.1 * np.ptp(expected)


def test_a_fixed_batch_runs_any_number_of_images(dino, tmp_path):
    assert export(dino, tmp_path / "three.onnx", "--batch", "3") == 0
    model = onnx.load(str(tmp_path / "three.onnx"))
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [3, 3, 70, 98]
    with open_runtime(tmp_path / "three.onnx", "cpu") as runtime:
        for count in (1, 3, 4):
            images = noise(count, (70, 98))
            got = runtime.run(images)["logits"]
            np.testing.assert_allclose(got, logits_of(dino, images), atol=1e-3)


def test_raw_frames_become_masks_in_one_graph(dino, tmp_path, capsys):
    path = tmp_path / "mask.onnx"
    assert export(dino, path, "--output-kind", "mask", "--batch", "2") == 0
    said = capsys.readouterr().err
    assert "cosine" not in said and "padding in whole gray levels: 4 images" in said
    properties = {prop.key: prop.value for prop in onnx.load(str(path)).metadata_props}
    record = json.loads(properties["dinoseg.parity"])
    assert record["rounded_padding"]["agreement"] > 0.995
    # Hopper and the astronaut are upright and square; the others fill the canvas but for 5 rows.
    assert record["in_apps"]["segmentation"]["frames"] == 2
    # By hand, with OpenCV alone: fitted into the top left corner, the mean color around it.
    small = cv2.resize(photo("astronaut"), (70, 70), interpolation=cv2.INTER_AREA)
    canvas = np.full((70, 98, 3), (104, 116, 124), np.uint8)  # BGR; 0.485 * 255 is 123.7
    canvas[:, :70] = small
    masks = run_graph(path, np.stack([canvas, canvas[:, ::-1]]))
    assert masks.shape == (2, 70, 98) and set(np.unique(masks)) == {0, 1}
    scores = logits_of(
        dino, canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    )
    margin = cv2.resize(scores[0, 1] - scores[0, 0], (98, 70), interpolation=cv2.INTER_LINEAR)
    assert np.mean(masks[0] == (margin > 0)) > 0.999
    with pytest.raises(SpecMismatch, match="for other programs"):
        open_runtime(path, "cpu")
    with open_runtime(dino, "cpu") as reference:
        found = check(Entry(path), reference, [photo("astronaut")])
        assert found.passes and found.parity.cosine is None
        assert reference.spec.canvas_hw is None


def test_any_size_is_interpolated_in_the_graph(dino, tmp_path):
    assert export(dino, tmp_path / "free.onnx", "--dynamic") == 0
    with open_runtime(tmp_path / "free.onnx", "cpu") as runtime:
        assert runtime.spec.canvas_hw is None
        for batch, hw in ((1, (56, 84)), (2, (140, 98)), (1, (14, 28))):
            images = noise(batch, hw)
            got = runtime.run(images)["logits"]
            np.testing.assert_allclose(got, logits_of(dino, images), atol=1e-3)
    segment = Segmenter(tmp_path / "free.onnx", device="cpu", input_hw=(112, 140))
    assert segment(photo("coffee")).labels.shape == photo("coffee").shape[:2]


def test_the_aspect_of_a_video(tmp_path):
    with Mp4Writer(tmp_path / "wide.mp4", fps=25) as writer:
        writer.add(np.zeros((90, 160, 3), np.uint8), 0.0)
        writer.end_of_stream()
    assert fit_to_video(tmp_path / "wide.mp4", (640, 640)) == (360, 640)
    assert fit_to_video(tmp_path / "wide.mp4", (180, 640)) == (180, 320)


@pytest.mark.parametrize(
    ("arch", "choices", "said"),
    [
        ("lite", {"is_dynamic": True}, "takes any size without it"),
        ("dinov2_vits14_reg", {"is_dynamic": True}, "without registers"),
        (
            "dinov2_vits14",
            {"is_dynamic": True, "output_kind": "mask"},
            "--dynamic is for the logits",
        ),
        ("dinov2_vits14", {"is_dynamic": True, "batch": 2}, "omit it"),
        ("lite", {"batch": 2}, "omit it"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, arch, choices, said):
    spec = ModelSpec(arch=arch, outputs=segmentation_outputs(CLASSES), input_hw=(64, 64), stride=32)
    (tmp_path / "file.pt").write_text("")
    with pytest.raises(SpecMismatch, match=said):
        onnx_graph.export_spec(spec, tmp_path / "file.pt", None, **choices)


def test_a_frame_on_the_canvas_as_bytes_is_the_packed_one():
    frame = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    box = Letterbox.fit((30, 50), (28, 40), 14)
    raw, packed = box.pack_bytes(frame, (0.5, 0.25, 0.75)), box.pack(frame, (0.5, 0.25, 0.75))
    assert raw.shape == (28, 42, 3) and raw[27, 41].tolist() == [191, 64, 128]
    np.testing.assert_allclose(packed[0].transpose(1, 2, 0)[..., ::-1] * 255, raw, atol=0.51)
