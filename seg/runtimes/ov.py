"""OpenVINO: `.xml`, or the same `.onnx` that ONNX Runtime reads, on the CPU."""
# ruff: noqa: E402 - OpenVINO is imported after its telemetry is blocked

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Importing OpenVINO reports the import to its maker and leaves an identity in the home folder,
# unless its telemetry package cannot be found.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import numpy as np
import openvino
from openvino.frontend import FrontEndManager

from seg.errors import ArtifactError, EngineFailure, EngineMissing
from seg.kinds import Device, Precision
from seg.results import Float32
from seg.runtimes.base import Runtime, check_outputs
from seg.spec import METADATA_KEY, ModelSpec

DEVICE = "CPU"
PRECISIONS = {precision.openvino_hint: precision for precision in Precision}


class OpenVinoRuntime(Runtime):
    """A network compiled by OpenVINO.

    Args:
        compiled: The network.
        outputs: The names of what it returns, as its file has them.
        metadata: Of its file.
        asked: The precision that was pinned; None where OpenVINO chose.
    """

    def __init__(
        self,
        compiled: openvino.CompiledModel,
        outputs: Sequence[str],
        metadata: Mapping[str, str],
        asked: str | None,
    ) -> None:
        spec = ModelSpec.from_json(metadata[METADATA_KEY])
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        taken = PRECISIONS.get(hint)
        if taken is None or (asked and taken != asked):
            raise EngineMissing(f"--precision {asked or 'float32'}: OpenVINO took {hint} instead.")
        precision = Precision.coarsest([taken, spec.precision])
        version = openvino.__version__.split("-")[0]
        choice = "as asked" if asked else "its own choice here; --precision pins it"
        ints = "int8 and " if precision == Precision.INT8 else ""
        description = f"OpenVINO {version}, {DEVICE}, {ints}{taken} ({choice})"
        super().__init__(spec, description, precision, metadata)
        self._request: openvino.InferRequest | None = compiled.create_infer_request()
        self._outputs = outputs

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        assert self._request is not None
        try:
            # Without shared outputs each array is a copy, which the next run does not change.
            arrays = self._request.infer([images], share_inputs=True, share_outputs=False)
        except Exception as error:
            raise EngineFailure(f"OpenVINO failed: {_last_line(error)}") from error
        named = dict(zip(self._outputs, arrays.values(), strict=True))
        return {output.name: named[output.name] for output in self.spec.outputs}

    def close(self) -> None:
        """As of `Runtime`."""
        with self._lock:
            super().close()
            self._request = None


def open_file(path: Path, device: Device, precision: str | None = None) -> OpenVinoRuntime:
    """Opens a model; raises as `open_runtime` does.

    Args:
        path: An `.onnx` that `export/to_onnx.py` wrote, or an `.xml` made from it.
        device: `auto` or `cpu`.
        precision: `float32` or `bfloat16`, what it computes in; None leaves it to OpenVINO, which
            takes bfloat16 where the CPU has it, and the description says so.
    """
    core = openvino.Core()
    if precision == Precision.BFLOAT16 and "BF16" not in core.get_property(
        DEVICE, "OPTIMIZATION_CAPABILITIES"
    ):
        raise EngineMissing("--precision bfloat16: this CPU has none; take float32.")
    model = _read(core, path)
    metadata = _metadata(model, path)
    # Asked now: compiled, an output may also have the name of what was before a dropped Cast.
    outputs = [output.get_any_name() for output in model.outputs]
    check_outputs(ModelSpec.from_json(metadata[METADATA_KEY]), outputs, path.name)
    _check_weights(model, path)
    hint = Precision(precision).openvino_hint if precision else None
    properties = {"INFERENCE_PRECISION_HINT": hint} if hint else {}
    try:
        compiled = core.compile_model(model, DEVICE, properties)
    except Exception as error:
        raise ArtifactError(f"OpenVINO cannot compile {path.name}: {_last_line(error)}") from error
    return OpenVinoRuntime(compiled, outputs, metadata, precision)


def _read(core: openvino.Core, path: Path) -> openvino.Model:
    try:
        if path.suffix == ".onnx":
            # Named, since `read_model` asks every front end in turn and each complains on stderr.
            reader = FrontEndManager().load_by_framework("onnx")
            return reader.convert(reader.load(str(path)))
        return core.read_model(path)
    except Exception as error:
        raise ArtifactError(f"OpenVINO cannot read {path.name}: {_last_line(error)}") from error


def _check_weights(model: openvino.Model, path: Path) -> None:
    """Raises where a weight is NaN, which OpenVINO's ReLU turns into 0 without a word."""
    for node in model.get_ops():
        is_weight = node.get_type_name() == "Constant" and node.get_element_type().is_real()
        if is_weight and np.isnan(node.get_data(dtype=np.float32)).any():
            raise ArtifactError(
                f"{path.name}: the weights '{node.get_friendly_name()}' are not all numbers; "
                "export it again from a sound checkpoint."
            )


def _metadata(model: openvino.Model, path: Path) -> dict[str, str]:
    """Returns the metadata of the ONNX file, which OpenVINO keeps under `framework`."""
    found = model.rt_info["framework"] if model.has_rt_info(["framework"]) else {}
    if METADATA_KEY not in found:
        raise ArtifactError(
            f"{path.name} carries no dinoseg spec; export it with export/to_onnx.py."
        )
    return {key: str(getattr(value, "value", value)) for key, value in found.items()}


def _last_line(error: Exception) -> str:
    """Returns what happened, without the lines about OpenVINO's source files."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
