"""The TensorRT runtime on a stand-in: contract, sidecar, errors. Nothing here ran on a GPU."""

import dataclasses
import hashlib
import json
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from seg import ArtifactError, EngineFailure, EngineMissing, Segmenter, ShapeError
from seg.predictors.decode import decode_logits
from seg.runtimes.engine_metadata import EngineMetadata, GpuEnvironment
from seg.runtimes.open import open_runtime
from seg.spec import ModelSpec, segmentation_outputs

HERE = GpuEnvironment(tensorrt="10.3.0", gpu="Fake GPU", capability="8.7")
SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(60, 90),
    canvas_hw=(64, 96),
    stride=32,
)


HALF = dataclasses.replace(SPEC, precision="float16")


@pytest.fixture
def plan():
    """An engine for `logits = images[:, :2] - 0.5` at any batch."""
    value, node = helper.make_tensor_value_info, helper.make_node
    tensor = helper.make_tensor
    graph = helper.make_graph(
        [node("Slice", ["images", "a", "b", "c"], ["two"]), node("Sub", ["two", "h"], ["logits"])],
        "by hand",
        [value("images", TensorProto.FLOAT, ["batch", 3, 64, 96])],
        [value("logits", TensorProto.FLOAT, ["batch", 2, 64, 96])],
        [
            *(tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("a", 0), ("b", 2), ("c", 1))),
            tensor("h", TensorProto.FLOAT, [], [0.5]),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.checker.check_model(model)
    return b"plan:" + model.SerializeToString()


def write(folder, plan, **changes):
    path = folder / "person.engine"
    path.write_bytes(plan)
    metadata = EngineMetadata(
        spec=SPEC, machine=HERE, plan_sha256=hashlib.sha256(plan).hexdigest(), onnx_sha256="0" * 64,
        precision_mode="float16", tensors={"float16": 3}, batch=2, parity={"frames": 4},
    )  # fmt: skip
    dataclasses.replace(metadata, **changes).write(path)
    return path


def random_images(batch=1):
    return np.random.default_rng(0).random((batch, 3, 64, 96), dtype=np.float32)


def test_logits_are_the_engines_for_each_batch(tensorrt, tmp_path, plan):
    with open_runtime(write(tmp_path, plan)) as runtime:
        for batch in (1, 2, 1):
            images = random_images(batch)
            logits = runtime.run(images)["logits"]
            assert logits.dtype == np.float32
            np.testing.assert_array_equal(logits, images[:, :2] - np.float32(0.5))
            assert runtime.enqueued_s > 0
        many = random_images(5)  # 2 and 2 and 1
        np.testing.assert_array_equal(runtime.run(many)["logits"], many[:, :2] - np.float32(0.5))
    assert tensorrt.did("context") == 2 and tensorrt.did("replay") == 6


def test_results_belong_to_the_caller(tensorrt, tmp_path, plan):
    with open_runtime(write(tmp_path, plan)) as runtime:
        images = random_images()
        first = runtime.run(images)["logits"]
        kept = first.copy()
        runtime.run(1 - images)
        np.testing.assert_array_equal(first, kept)


def test_images_on_the_gpu_are_split_and_their_results_belong_to_the_caller(
    tensorrt, tmp_path, plan
):
    with open_runtime(write(tmp_path, plan)) as runtime:
        many = random_images(5)  # 2 and 2 and 1
        for count in (5, 1):
            first = runtime.run_tensors(torch.from_numpy(many[:count]))["logits"]
            runtime.run_tensors(torch.from_numpy(1 - many))
            np.testing.assert_array_equal(first.numpy(), many[:count, :2] - np.float32(0.5))


def test_results_are_read_when_the_gpu_is_done(tensorrt, tmp_path, plan):
    """The last copy only is enqueued: until its stream is waited for, memory holds anything."""
    with open_runtime(write(tmp_path, plan)) as runtime:
        runtime.run(random_images())
    assert tensorrt.log[-2:] == ["replay", "synchronize"]


def test_an_engine_that_takes_another_type_is_refused(tensorrt, tmp_path, plan):
    model = onnx.load_from_string(plan.removeprefix(b"plan:"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    half = b"plan:" + model.SerializeToString()
    with pytest.raises(ArtifactError, match="'images' is not float32; build it again"):
        open_runtime(write(tmp_path, half))


def test_input_in_any_memory_order_gives_the_same(tensorrt, tmp_path, plan):
    with open_runtime(write(tmp_path, plan)) as runtime:
        turned = np.asfortranarray(random_images())
        np.testing.assert_array_equal(runtime.run(turned)["logits"], turned[:, :2] - 0.5)
        with pytest.raises(ShapeError, match="takes 64x96"):
            runtime.run(np.zeros((1, 3, 64, 64), np.float32))


def test_it_says_what_really_runs_and_closes_twice(tensorrt, tmp_path, plan):
    runtime = open_runtime(write(tmp_path, plan, spec=HALF))
    assert runtime.spec == HALF and runtime.precision == "float16"
    for word in ("TensorRT 10.3.0", "Fake GPU", "float16", "CUDA graph"):
        assert word in runtime.description
    runtime.close()
    runtime.close()
    with pytest.raises(EngineFailure, match="closed"):
        runtime.run(random_images())


@pytest.mark.parametrize(
    ("built", "flags", "expected"),
    [
        ({"tensorrt": "10.2.0"}, {}, "built by TensorRT 10.2.0, here is 10.3.0"),
        ({"gpu": "Orin"}, {}, r"built for Orin \(8.7\), here is Fake GPU \(8.7\)"),
        ({"tensorrt": "10.16.1"}, {"version_compatible": True}, "built by TensorRT 10.16.1"),
        ({"tensorrt": "9.9.9"}, {"version_compatible": True}, None),
        ({"gpu": "A100", "capability": "8.0"}, {"hardware_compatible": True}, None),
        ({"gpu": "A100"}, {"version_compatible": True}, "built for A100"),
    ],
)
def test_an_engine_built_elsewhere_is_refused(tensorrt, tmp_path, plan, built, flags, expected):
    path = write(tmp_path, plan, machine=dataclasses.replace(HERE, **built), **flags)
    if expected is None:
        open_runtime(path).close()
        assert tensorrt.did(f"host code {flags.get('version_compatible', False)}") == 1
    else:
        with pytest.raises(ArtifactError, match=f"(?s){expected}.*--rebuild"):
            open_runtime(path)
        assert not tensorrt.log


@pytest.mark.parametrize(("capability", "runs"), [("7.5", False), ("8.0", True), ("10.0", True)])
def test_an_engine_for_ampere_and_later_runs_on_no_gpu_before_it(tmp_path, plan, capability, runs):
    path = write(tmp_path, plan, hardware_compatible=True)
    here = dataclasses.replace(HERE, gpu="another", capability=capability)
    assert (EngineMetadata.read(path).incompatibilities(here) == []) == runs


def test_an_engine_and_its_metadata_belong_together(tensorrt, tmp_path, plan):
    path = write(tmp_path, plan)
    path.write_bytes(plan[:-1])
    with pytest.raises(ArtifactError, match=r"not the engine that person\.engine\.json describes"):
        open_runtime(path)
    sidecar = tmp_path / "person.engine.json"
    sound = sidecar.read_text()
    changes = {
        "dinoseg engine 1": "dinoseg engine 0",
        '"tensors"': '"sensors"', '"batch": 2': '"batch": "2"',
        '"gpu": "Fake GPU"': '"gpu": 5', '"rung": "float16"': '"rung": []',
    }  # fmt: skip
    assert all(old in sound for old in changes)
    damaged = [sound.replace(*change) for change in changes.items()]
    for text in ("", "[]", "{}", "[" * 99_999, *damaged):
        sidecar.write_text(text)
        with pytest.raises(ArtifactError, match=r"person\.engine\.json is damaged"):
            open_runtime(path)
    sidecar.unlink()
    with pytest.raises(ArtifactError, match=r"No person\.engine\.json beside"):
        open_runtime(path)
    assert not tensorrt.log


def test_the_metadata_comes_back_as_it_was_written(tmp_path, plan):
    path = write(tmp_path, plan, precision_mode="float16-islands", version_compatible=True)
    metadata = EngineMetadata.read(path)
    assert (metadata.spec, metadata.machine, metadata.precision_mode) == (
        SPEC,
        HERE,
        "float16-islands",
    )
    values = json.loads((tmp_path / "person.engine.json").read_text())
    assert values["machine"] == {"tensorrt": "10.3.0", "gpu": "Fake GPU", "capability": "8.7"}
    assert values["rung"] == "float16-islands" and values["metadata"] == {}
    assert values["version_compatible"] is True and values["spec"]["canvas_hw"] == [64, 96]


def test_a_plan_that_tensorrt_cannot_read_says_why(tensorrt, tmp_path):
    with pytest.raises(EngineFailure, match="cannot read the engine: Serialization assertion mag"):
        open_runtime(write(tmp_path, b"no plan"))


def test_the_cpu_is_never_a_silent_fallback(tensorrt, tmp_path, plan):
    with pytest.raises(EngineMissing, match="--device cpu"):
        open_runtime(write(tmp_path, plan), "cpu")
    tensorrt.gpu = False
    for device in ("auto", "cuda"):
        with pytest.raises(EngineMissing, match="NVIDIA GPU"):
            open_runtime(write(tmp_path, plan), device)


def test_a_missing_package_is_named(monkeypatch, tmp_path, plan):
    monkeypatch.delitem(sys.modules, "seg.runtimes.trt", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineMissing, match="pip install tensorrt"):
        open_runtime(write(tmp_path, plan))


def test_a_frame_becomes_a_mask_on_the_gpu(tensorrt, tmp_path, plan):
    image = np.random.default_rng(1).integers(0, 256, (64, 90, 3), dtype=np.uint8)
    with Segmenter(write(tmp_path, plan)) as segmenter:
        (found,) = segmenter.predict_logits(image)
        assert tensorrt.did("replay") == 1
        pixels, letterbox = segmenter.pack(image)
        expected = segmenter.run(pixels)[0]
    np.testing.assert_allclose(found.logits, expected, atol=1.01 / 255)
    assert (found.labels == decode_logits(found.logits, letterbox.unpack)).mean() > 0.999
    assert 0.1 < found.labels.mean() < 0.9
