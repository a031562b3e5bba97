"""One suite for every runtime: the same network as a torch checkpoint and as an ONNX file."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export.to_onnx import export_spec, write_onnx
from seg import ArtefactError, EngineFailure, EngineMissing, Segmenter, ShapeError
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes import open_runtime
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec

SPEC = ModelSpec(
    arch="lite", classes=("background", "person"), input_hw=(64, 96), stride=32, made_with="test"
)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = build_net(SPEC)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_net(folder / "net.pt", net, SPEC)
    spec = export_spec(SPEC, folder / "net.pt", None)
    write_onnx(net, spec, folder / "net.onnx")
    return {"pt": folder / "net.pt", "onnx": folder / "net.onnx"}


@pytest.fixture(params=["pt", "onnx"])
def runtime(request, files):
    with open_runtime(files[request.param], "cpu") as opened:
        yield opened


def pictures(batch=1, hw=(64, 96)):
    return np.random.default_rng(0).random((batch, 3, *hw), dtype=np.float32)


@pytest.mark.parametrize("hw", [(32, 32), (64, 96), (128, 32)])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_the_networks(runtime, net, batch, hw):
    images = pictures(batch, hw)
    logits = runtime.run(images)["logits"]
    assert logits.dtype == np.float32 and logits.shape == (batch, 2, hw[0] // 4, hw[1] // 4)
    with torch.inference_mode():
        np.testing.assert_allclose(logits, net(torch.from_numpy(images)).numpy(), atol=2e-5)


def test_input_in_any_memory_order_gives_the_same(runtime):
    images = pictures(hw=(64, 64))
    turned = np.asfortranarray(images)
    assert not turned.flags.c_contiguous
    np.testing.assert_array_equal(
        runtime.run(turned)["logits"], runtime.run(images.copy())["logits"]
    )


def test_results_belong_to_the_caller(runtime):
    images = pictures()
    first = runtime.run(images)["logits"]
    kept = first.copy()
    runtime.run(1 - images)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(runtime.run(images)["logits"], kept)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((1, 3, 32, 33), np.float32), "nearest is 32x32"),
        (np.zeros((1, 3, 32, 32), np.float64), "float64"),
        (np.zeros((1, 32, 32, 3), np.float32), "(1, 32, 32, 3)"),
        (np.zeros((3, 32, 32), np.float32), "(3, 32, 32)"),
        (np.zeros((1, 3, 0, 32), np.float32), "nearest is 32x32"),
    ],
)
def test_bad_input_is_named(runtime, images, said):
    with pytest.raises(ShapeError) as error:
        runtime.run(images)
    assert said in str(error.value)


def test_it_says_what_really_runs(runtime):
    assert "cpu" in runtime.description.lower()
    assert "float32" in runtime.description


def test_closing_twice_is_harmless(files):
    for path in files.values():
        runtime = open_runtime(path, "cpu")
        runtime.close()
        runtime.close()


def test_a_closed_session_says_so(files):
    runtime = open_runtime(files["onnx"], "cpu")
    runtime.close()
    with pytest.raises(EngineFailure, match="closed"):
        runtime.run(pictures())


def test_the_spec_travels(files):
    one, other = (open_runtime(path, "cpu").spec for path in files.values())
    assert dataclasses.replace(other, source_sha256="") == one == SPEC
    assert len(other.source_sha256) == 64


def test_a_static_canvas_takes_nothing_else():
    spec = dataclasses.replace(SPEC, canvas_hw=(64, 96))
    with pytest.raises(ShapeError, match="takes 64x96; got 96x64"):
        FakeRuntime(lambda x: x, spec).run(pictures(hw=(96, 64)))


@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_damaged_files_get_one_clear_error(files, tmp_path, suffix):
    source = files[suffix[1:]].read_bytes()
    for name, content in (("cut", source[: len(source) // 2]), ("text", b"hello"), ("empty", b"")):
        path = tmp_path / (name + suffix)
        path.write_bytes(content)
        with pytest.raises(ArtefactError) as error:
            open_runtime(path, "cpu")
        assert path.name in str(error.value)


def test_foreign_files_are_told_apart(files, tmp_path):
    model = onnx.load(str(files["onnx"]))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    for name in ("foreign.onnx", "foreign.pt"):
        with pytest.raises(ArtefactError, match="foreign"):
            open_runtime(tmp_path / name, "cpu")


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"format": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ArtefactError, match="trap"):
        open_runtime(tmp_path / "trap.pt", "cpu")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["pt", "onnx"])
def test_cuda_is_never_replaced_in_silence(files, kind):
    if torch.cuda.is_available():
        pytest.skip("gpu: this machine has one")
    with pytest.raises(EngineMissing, match="cuda"):
        open_runtime(files[kind], "cuda")


def test_what_cannot_be_opened_is_named(tmp_path, files):
    with pytest.raises(ArtefactError, match=r"\.onnx, \.pt"):
        open_runtime(tmp_path / "model.tflite")
    with pytest.raises(ArtefactError, match="No model at"):
        open_runtime(tmp_path / "none.onnx")
    with pytest.raises(EngineMissing, match="auto, cpu, cuda"):
        open_runtime(files["pt"], "tpu")


def test_a_missing_package_is_named(files, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "seg.runtimes.ort", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineMissing, match="pip install onnxruntime"):
        open_runtime(files["onnx"], "cpu")


def test_segmenters_on_both_engines_draw_the_same_mask(files):
    image = np.random.default_rng(1).integers(0, 256, (77, 131, 3), dtype=np.uint8)
    masks = [Segmenter(path, device="cpu")(image).labels for path in files.values()]
    assert masks[0].shape == (77, 131)
    assert np.mean(masks[0] == masks[1]) > 0.9999
