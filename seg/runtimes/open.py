"""Engines behind one interface. `open_runtime` picks one by the file's suffix, or by name."""

import importlib
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from seg.errors import ArtifactError, EngineMissing, SpecMismatch
from seg.runtimes.base import Runtime

# name, which is the package -> module with `open_file(path, device) -> Runtime`, and what it reads.
# The first that reads a suffix is that suffix's default.
ENGINES = {
    "onnxruntime": ("seg.runtimes.ort", (".onnx",)),
    "openvino": ("seg.runtimes.ov", (".xml", ".onnx")),
    "torch": ("seg.runtimes.pytorch", (".pt",)),
    "tensorrt": ("seg.runtimes.trt", (".engine",)),
}
SUFFIXES = tuple(sorted({suffix for _, suffixes in ENGINES.values() for suffix in suffixes}))
DEVICES = ("auto", "cpu", "cuda")
# What an engine computes in where it is asked; the others compute as the file was exported.
PRECISIONS = {"openvino": ("float32", "bfloat16"), "torch": ("float32", "float16", "bfloat16")}
MODES = ("compile", "graph")  # torch's


def open_runtime(
    path: str | Path,
    device: str = "auto",
    runtime: str | None = None,
    precision: str | None = None,
    modes: Collection[str] = (),
) -> Runtime:
    """Opens a model file with the engine that its suffix names.

    Args:
        path: `.onnx` for ONNX Runtime or OpenVINO, `.xml` for OpenVINO, `.pt` for torch,
            `.engine` for TensorRT.
        device: `cpu`, `cuda`, or `auto`: CUDA where the engine has it, else the CPU. What was
            taken is in the runtime's `description`.
        runtime: A key of `ENGINES`; None takes the suffix's default.
        precision: Of the engine's `PRECISIONS`, what it computes in; None takes what it would.
        modes: Of `MODES`, how torch runs: compiled, and as a CUDA graph.

    Raises:
        ArtifactError: The file is missing, foreign or damaged.
        EngineMissing: The engine's package, the device or the precision is not available.
        SpecMismatch: The file is for other programs.
    """
    path = Path(path)
    readers = [name for name, (_, suffixes) in ENGINES.items() if path.suffix in suffixes]
    if not readers:
        raise ArtifactError(
            f"No engine for '{path.name}'; a model ends in one of {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise ArtifactError(f"No model at {path}.")
    if device not in DEVICES:
        raise EngineMissing(f"No device '{device}'; expected one of {', '.join(DEVICES)}.")
    name = runtime or readers[0]
    if name not in readers:
        raise EngineMissing(f"'{path.name}' runs on {' or '.join(readers)}, not on '{name}'.")
    if precision is not None and precision not in PRECISIONS.get(name, ()):
        known = "; ".join(f"{one} takes {', '.join(kinds)}" for one, kinds in PRECISIONS.items())
        raise EngineMissing(
            f"No precision '{precision}' for {name}: {known}; "
            "the others compute as the file was exported."
        )
    if modes and name != "torch":
        raise EngineMissing(f"--{' --'.join(modes)} is for torch; '{path.name}' runs on {name}.")
    engine = _import(path, name)
    chosen = {"precision": precision, "modes": tuple(modes)}
    given = {key: value for key, value in chosen.items() if value}
    opened: Runtime = engine.open_file(path, device, **given)
    if opened.spec.input_kind != "images":
        opened.close()
        raise SpecMismatch(
            f"'{path.name}' turns raw frames into masks, for other programs; "
            "here, take one exported with --output-kind logits."
        )
    return opened


def _import(path: Path, name: str) -> ModuleType:
    """Imports an engine's module; the one lazy import of heavy packages."""
    try:
        return importlib.import_module(ENGINES[name][0])
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise EngineMissing(
            f"'{path.name}' needs the package {name}: pip install {name}"
        ) from error
