"""Export: one file with the masks of its source, or none."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from export import to_onnx
from seg import ParityError, Segmenter, cli
from seg.exporting import onnx_export, onnx_graph
from seg.imaging.image_io import photo
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.models.segmentation import LinearSegmentationNet
from seg.runtimes.open import open_runtime
from seg.spec import METADATA_KEY, ModelSpec, segmentation_outputs
from seg.verification.self_test import verify

CLASSES = ("background", "person")


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("lite") / "lite.pt"
    spec = ModelSpec(
        arch="lite", outputs=segmentation_outputs(CLASSES), input_hw=(320, 320), stride=32
    )
    save_net(path, build_net(spec), spec)
    return path


@pytest.fixture(scope="module")
def dino(tmp_path_factory, module_patch):
    """A checkpoint of a tiny DINOv2, 48 wide, under a name of its own."""

    tiny = ViTConfig(embed_dim=48, depth=12, num_heads=3)
    module_patch.setitem(BACKBONES, "tiny14", dinov2("tiny14", tiny))
    torch.manual_seed(0)
    backbone = DinoBackbone(DinoVisionTransformer(tiny), name="tiny14", source="random")
    spec = ModelSpec(
        arch="tiny14",
        outputs=segmentation_outputs(CLASSES),
        input_hw=(140, 140),
        stride=14,
        layers=backbone.layers,
    )
    net = LinearSegmentationNet(backbone, 2, spec.mean, spec.std)
    torch.nn.init.normal_(net.head.conv_seg.weight)
    path = tmp_path_factory.mktemp("dino") / "dino.pt"
    save_net(path, net, spec)
    return path


@pytest.fixture(scope="module")
def module_patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def export(model, output, *flags):
    return cli.run(to_onnx.main, ["--model", str(model), "--output", str(output), *flags])


def test_lite_is_one_file_for_every_size(lite, tmp_path, capsys):
    assert export(lite, tmp_path / "person.onnx") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["person.onnx"]
    assert capsys.readouterr().out.strip() == str(tmp_path / "person.onnx")
    session = ort.InferenceSession(str(tmp_path / "person.onnx"))
    for hw in ((32, 32), (96, 320), (384, 640)):
        (logits,) = session.run(None, {"images": np.zeros((1, 3, *hw), np.float32)})
        assert logits.shape == (1, 2, hw[0] // 4, hw[1] // 4)


def test_the_file_describes_itself_and_no_machine(lite, tmp_path):
    assert export(lite, tmp_path / "person.onnx") == 0
    model = onnx.load(str(tmp_path / "person.onnx"))
    values = {prop.key: prop.value for prop in model.metadata_props}
    spec = json.loads(values[METADATA_KEY])
    outputs = [{"name": "logits", "task": "segmentation", "classes": list(CLASSES)}]
    assert spec["outputs"] == outputs and spec["layers"] == []
    assert len(spec["source_sha256"]) == 64 and spec["input_hw"] == [320, 320]
    parity = json.loads(values["dinoseg.parity"])
    assert parity["frames"] == 4 and len(parity["frames_sha256"]) == 4
    assert parity["versions"]["torch"] == torch.__version__ and "torch" in parity["source"]
    assert "onnxruntime" in parity["versions"] and parity["device"]
    content = (tmp_path / "person.onnx").read_bytes()
    for trace in (b"site-packages", b"/seg/", b"stack_trace"):
        assert trace not in content


def test_dinov2_gets_its_aspect_and_draws_torchs_masks(dino, tmp_path, capsys):
    assert export(dino, tmp_path / "d.onnx", "--imgsz", "140", "79") == 0
    # No photo is as wide as 140x79, so the apps give the checkpoint a narrower canvas for all four.
    assert "the fixed canvas: in the apps" in capsys.readouterr().err
    with open_runtime(tmp_path / "d.onnx", "cpu") as runtime:
        in_apps = json.loads(runtime.metadata["dinoseg.parity"])["in_apps"]["segmentation"]
    assert in_apps["frames"] == 4 and in_apps["agreement"] < 0.999
    segment = Segmenter(tmp_path / "d.onnx", device="cpu")
    assert segment.runtime.spec.canvas_hw == (84, 140)
    # The position embedding is a constant: TensorRT has no Resize that is antialiased.
    operators = {node.op_type for node in onnx.load(str(tmp_path / "d.onnx")).graph.node}
    assert "Resize" not in operators and "Gelu" in operators
    frame = photo("astronaut")[:288]
    reference = Segmenter(dino, device="cpu", input_hw=(79, 140))
    assert segment.letterbox((288, 512)) == reference.letterbox((288, 512))
    assert np.mean(segment(frame).labels == reference(frame).labels) > 0.9999


def test_opset_18_is_there_for_tensorrt(dino, tmp_path):
    assert export(dino, tmp_path / "d.onnx", "--imgsz", "70", "70", "--opset", "18") == 0
    model = onnx.load(str(tmp_path / "d.onnx"))
    assert {o.domain: o.version for o in model.opset_import}[""] == 18
    # One operator: decomposed, LayerNorm overflows in half precision.
    names = [node.op_type for node in model.graph.node]
    assert names.count("LayerNormalization") >= 24 and "Attention" not in names


def test_an_export_that_draws_other_masks_leaves_nothing(lite, tmp_path, monkeypatch, capsys):
    write = onnx_graph.write_onnx

    def write_other(net, spec, path, opset):
        torch.nn.init.normal_(net.head.weight)
        write(net, spec, path, opset)
        torch.nn.init.normal_(net.head.weight)

    monkeypatch.setattr(onnx_export, "write_onnx", write_other)
    assert export(lite, tmp_path / "person.onnx") == 1
    assert "results differ" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(lite, tmp_path, capsys):
    path = tmp_path / "person.onnx"
    path.write_text("mine")
    assert export(lite, path) == 1
    assert "--overwrite" in capsys.readouterr().err and path.read_text() == "mine"
    assert export(lite, path, "--overwrite") == 0
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint"])
def test_bad_checkpoints_get_one_line(tmp_path, content, capsys):
    path = tmp_path / "bad.pt"
    if content is not None:
        path.write_bytes(content)
    assert export(path, tmp_path / "out.onnx") == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out.onnx").exists()


def test_the_file_can_be_verified_on_every_engine_without_its_source(lite, tmp_path):
    path = tmp_path / "person.onnx"
    assert export(lite, path) == 0
    for options in ({}, {"runtime": "openvino"}, {"runtime": "openvino", "precision": "float32"}):
        with Segmenter(path, device="cpu", **options) as segment:
            verify(segment)
    model = onnx.load(str(path))
    weights = next(one for one in model.graph.initializer if list(one.dims) == [24, 3, 3, 3])
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0] *= 2
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, str(path))
    for engine in ("onnxruntime", "openvino"):
        with Segmenter(path, runtime=engine) as segment, pytest.raises(ParityError, match="off"):
            verify(segment)
