"""An embedding from the command to every engine: made, exported, verified."""

import dataclasses

import numpy as np
import pytest
import torch

from export import from_official, to_onnx, to_trt
from seg import cli
from seg.errors import ParityError, SpecMismatch
from seg.exporting.onnx_export import OnnxOptions, export_onnx
from seg.imaging.image_io import photo
from seg.models.backbones import vit
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.checkpoint import load_net, save_net
from seg.predictors.embedder import Embedder
from seg.runtimes.open import open_runtime
from seg.runtimes.ov import openvino
from seg.verification import self_test
from seg.verification.export_check import compare_export


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """A DINOv2 of 24 channels."""
    with pytest.MonkeyPatch.context() as patch:
        config = vit.ViTConfig(embed_dim=24, depth=3, num_heads=3)
        patch.setitem(BACKBONES, "tiny24", dinov2("tiny24", config))
        yield


def make(folder, *words):
    path = folder / "embed.pt"
    assert cli.run(from_official.main, [*words, "--output", str(path)]) == 0
    return path


@pytest.fixture(scope="module", params=["efficientnet_lite0", "tiny24"])
def files(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    weights = ["--backbone", request.param]
    if request.param == "tiny24":
        weights = ["--arch", "tiny24", "--backbone", "random", "--imgsz", "84", "56"]
    path = make(folder, *weights)
    onnx = folder / "embed.onnx"
    assert cli.run(to_onnx.main, ["--model", str(path), "--output", str(onnx)]) == 0
    xml = folder / "embed.xml"
    openvino.save_model(openvino.Core().read_model(onnx), xml, compress_to_fp16=False)
    return {"pt": path, "onnx": onnx, "xml": xml}


def test_every_engine_gives_the_checkpoints_features(files):
    image = photo("coffee")
    with Embedder(files["pt"], "cpu") as source:
        expected = source(image)
        # The network itself, on what is packed by hand.
        net, spec = load_net(files["pt"])
        pixels = source.fit(image.shape[:2]).pack(image, spec.pad_rgb)
        with torch.inference_mode():
            cls, patches = net(torch.from_numpy(pixels))
    np.testing.assert_allclose(expected.cls, cls[0], atol=1e-4)
    np.testing.assert_allclose(expected.patches.transpose(2, 0, 1), patches[0], atol=1e-5)
    ways = {"onnx": [{}, {"runtime": "openvino", "precision": "float32"}]}
    ways["xml"] = [{"precision": "float32"}]
    for suffix, options in ((k, one) for k, many in ways.items() for one in many):
        with Embedder(files[suffix], "cpu", **options) as embed:
            found = embed(image)
            np.testing.assert_allclose(found.cls, expected.cls, atol=2e-3)
            np.testing.assert_allclose(found.patches, expected.patches, atol=5e-3)
            assert found.patch_hw == expected.patch_hw


def test_a_tensorrt_engine_embeds_too(files, tmp_path, tensorrt):
    """On a stand-in that runs the graph on ONNX Runtime; nothing ran on a GPU."""
    path = tmp_path / "embed.engine"
    words = ["--model", files["onnx"], "--output", path]
    assert cli.run(to_trt.main, [str(word) for word in words]) == 0
    image = photo("coffee")
    with Embedder(files["onnx"], "cpu") as source, Embedder(path) as engine:
        one, other = source(image), engine(image)
        assert "float16" in engine.description
        assert self_test.verify(engine).error < 2e-2
    assert one.patches.shape == other.patches.shape
    assert one.vector() @ other.vector() > 0.999


def test_it_verifies_itself_on_every_engine(files):
    for path, options in ((files["pt"], {}), (files["onnx"], {"runtime": "openvino"})):
        with Embedder(path, "cpu", **options) as embed:
            assert self_test.verify(embed).error < 0.12
    with open_runtime(files["onnx"], "cpu") as runtime:
        assert len(runtime.metadata[self_test.GOLDEN_KEY]) < 400_000


def test_another_networks_features_are_refused_at_export(files, tmp_path):
    net, spec = load_net(files["pt"])
    with torch.no_grad():
        for parameter in net.backbone.parameters():
            if parameter.ndim == 4:
                parameter += 0.02 * torch.randn_like(parameter)
                break
    save_net(tmp_path / "other.pt", net, spec)
    images = [photo("coffee"), photo("rocket")]
    with open_runtime(files["onnx"], "cpu") as exported:
        with open_runtime(files["pt"], "cpu") as same:
            report = compare_export(same, exported, images)
        assert report.parity["embedding"].results.cls_cosine > 0.99999
        with open_runtime(tmp_path / "other.pt", "cpu") as other, pytest.raises(ParityError):
            compare_export(other, exported, images)


def test_a_letterboxed_embedding_is_one_too(tmp_path):
    path = make(tmp_path, "--arch", "tiny24", "--backbone", "random", "--fit", "letterbox")
    _, spec = load_net(path)
    assert (spec.fit, spec.input_hw) == ("letterbox", (224, 224))
    export_onnx(path, tmp_path / "a.onnx", [photo("coffee")], OnnxOptions(input_hw=(56, 84)))
    with Embedder(tmp_path / "a.onnx", "cpu") as embed:
        assert embed(photo("coffee")).patches.shape == (4, 6, 24)
        assert embed(np.zeros((80, 20, 3), np.uint8)).patches.shape == (4, 1, 24)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a --head, or a --backbone"),
        (["--arch", "tiny24", "--classes", "person"], "--classes are those of a head"),
        (["--head", "a.pth", "--fit", "letterbox"], "--fit and --layers are for embeddings"),
        (["--arch", "tiny24", "--backbone", "efficientnet_lite0"], "omit one"),
        (["--arch", "efficientnet_lite0", "--layers", "4"], "has maps 0 to 3; got layers [4]"),
        (["--arch", "tiny24", "--backbone", "random", "--layers", "3"], "has blocks 0 to 2"),
        (["--arch", "resnet50"], "No backbone 'resnet50'; expected one of efficientnet_lite0"),
    ],
)
def test_flags_that_contradict_each_other_are_one_line(words, said, tmp_path, caplog):
    assert cli.run(from_official.main, [*words, "--output", str(tmp_path / "a.pt")]) == 1
    assert said in caplog.text and not list(tmp_path.iterdir())


def test_there_is_no_mask_in_an_embedding(files, tmp_path, caplog):
    words = ["--model", files["pt"], "--output", tmp_path / "a.onnx", "--output-kind", "mask"]
    assert cli.run(to_onnx.main, list(map(str, words))) == 1
    assert "one output for segmentation; this one is for embedding" in caplog.text
    with pytest.raises(SpecMismatch, match="this one has cls, patches"):
        load_net(files["pt"])[1].output("embedding")


def test_files_of_masks_do_not_name_what_only_embeddings_have(files):
    _, spec = load_net(files["pt"])
    assert type(spec).from_json(spec.to_json()) == spec
    masks = dataclasses.replace(spec, outputs=(dataclasses.replace(spec.outputs[1]),))
    assert "mean_of" not in masks.to_json()
