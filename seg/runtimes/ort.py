"""ONNX Runtime: `.onnx` on the CPU or on CUDA."""

import os
from collections.abc import Mapping
from pathlib import Path

# From 1.32 on, it reports to its maker ten seconds after its import, and leaves an identity in the
# home folder. Nothing but this variable stops it, and only before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort

from seg.errors import ArtifactError, EngineFailure, EngineMissing
from seg.kinds import Device
from seg.results import Float32, UInt8
from seg.runtimes.base import Runtime, check_outputs
from seg.spec import METADATA_KEY, ModelSpec

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Float32 means float32: CUDA's convolutions would round to TF32 by default.
OPTIONS = {CUDA: {"use_tf32": "0"}, CPU: {}}


class OnnxRuntime(Runtime):
    """A session of ONNX Runtime with exactly the provider that was asked for."""

    def __init__(self, session: ort.InferenceSession, metadata: Mapping[str, str]) -> None:
        spec = ModelSpec.from_json(metadata[METADATA_KEY])
        provider = session.get_providers()[0]
        description = f"ONNX Runtime {ort.__version__}, {provider}, {spec.precision}"
        super().__init__(spec, description, spec.precision, metadata)
        self._session: ort.InferenceSession | None = session
        self._input = session.get_inputs()[0].name
        self._outputs = [output.name for output in spec.outputs]

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        assert self._session is not None
        try:
            arrays = self._session.run(self._outputs, {self._input: images})
        except Exception as error:
            raise EngineFailure(f"ONNX Runtime failed: {error}") from error
        return dict(zip(self._outputs, arrays, strict=True))

    def close(self) -> None:
        """As of `Runtime`."""
        with self._lock:
            super().close()
            self._session = None


def open_file(path: Path, device: Device) -> OnnxRuntime:
    """Opens an `.onnx` that `export/to_onnx.py` wrote; raises as `open_runtime` does."""
    session = _session(path, _providers(device))
    runtime = OnnxRuntime(session, _metadata(session, path))
    check_outputs(runtime.spec, [output.name for output in session.get_outputs()], path.name)
    return runtime


def spec_of(path: Path) -> ModelSpec:
    """Returns what a file is, of whatever outputs; raises ArtifactError where it is not ours."""
    return ModelSpec.from_json(_metadata(_session(path, [CPU]), path)[METADATA_KEY])


def _metadata(session: ort.InferenceSession, path: Path) -> Mapping[str, str]:
    metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ArtifactError(
            f"{path.name} carries no dinoseg spec; export it with export/to_onnx.py."
        )
    return metadata


def run_graph(path: Path, array: UInt8) -> UInt8:
    """Runs a graph from raw frames to masks on the CPU; raises as `Runtime.run` does."""
    session = _session(path, [CPU])
    try:
        outputs = session.run(None, {session.get_inputs()[0].name: array})
    except Exception as error:
        raise EngineFailure(f"ONNX Runtime failed: {error}") from error
    return np.asarray(outputs[0], np.uint8)


def _providers(device: Device) -> list[str]:
    built_in = ort.get_available_providers()
    if device == Device.CUDA and CUDA not in built_in:
        raise EngineMissing(
            "--device cuda: this ONNX Runtime was built without CUDA; "
            "install requirements-gpu.txt, or use --device cpu."
        )
    if device == Device.AUTO:
        return [CUDA, CPU] if CUDA in built_in else [CPU]
    return [CUDA] if device == Device.CUDA else [CPU]


def _session(path: Path, providers: list[str]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Idle threads that spin take the cores from decoding and encoding: a tenth of a video's rate.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(
            str(path), options, providers=[(name, OPTIONS[name]) for name in providers]
        )
    except Exception as error:
        raise ArtifactError(f"ONNX Runtime cannot read {path.name}: {error}") from error
    # ONNX Runtime answers a missing CUDA with a working CPU session and a warning.
    if providers == [CUDA] and CUDA not in session.get_providers():
        raise EngineMissing(
            "--device cuda: ONNX Runtime could not start CUDA here (driver, CUDA or cuDNN); "
            "see its message above, or use --device cpu."
        )
    return session
