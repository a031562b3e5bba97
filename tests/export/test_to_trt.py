"""Building engines on a stand-in for TensorRT: modes, checks, metadata. Nothing ran on a GPU."""

import dataclasses
import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from export import to_trt
from seg import ArtifactError, ParityError, Segmenter, SpecMismatch, cli
from seg.benchmark.entries import Entry
from seg.benchmark.parity_check import check
from seg.exporting.precision import convert_precision
from seg.exporting.precision_modes import PrecisionMode
from seg.kinds import Precision
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes.engine_metadata import EngineMetadata
from seg.runtimes.open import open_runtime
from seg.spec import METADATA_KEY
from seg.verification.self_test import verify
from tests.export.hand_made import SPEC, network


@pytest.fixture
def lite(tmp_path):
    return network(tmp_path / "lite.onnx")


def build(model, *flags, output=None):
    output = output or model.with_suffix(".engine")
    if "--input" not in flags:
        flags = (*flags, "--input", model.parent / "frames")
    return cli.run(to_trt.main, ["--model", str(model), "--output", str(output), *map(str, flags)])


def metadata_of(model):
    return EngineMetadata.read(model.with_suffix(".engine"))


def test_the_engine_draws_the_sources_masks(tensorrt, lite, capsys):
    assert build(lite) == 0
    engine = lite.with_suffix(".engine")
    assert capsys.readouterr().out.strip() == str(engine)
    assert tensorrt.did("built float16") == 1 and tensorrt.did("no TF32") == 1
    assert tensorrt.did("profile 1..1 of 64x96") == 1
    names = sorted(path.name for path in lite.parent.glob("*.*"))
    assert names == ["lite.engine", "lite.engine.json", "lite.onnx"]
    metadata = metadata_of(lite)
    assert (metadata.precision_mode, metadata.spec.precision, metadata.batch) == (
        "float16",
        "float16",
        1,
    )
    assert metadata.spec.canvas_hw == (64, 96) and metadata.tensors == {"float32": 1, "float16": 2}
    assert metadata.parity["frames"] == 1 and metadata.parity["agreement"] >= 0.999
    image = np.random.default_rng(0).integers(0, 256, (33, 57, 3), dtype=np.uint8)
    with Segmenter(engine) as built, Segmenter(lite, "cpu") as source:
        assert np.mean(built(image).labels == source(image).labels) > 0.99
        assert built.runtime.run(np.ones((1, 3, 64, 96), np.float32))["logits"].shape[1] == 2


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
def test_an_engine_is_held_to_the_limits_of_what_it_computes_in(tensorrt, lite, precision):
    assert build(lite, "--precision", precision) == 0
    disc = cv2.imread(str(lite.parent / "frames" / "disc.png"))
    with open_runtime(lite, "cpu") as reference:
        verdict = check(Entry(lite.with_suffix(".engine")), reference, [disc])
    assert verdict.precision == precision and verdict.passes


def test_an_engine_carries_its_sources_scores_and_tests_itself(tensorrt, lite):
    assert build(lite) == 0
    engine = lite.with_suffix(".engine")
    with Segmenter(engine) as built:
        found = verify(built)
    assert 1e-6 < found.error < 1e-2  # what float16 rounds
    assert found.gpu_path is not None and found.gpu_path.disagreement < 1e-3
    tensorrt.spoiled = ("float16",)  # another driver, and the classes come out swapped
    with Segmenter(engine) as built, pytest.raises(ParityError, match=r"at most 0\.01 in float16"):
        verify(built)


def test_an_engine_with_the_right_masks_and_other_scores_is_not_kept(tensorrt, lite, capsys):
    tensorrt.offset = 3.0  # of both classes
    assert build(lite, "--precision", "float32") == 1
    assert "scores are off by" in capsys.readouterr().err
    assert not lite.with_suffix(".engine").exists()


