"""One suite for every engine: the same network as a torch checkpoint, as ONNX and as OpenVINO."""

import copy
import dataclasses
import gc
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from seg import ArtifactError, EngineFailure, EngineMissing, Segmenter, ShapeError
from seg.exporting.onnx_graph import export_spec, write_onnx
from seg.kinds import Engine
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes.fake import FakeRuntime
from seg.runtimes.open import open_runtime
from seg.runtimes.ov import openvino  # by this door, which keeps it from calling home
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import METADATA_KEY, ModelSpec, Output, segmentation_outputs

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(64, 96),
    stride=32,
    made_with="test",
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
    openvino.save_model(
        openvino.Core().read_model(folder / "net.onnx"), folder / "net.xml", compress_to_fp16=False
    )
    return {suffix: folder / f"net.{suffix}" for suffix in ("pt", "onnx", "xml")}


# Every engine, and every kind of file that it reads; in float32, where it has a choice.
WAYS = {
    "torch": ("pt", {}),
    "onnxruntime": ("onnx", {}),
    "openvino-onnx": ("onnx", {"runtime": "openvino", "precision": "float32"}),
    "openvino-xml": ("xml", {"precision": "float32"}),
}


@pytest.fixture(params=WAYS)
def runtime(request, files):
    suffix, options = WAYS[request.param]
    with open_runtime(files[suffix], "cpu", **options) as opened:
        yield opened


def test_every_engine_that_runs_without_a_gpu_is_here():
    assert {way.split("-")[0] for way in WAYS} == set(Engine) - {"tensorrt"}


def random_images(batch=1, hw=(64, 96)):
    return np.random.default_rng(0).random((batch, 3, *hw), dtype=np.float32)


@pytest.mark.parametrize("hw", [(32, 32), (64, 96), (128, 32)])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_the_networks(runtime, net, batch, hw):
    images = random_images(batch, hw)
    logits = runtime.run(images)["logits"]
    assert logits.dtype == np.float32 and logits.shape == (batch, 2, hw[0] // 4, hw[1] // 4)
    with torch.inference_mode():
        np.testing.assert_allclose(logits, net(torch.from_numpy(images)).numpy(), atol=2e-5)


def test_input_in_any_memory_order_gives_the_same(runtime):
    images = random_images(hw=(64, 64))
    turned = np.asfortranarray(images)
    assert not turned.flags.c_contiguous
    np.testing.assert_array_equal(
        runtime.run(turned)["logits"], runtime.run(images.copy())["logits"]
    )


def test_results_belong_to_the_caller(runtime):
    images = random_images()
    first = runtime.run(images)["logits"]
    kept = first.copy()
    runtime.run(1 - images)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(runtime.run(images)["logits"], kept)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.zeros((1, 3, 32, 33), np.float32), "nearest is 32x32"),
        (np.zeros((1, 3, 32, 32), np.float64), "float64"),
        (np.zeros((1, 32, 32, 3), np.float32), "(1, 32, 32, 3)"),
        (np.zeros((3, 32, 32), np.float32), "(3, 32, 32)"),
        (np.zeros((1, 3, 0, 32), np.float32), "nearest is 32x32"),
    ],
)
def test_bad_input_is_named(runtime, images, expected):
    with pytest.raises(ShapeError) as error:
        runtime.run(images)
    assert expected in str(error.value)


def test_it_says_what_really_runs(runtime):
    assert "cpu" in runtime.description.lower()
    assert "float32" in runtime.description


def test_closing_twice_is_harmless(files):
    for path in files.values():
        runtime = open_runtime(path, "cpu")
        runtime.close()
        runtime.close()


def test_a_closed_runtime_says_so(runtime):
    runtime.run(random_images())
    runtime.close()
    with pytest.raises(EngineFailure, match="closed; open the model again"):
        runtime.run(random_images())


def test_a_closed_runtime_keeps_no_network(net):
    runtime = TorchRuntime(copy.deepcopy(net), SPEC, torch.device("cpu"))
    kept = weakref.ref(runtime.net)
    runtime.run(random_images())
    runtime.close()
    gc.collect()
    assert kept() is None


def test_threads_get_their_own_answers(runtime):
    """Each thread has images of its own; a request or a buffer that they shared would mix them."""
    images = [random_images(hw=hw) * part for part in (0.3, 0.6, 1) for hw in ((64, 96), (32, 64))]
    expected = [runtime.run(one)["logits"] for one in images]

    def again(index):
        return [runtime.run(images[index])["logits"] for _ in range(8)]

    with ThreadPoolExecutor(len(images)) as pool:
        for found, wanted in zip(pool.map(again, range(len(images))), expected, strict=True):
            for one in found:
                np.testing.assert_array_equal(one, wanted)


