"""No engine silently uses another device or precision; sessions and processors are fakes."""

from types import SimpleNamespace

import pytest

from seg import EngineMissing
from seg.kinds import Device
from seg.runtimes import ort as door
from seg.runtimes import ov
from seg.spec import METADATA_KEY
from tests.runtimes.test_contract import SPEC

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def sessions(monkeypatch):
    """An ONNX Runtime whose sessions run on what a test chooses; keeps what they were asked for."""
    world = SimpleNamespace(built_in=[CUDA, CPU], starts=[CPU], asked=[])

    class Session:
        def __init__(self, path, options, providers):
            world.asked.append(providers)

        def get_providers(self):
            return world.starts

        def get_modelmeta(self):
            return SimpleNamespace(custom_metadata_map={METADATA_KEY: SPEC.to_json()})

        def get_inputs(self):
            return [SimpleNamespace(name="images")]

        def get_outputs(self):
            return [SimpleNamespace(name="logits")]

    monkeypatch.setattr(door.ort, "InferenceSession", Session)
    monkeypatch.setattr(door.ort, "get_available_providers", lambda: world.built_in)
    return world


def test_cuda_that_does_not_start_is_not_the_cpu(sessions, tmp_path):
    """ONNX Runtime answers with a working session on the CPU, and a warning."""
    with pytest.raises(EngineMissing, match="--device cuda: ONNX Runtime could not start CUDA"):
        door.open_file(tmp_path / "a.onnx", Device.CUDA)
    assert sessions.asked == [[(CUDA, {"use_tf32": "0"})]]


def test_cuda_that_is_not_built_in_is_not_the_cpu(sessions, tmp_path):
    sessions.built_in = [CPU]
    with pytest.raises(EngineMissing, match=r"--device cuda: .* built without CUDA"):
        door.open_file(tmp_path / "a.onnx", Device.CUDA)
    assert not sessions.asked


def test_cuda_that_starts_is_asked_for_alone(sessions, tmp_path):
    sessions.starts = [CUDA, CPU]  # as a real one lists the CPU, which it always adds
    runtime = door.open_file(tmp_path / "a.onnx", Device.CUDA)
    assert CUDA in runtime.description and sessions.asked == [[(CUDA, {"use_tf32": "0"})]]


@pytest.mark.parametrize(
    ("device", "built_in", "starts", "asked", "expected"),
    [
        (Device.AUTO, [CUDA, CPU], [CUDA, CPU], [CUDA, CPU], CUDA),
        (Device.AUTO, [CUDA, CPU], [CPU], [CUDA, CPU], CPU),
        (Device.AUTO, [CPU], [CPU], [CPU], CPU),
        (Device.CPU, [CUDA, CPU], [CPU], [CPU], CPU),
    ],
)
def test_the_description_names_what_auto_took(
    sessions, tmp_path, device, built_in, starts, asked, expected
):
    sessions.built_in, sessions.starts = built_in, starts
    runtime = door.open_file(tmp_path / "a.onnx", device)
    assert [name for name, _ in sessions.asked[0]] == asked
    assert f", {expected}, float32" in runtime.description


class Compiled:
    """What OpenVINO compiled, in a precision of its own choice."""

    def __init__(self, hint):
        self.hint = hint

    def get_property(self, name):
        assert name == "INFERENCE_PRECISION_HINT"
        return SimpleNamespace(get_type_name=lambda: self.hint)

    def create_infer_request(self):
        return None


@pytest.mark.parametrize(
    ("hint", "asked"), [("bf16", "float32"), ("f32", "bfloat16"), ("f64", None), ("f16", "float32")]
)
def test_openvino_that_takes_another_precision_is_refused(hint, asked):
    with pytest.raises(EngineMissing, match=f"OpenVINO took {hint} instead"):
        ov.OpenVinoRuntime(Compiled(hint), ["logits"], {METADATA_KEY: SPEC.to_json()}, asked)


@pytest.mark.parametrize(
    ("hint", "asked", "own", "precision", "expected"),
    [
        ("f32", "float32", "float32", "float32", "CPU, float32 (as asked)"),
        ("bf16", None, "float32", "bfloat16", "CPU, bfloat16 (its own choice"),
        ("f32", None, "int8", "int8", "CPU, int8 and float32 (its own choice"),
        ("f32", None, "float16", "float16", "CPU, float32 (its own choice"),
    ],
)
def test_openvinos_precision_is_the_coarsest_on_the_way(hint, asked, own, precision, expected):
    metadata = {METADATA_KEY: SPEC.to_json().replace('"float32"', f'"{own}"')}
    runtime = ov.OpenVinoRuntime(Compiled(hint), ["logits"], metadata, asked)
    assert runtime.precision == precision and expected in runtime.description