def test_an_engine_of_an_older_version_carries_no_scores(tensorrt, lite):
    assert build(lite) == 0
    path = lite.with_name("lite.engine.json")
    values = json.loads(path.read_text())
    del values["metadata"]
    path.write_text(json.dumps(values))
    with Segmenter(lite.with_suffix(".engine")) as built:
        assert built(np.zeros((64, 96, 3), np.uint8)).labels.shape == (64, 96)
        with pytest.raises(ArtifactError, match="carries no scores"):
            verify(built)


@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize(
    ("norm", "spoiled", "built"),
    [
        (True, (), "float16"),
        (True, ("float16",), "float16-mixed"),
        (True, ("float16", "float16-mixed"), "bfloat16"),
        (False, ("float16",), "bfloat16"),
        (False, ("float16", "bfloat16"), "float32"),
    ],
)
def test_the_first_mode_that_passes_is_kept(tensorrt, tmp_path, norm, spoiled, built, nan, capsys):
    model = network(tmp_path / "net.onnx", norm)
    tensorrt.spoiled, tensorrt.nan = spoiled, nan
    assert build(model) == 0
    modes = [line.removeprefix("built ") for line in tensorrt.log if line.startswith("built")]
    assert modes == [*spoiled, built] and metadata_of(model).precision_mode == built
    said = capsys.readouterr().err
    for mode in spoiled:
        assert f"{mode}: {'Not every score' if nan else 'The results differ'}" in said


def test_without_input_the_free_photos_are_compared(tensorrt, lite):
    output = str(lite.with_suffix(".engine"))
    assert cli.run(to_trt.main, ["--model", str(lite), "--output", output]) == 0
    assert metadata_of(lite).parity["frames"] == 4


def test_where_no_mode_passes_there_is_no_engine(tensorrt, lite, capsys):
    tensorrt.spoiled = tuple(PrecisionMode)
    assert build(lite) == 1
    assert "No precision gives the source's results" in capsys.readouterr().err
    assert [path.name for path in lite.parent.glob("*.*")] == ["lite.onnx"]


def test_one_mode_can_be_asked_for(tensorrt, lite, capsys):
    assert build(lite, "--precision", "bfloat16") == 0
    assert metadata_of(lite).spec.precision == "bfloat16"
    tensorrt.spoiled = ("float32",)
    assert build(lite, "--precision", "float32", "--rebuild") == 1
    assert "results differ" in capsys.readouterr().err
    assert metadata_of(lite).spec.precision == "bfloat16"  # what was there is still there, whole


@pytest.mark.parametrize("kind", ["Float", "Row major linear FP32", "Int8"])
def test_an_engine_that_came_out_float32_is_an_error(tensorrt, lite, kind, capsys):
    tensorrt.comes_out = kind
    assert build(lite) == 1
    said = capsys.readouterr().err
    assert "error: The graph is float16, and the engine came out different" in said
    assert tensorrt.did("built float16") == 1 and not lite.with_suffix(".engine").exists()


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("Channel major FP16 format where channel % 8 == 0", "float16"),
        ("Row major linear BF16", "bfloat16"),
        ("Row major linear FP32", "float32"),
    ],
)
def test_the_inspectors_long_names_are_read(tensorrt, lite, kind, precision):
    tensorrt.comes_out = kind
    assert build(lite, "--precision", precision) == 0
    assert metadata_of(lite).tensors[precision] >= 2


def test_an_inspector_that_names_no_type_proves_none(tensorrt):
    """So it answers where an engine was built without details: with the names of layers alone."""
    from seg.exporting.tensorrt import check_tensor_types

    inspector = SimpleNamespace(get_engine_information=lambda form: '{"Layers": ["one", "two"]}')
    engine = SimpleNamespace(create_engine_inspector=lambda: inspector)
    with pytest.raises(SpecMismatch, match="is float16, and the engine came out different"):
        check_tensor_types(engine, Precision.FLOAT16)


