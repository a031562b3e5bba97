"""Engines behind one interface. `open_runtime` picks one by the file's suffix."""

import importlib
from pathlib import Path

from seg.errors import ArtefactError, EngineMissing
from seg.runtimes.base import Runtime

# suffix -> module with a function `open_file(path, device) -> Runtime`, and what it imports.
ENGINES = {
    ".engine": ("seg.runtimes.trt", "tensorrt"),
    ".onnx": ("seg.runtimes.ort", "onnxruntime"),
    ".pt": ("seg.runtimes.pytorch", "torch"),
}
DEVICES = ("auto", "cpu", "cuda")


def open_runtime(path: str | Path, device: str = "auto") -> Runtime:
    """Opens a model file with the engine that its suffix names.

    Args:
        path: `.onnx` for ONNX Runtime, `.pt` for torch.
        device: `cpu`, `cuda`, or `auto`: CUDA where the engine has it, else the CPU. What was
            taken is in the runtime's `description`.

    Raises:
        ArtefactError: The file is missing, foreign or damaged.
        EngineMissing: The engine's package or the device is not available.
    """
    path = Path(path)
    if path.suffix not in ENGINES:
        known = ", ".join(sorted(ENGINES))
        raise ArtefactError(f"No engine for '{path.name}'; a model ends in one of {known}.")
    if not path.is_file():
        raise ArtefactError(f"No model at {path}.")
    if device not in DEVICES:
        raise EngineMissing(f"No device '{device}'; expected one of {', '.join(DEVICES)}.")
    module, package = ENGINES[path.suffix]
    try:
        engine = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise EngineMissing(
            f"'{path.name}' needs the package {package}: pip install {package}"
        ) from error
    runtime: Runtime = engine.open_file(path, device)
    return runtime