def test_a_spec_is_not_replaced_afterwards(runtime):
    with pytest.raises(AttributeError):
        runtime.spec = SPEC


def renamed(source, target, **changes):
    """Copies an ONNX file; its spec says something else of it."""
    model = onnx.load(str(source))
    spec = dataclasses.replace(SPEC, **changes)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, str(target))
    return target


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_graph_without_the_outputs_of_its_spec_is_one_line(files, tmp_path, engine):
    path = renamed(files["onnx"], tmp_path / "a.onnx", outputs=segmentation_outputs(("a",), "maps"))
    with pytest.raises(ArtifactError, match=r"^a\.onnx returns logits; its spec says maps\."):
        open_runtime(path, "cpu", engine)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_precision_that_is_none_is_one_line(files, tmp_path, engine):
    model = onnx.load(str(files["onnx"]))
    text = SPEC.to_json().replace('"float32"', '"float1"')
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(ArtifactError, match="says precision is 'float1'; expected one of float32"):
        open_runtime(tmp_path / "a.onnx", "cpu", engine)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_weights_that_are_not_numbers_make_no_mask(files, tmp_path, engine):
    """OpenVINO's ReLU makes 0 of a NaN, and the mask would look like one."""
    model = onnx.load(str(files["onnx"]))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            break
    onnx.save(model, str(tmp_path / "nan.onnx"))
    with pytest.raises((ArtifactError, EngineFailure), match=r"not all numbers|Not every score"):
        Segmenter(tmp_path / "nan.onnx", "cpu", runtime=engine)(np.zeros((64, 96, 3), np.uint8))