def test_parser_errors_are_listed(tensorrt, lite, capsys):
    tensorrt.parser_errors = (("Foo", "node_1", "no importer"), ("Conv", "node_2", "bad kernel"))
    assert build(lite, "--precision", "float16") == 1
    said = capsys.readouterr().err
    assert "Foo 'node_1': no importer" in said and "Conv 'node_2': bad kernel" in said


def test_a_failed_build_says_why(tensorrt, lite, capsys):
    tensorrt.build_fails = True
    assert build(lite, "--precision", "float16") == 1
    assert "Could not find any implementation" in capsys.readouterr().err


def test_options_reach_the_builder(tensorrt, lite):
    flags = ["--batch", 4, "--imgsz", 60, 50, "--workspace", 512]
    assert build(lite, *flags, "--version-compatible", "--hardware-compatible") == 0
    assert tensorrt.did("profile 1..4 of 64x64") == 1
    assert tensorrt.did(f"WORKSPACE {512 * 1024 * 1024}") == 1
    assert tensorrt.did("flag VERSION_COMPATIBLE") == 1 and tensorrt.did("host code True") == 1
    metadata = metadata_of(lite)
    assert metadata.version_compatible and metadata.hardware_compatible and metadata.batch == 4
    assert (metadata.spec.input_hw, metadata.spec.canvas_hw) == ((50, 60), (64, 64))


def test_timings_are_kept_for_the_next_build(tensorrt, lite, capsys):
    cache = lite.parent / "cache"
    assert build(lite, "--timing-cache", cache) == 0
    assert cache.read_bytes() == b"measured" and tensorrt.did("timings b''") == 1
    assert build(lite, "--timing-cache", cache, "--rebuild") == 0
    assert tensorrt.did("timings b'measured'") == 1
    tensorrt.foreign_cache = True
    assert build(lite, "--timing-cache", cache, "--rebuild") == 1
    assert "another GPU or TensorRT" in capsys.readouterr().err