class TwoTasks(torch.nn.Module):
    """A map and a vector, as one file that serves two tasks returns them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 2, 1)

    def forward(self, images):
        maps = self.conv(images)
        return maps, maps.mean((2, 3)) * torch.tensor([1.0, 10.0], dtype=maps.dtype)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_every_engine_returns_the_outputs_that_the_spec_names(tmp_path, precision):
    outputs = (*SPEC.outputs, Output("scores", "classification", ("cat", "dog")))
    spec = dataclasses.replace(SPEC, outputs=outputs, precision=precision)
    net, images = TwoTasks().eval(), random_images(2)
    write_onnx(net, spec, tmp_path / "two.onnx")
    runtimes = [TorchRuntime(net, spec, torch.device("cpu"), precision)]
    for engine in ("onnxruntime", "openvino"):
        options = {"precision": "float32"} if engine == "openvino" else {}
        runtimes.append(open_runtime(tmp_path / "two.onnx", "cpu", engine, **options))
    with torch.inference_mode():
        maps, scores = net(torch.from_numpy(images))
    for runtime in runtimes:
        found = runtime.run(images)
        assert list(found) == ["logits", "scores"]
        tolerance = {"float32": 2e-5, "float16": 2e-2}[precision]
        np.testing.assert_allclose(found["logits"], maps.numpy(), atol=tolerance)
        np.testing.assert_allclose(found["scores"], scores.numpy(), atol=10 * tolerance)
        assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_outputs_have_their_own_names_whatever_the_files_order(tmp_path, engine):
    outputs = (*SPEC.outputs, Output("scores", "classification", ("cat", "dog")))
    net, images = TwoTasks().eval(), random_images()
    write_onnx(net, dataclasses.replace(SPEC, outputs=outputs), tmp_path / "two.onnx")
    model = onnx.load(str(tmp_path / "two.onnx"))
    returned = [*model.graph.output][::-1]
    del model.graph.output[:]
    model.graph.output.extend(returned)
    onnx.save(model, str(tmp_path / "turned.onnx"))
    options = {"precision": "float32"} if engine == "openvino" else {}
    with open_runtime(tmp_path / "turned.onnx", "cpu", engine, **options) as runtime:
        found = runtime.run(images)
    with torch.inference_mode():
        maps, scores = net(torch.from_numpy(images))
    np.testing.assert_allclose(found["logits"], maps.numpy(), atol=2e-5)
    np.testing.assert_allclose(found["scores"], scores.numpy(), atol=2e-4)


def test_the_spec_travels(files):
    specs = {suffix: open_runtime(path, "cpu").spec for suffix, path in files.items()}
    assert specs["pt"] == SPEC and specs["xml"] == specs["onnx"]
    assert dataclasses.replace(specs["onnx"], source_sha256="") == SPEC
    assert len(specs["onnx"].source_sha256) == 64


def test_a_static_canvas_takes_nothing_else():
    spec = dataclasses.replace(SPEC, canvas_hw=(64, 96))
    with pytest.raises(ShapeError, match="takes 64x96; got 96x64"):
        FakeRuntime(lambda x: x, spec).run(random_images(hw=(96, 64)))


@pytest.mark.parametrize(
    ("suffix", "engine"),
    [(".onnx", "onnxruntime"), (".onnx", "openvino"), (".xml", "openvino"), (".pt", "torch")],
)
def test_damaged_files_get_one_clear_error(files, tmp_path, suffix, engine):
    source = files[suffix[1:]].read_bytes()
    for name, content in (("cut", source[: len(source) // 2]), ("text", b"hello"), ("empty", b"")):
        path = tmp_path / (name + suffix)
        path.write_bytes(content)
        with pytest.raises(ArtifactError) as error:
            open_runtime(path, "cpu", engine)
        assert path.name in str(error.value) and "\n" not in str(error.value)


def test_foreign_files_are_told_apart(files, tmp_path):
    model = onnx.load(str(files["onnx"]))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    for name, engine in (
        ("foreign.onnx", "onnxruntime"), ("foreign.onnx", "openvino"), ("foreign.pt", "torch")
    ):  # fmt: skip
        with pytest.raises(ArtifactError, match="foreign"):
            open_runtime(tmp_path / name, "cpu", engine)


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"format": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ArtifactError, match="trap"):
        open_runtime(tmp_path / "trap.pt", "cpu")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", ["pt", "onnx", "xml"])
def test_cuda_is_never_silently_replaced(files, kind):
    if torch.cuda.is_available():
        pytest.skip("gpu: this machine has one")
    with pytest.raises(EngineMissing, match="cuda"):
        open_runtime(files[kind], "cuda")


def test_what_cannot_be_opened_is_named(tmp_path, files):
    with pytest.raises(ArtifactError, match=r"\.onnx, \.pt, \.xml"):
        open_runtime(tmp_path / "model.tflite")
    with pytest.raises(ArtifactError, match="No model at"):
        open_runtime(tmp_path / "none.onnx")
    with pytest.raises(EngineMissing, match="auto, cpu, cuda"):
        open_runtime(files["pt"], "tpu")
    with pytest.raises(EngineMissing, match="runs on torch, not on 'openvino'"):
        open_runtime(files["pt"], runtime="openvino")
    with pytest.raises(EngineMissing, match="No precision 'bfloat16' for onnxruntime"):
        open_runtime(files["onnx"], precision="bfloat16")


@pytest.mark.parametrize(
    ("package", "module", "suffix"),
    [("onnxruntime", "ort", "onnx"), ("openvino", "ov", "xml"), ("torch", "pytorch", "pt")],
)
def test_a_missing_package_is_named(files, monkeypatch, package, module, suffix):
    monkeypatch.delitem(sys.modules, f"seg.runtimes.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineMissing, match=f"pip install {package}"):
        open_runtime(files[suffix], "cpu")


def test_segmenters_on_both_engines_draw_the_same_mask(files):
    image = np.random.default_rng(1).integers(0, 256, (77, 131, 3), dtype=np.uint8)
    masks = [
        Segmenter(files[suffix], device="cpu", **options)(image).labels
        for suffix, options in WAYS.values()
    ]
    assert masks[0].shape == (77, 131)
    assert all(np.mean(mask == masks[0]) > 0.9999 for mask in masks)


def test_openvino_says_which_precision_it_took(files):
    """Its default is bfloat16 where the CPU has it, so that alone must show."""
    has_bfloat16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with open_runtime(files["xml"], "cpu") as runtime:
        taken = "bfloat16" if has_bfloat16 else "float32"
        assert f"CPU, {taken} (its own choice here" in runtime.description
    with open_runtime(files["xml"], "cpu", precision="float32") as runtime:
        assert "float32 (as asked)" in runtime.description
    if not has_bfloat16:
        with pytest.raises(EngineMissing, match="take float32"):
            open_runtime(files["xml"], "cpu", precision="bfloat16")


def test_openvino_sends_no_telemetry(files, tmp_path):
    """Left alone, importing it writes an identity into the home folder and calls home."""
    script = (
        "import sys; from seg.runtimes.open import open_runtime; open_runtime(sys.argv[1], 'cpu');"
        "print([m for m in sys.modules if m.startswith('openvino_telemetry') and sys.modules[m]])"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    unwatched = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL")}
    child = subprocess.run(
        [sys.executable, "-c", script, files["xml"]],
        capture_output=True, text=True, env=unwatched | home, check=True,
    )  # fmt: skip
    assert child.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())