def test_a_full_disk_leaves_the_engine_of_before(tensorrt, lite, monkeypatch, capsys):
    assert build(lite) == 0
    files = [lite.with_suffix(".engine"), lite.with_suffix(".engine.json")]
    before = [path.read_bytes() for path in files]

    def write_half(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    assert build(lite, "--rebuild", "--precision", "float32") == 1
    assert "No space left" in capsys.readouterr().err
    assert [path.read_bytes() for path in files] == before
    assert open_runtime(files[0]).precision == "float16"


def test_an_engine_for_batches_is_none_for_single_images(tensorrt, lite, capsys):
    assert build(lite, "--batch", 2) == 0 and build(lite, "--batch", 2) == 0
    assert build(lite) == 1
    assert "the batch is another" in capsys.readouterr().err


def test_what_is_up_to_date_is_left_alone(tensorrt, lite, capsys):
    assert build(lite) == 0
    before = lite.with_suffix(".engine").stat().st_mtime_ns
    assert build(lite) == 0
    assert tensorrt.did("built float16") == 1
    assert lite.with_suffix(".engine").stat().st_mtime_ns == before
    assert build(lite, "--rebuild") == 0 and tensorrt.did("built float16") == 2
    for flags, reason in (
        (["--batch", 2], "the batch is another"),
        (["--imgsz", 32, 32], "the size is another"),
        (["--precision", "float32"], "the precision is another"),
        (["--version-compatible"], "--version-compatible is another"),
    ):
        assert build(lite, *flags) == 1
        said = capsys.readouterr().err
        assert reason in said and "--rebuild" in said


def test_a_stale_engine_is_explained_and_rebuilt(tensorrt, lite, capsys):
    assert build(lite) == 0
    path = lite.with_name("lite.engine.json")
    values = json.loads(path.read_text())
    values["machine"] |= {"tensorrt": "8.6.1", "gpu": "Tesla T4"}
    path.write_text(json.dumps(values))
    network(lite, norm=True)
    assert build(lite) == 1
    said = capsys.readouterr().err
    for reason in ("built by TensorRT 8.6.1, here is 10.3.0", "Tesla T4", "its source is another"):
        assert reason in said
    assert build(lite, "--rebuild") == 0
    assert metadata_of(lite).machine.gpu == "Fake GPU"


def test_a_file_that_is_not_ours_is_not_overwritten(tensorrt, lite, capsys):
    lite.with_suffix(".engine").write_text("mine")
    assert build(lite) == 1
    assert "lite.engine.json" in capsys.readouterr().err
    assert lite.with_suffix(".engine").read_text() == "mine"


def test_a_static_file_keeps_its_size(tensorrt, tmp_path, capsys):
    model = network(tmp_path / "static.onnx", canvas_hw=(64, 96))
    for flags, said in (
        (["--imgsz", 64, 64], "exported for 96x64"),
        (["--batch", 2], "batches of 1, and --batch asks for 2"),
    ):
        assert build(model, *flags) == 1
        assert said in capsys.readouterr().err
    assert build(model) == 0
    assert not [line for line in tensorrt.log if line.startswith("profile")]


@pytest.mark.parametrize("flags", [[], ["--batch", 4]])
def test_a_file_of_a_fixed_batch_becomes_an_engine_of_that_batch(tensorrt, tmp_path, flags):
    model = network(tmp_path / "four.onnx", canvas_hw=(64, 96), batch=4)
    assert build(model, *flags) == 0
    metadata = metadata_of(model)
    assert (metadata.batch, metadata.spec.batch, metadata.spec.canvas_hw) == (4, 4, (64, 96))
    assert not [line for line in tensorrt.log if line.startswith("profile")]
    image = np.random.default_rng(0).integers(0, 256, (33, 57, 3), dtype=np.uint8)
    images = np.random.default_rng(0).random((6, 3, 64, 96), np.float32)
    with Segmenter(model.with_suffix(".engine")) as built, Segmenter(model, "cpu") as source:
        assert np.mean(built(image).labels == source(image).labels) > 0.99
        got, expected = (one.runtime.run(images)["logits"] for one in (built, source))
    assert got.shape == (6, 2, 64, 96)
    np.testing.assert_allclose(got, expected, atol=5e-3)  # float16 against float32
    assert build(model, *flags) == 0 and tensorrt.did("built float16") == 1
    assert build(model, "--batch", 2) == 1


def test_integers_are_no_source(tensorrt, lite, capsys):
    model = onnx.load(str(lite))
    spec = dataclasses.replace(SPEC, precision="int8")
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, str(lite))
    assert build(lite) == 1
    assert "is int8" in capsys.readouterr().err and not lite.with_suffix(".engine").exists()


def test_a_file_that_is_narrow_already_is_taken_as_it_is(tensorrt, lite):
    narrow = convert_precision(onnx.load(str(lite)), PrecisionMode.FLOAT16)
    spec = dataclasses.replace(SPEC, precision="float16")
    helper.set_model_props(narrow, {METADATA_KEY: spec.to_json()})
    path = lite.with_name("narrow.onnx")
    onnx.save(narrow, str(path))
    assert build(path) == 0
    assert metadata_of(path).precision_mode == "float16" and tensorrt.did("built float16") == 1


def checkpoint(folder, spec):
    """Writes a network with random weights, and the frame of the disc."""
    network(folder / "unused.onnx").unlink()
    torch.manual_seed(0)
    net = build_net(spec)
    head = net.head if spec.arch == "lite" else net.head.conv_seg
    torch.nn.init.normal_(head.weight)
    save_net(folder / f"{spec.arch}.pt", net, spec)
    return folder / f"{spec.arch}.pt"


@pytest.fixture
def tiny14(monkeypatch, tmp_path):
    """A checkpoint of a tiny DINOv2."""
    tiny = ViTConfig(embed_dim=48, depth=1, num_heads=3)
    monkeypatch.setitem(BACKBONES, "tiny14", dinov2("tiny14", tiny))
    return checkpoint(tmp_path, dataclasses.replace(SPEC, arch="tiny14", stride=14, layers=(0,)))


def test_a_checkpoint_of_any_size_becomes_an_engine_of_several_images(tensorrt, tmp_path, capsys):
    path = checkpoint(tmp_path, SPEC)
    assert build(path, "--batch", 3, "--imgsz", 96, 64, "--precision", "float32") == 0
    assert tensorrt.did("profile 1..3 of 64x96") == tensorrt.did("tuned for 3") == 1
    metadata = metadata_of(path)
    assert (metadata.batch, metadata.spec.batch, metadata.parity["frames"]) == (3, None, 1)
    assert "ONNX: compared with torch" in capsys.readouterr().err
    assert build(path, "--batch", 3) == 0 and tensorrt.did("built float32") == 1
    path.write_bytes(path.read_bytes() + b" ")
    assert build(path, "--batch", 3) == 1
    assert "its source is another" in capsys.readouterr().err


def test_a_checkpoint_of_one_canvas_keeps_batch_and_images(tensorrt, tiny14):
    path = tiny14
    assert build(path, "--batch", 2, "--imgsz", 96, 40, "--precision", "float32") == 0
    metadata = metadata_of(path)
    assert (metadata.batch, metadata.spec.batch, metadata.spec.canvas_hw) == (2, 2, (42, 98))
    assert metadata.parity["frames"] == 1  # those of --input, not the four photos
    # The disc's frame gets 42x70 in the apps; the ONNX file's own record of that is kept.
    record = json.loads(metadata.onnx_metadata["dinoseg.parity"])
    assert record["in_apps"]["segmentation"]["frames"] == 1 and "torch" in record["source"]
    assert not [line for line in tensorrt.log if line.startswith("profile")]
    images = np.random.default_rng(0).random((3, 3, 42, 98), np.float32)
    with Segmenter(path.with_suffix(".engine")) as built, Segmenter(path, "cpu") as source:
        got, expected = (one.runtime.run(images)["logits"] for one in (built, source))
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_a_checkpoint_that_is_none_is_not_built(tensorrt, tmp_path, capsys):
    path = network(tmp_path / "net.onnx").with_name("bad.pt")
    path.write_bytes(b"no checkpoint")
    assert build(path) == 1
    said = capsys.readouterr().err
    assert "bad.pt is not a checkpoint" in said
    assert not tensorrt.log and not path.with_suffix(".engine").exists()


def test_renamed_and_unknown_modes_are_usage_errors(lite, capsys):
    for name, said in (
        ("float16-islands", "'float16-islands' is now 'float16-mixed'"),
        ("float17", "expected one of auto, float16, float16-mixed, bfloat16, float32"),
    ):
        with pytest.raises(SystemExit, match="2"):
            build(lite, "--precision", name)
        assert said in capsys.readouterr().err


def test_without_a_gpu_there_is_one_line(tensorrt, lite, capsys):
    tensorrt.gpu = False
    assert build(lite) == 1
    said = capsys.readouterr().err
    assert said == "error: TensorRT needs an NVIDIA GPU, and torch found none.\n"


def test_a_builder_that_does_not_start_is_explained(tensorrt, lite, capsys, monkeypatch):
    """torch sees a GPU and TensorRT does not: a driver too old for it."""
    from seg.runtimes import trt

    monkeypatch.setattr(trt.torch.cuda, "is_available", lambda: True)
    tensorrt.gpu = False
    assert build(lite) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no GPU, or no driver" in said and "error: 35" in said


def test_without_the_package_there_is_one_line(lite, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "seg.runtimes.trt", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert build(lite) == 1
    assert capsys.readouterr().err == (
        "error: An engine needs the package tensorrt: pip install tensorrt\n"
    )


@pytest.mark.parametrize(
    ("model", "output", "said"),
    [("none.onnx", "a.engine", "No model at"), ("lite.onnx", "a.plan", "FILE.engine")],
)
def test_bad_names_get_one_line(lite, model, output, said, capsys):
    assert build(lite.with_name(model), output=lite.with_name(output)) == 1
    assert said in capsys.readouterr().err
