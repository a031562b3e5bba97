"""`open_runtime` opens a model file with the engine that its suffix names, or with another."""

import importlib
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from seg.errors import ArtifactError, EngineMissing, SpecMismatch
from seg.kinds import Device, Engine
from seg.runtimes.base import Runtime


class EngineOptions(TypedDict, total=False):
    """What `open_runtime` takes beside the path and the device, under the same names."""

    runtime: str | None
    precision: str | None
    modes: Collection[str]


def open_runtime(
    path: str | Path,
    device: str = Device.AUTO,
    runtime: str | None = None,
    precision: str | None = None,
    modes: Collection[str] = (),
) -> Runtime:
    """Opens a model file with the engine that its suffix names.

    Args:
        path: `.onnx` for ONNX Runtime or OpenVINO, `.xml` for OpenVINO, `.pt` for torch,
            `.engine` for TensorRT.
        device: A `Device`. `auto` is CUDA where the engine has it, else the CPU. What was taken is
            in the runtime's `description`.
        runtime: An `Engine`; None takes the suffix's default.
        precision: Of the engine's `precisions`, what it computes in; None takes what it would.
        modes: Of the engine's `modes`: torch compiled, and as a CUDA graph.

    Raises:
        ArtifactError: The file is missing, foreign or damaged.
        EngineMissing: The engine's package, the device or the precision is not available.
        SpecMismatch: The file is for other programs.
    """
    path = Path(path)
    engine = _engine(path, runtime)
    if not path.is_file():
        raise ArtifactError(f"No model at {path}.")
    options = _options(engine, device, precision, modes)
    opened: Runtime = _import(path, engine).open_file(path, Device(device), **options)
    if opened.spec.input_kind != "images":
        opened.close()
        raise SpecMismatch(
            f"'{path.name}' turns raw frames into masks, for other programs; "
            "here, use one exported with --output-kind logits."
        )
    return opened


def _engine(path: Path, name: str | None) -> Engine:
    """Returns the engine that reads a file: the one that is named, or the default."""
    readers = Engine.readers(path.suffix)
    if not readers:
        known = ", ".join(Engine.all_suffixes())
        raise ArtifactError(f"No engine for '{path.name}'; a model ends in one of {known}.")
    if name is None:
        return readers[0]
    if name not in readers:
        raise EngineMissing(f"'{path.name}' runs on {' or '.join(readers)}, not on '{name}'.")
    return Engine(name)


def _options(
    engine: Engine, device: str, precision: str | None, modes: Collection[str]
) -> dict[str, Any]:
    """Checks what an engine is asked for; returns what its module takes beyond the device."""
    if device not in Device.values():
        raise EngineMissing(f"No device '{device}'; expected one of {', '.join(Device)}.")
    if device not in (Device.AUTO, *engine.devices):
        raise EngineMissing(
            f"--device {device}: {engine.display_name} runs on {' or '.join(engine.devices)}; "
            "choose another --device, or a model for another engine."
        )
    if precision is not None and precision not in engine.precisions:
        known = "; ".join(f"{e} takes {', '.join(e.precisions)}" for e in Engine if e.precisions)
        raise EngineMissing(
            f"No precision '{precision}' for {engine}: {known}; "
            "the others compute as the file was exported."
        )
    if unknown := [mode for mode in modes if mode not in engine.modes]:
        names = " or ".join(e for e in Engine if {*unknown} <= {*e.modes})
        raise EngineMissing(f"--{' --'.join(modes)} is for {names}; this model runs on {engine}.")
    options = {"precision": precision, "modes": tuple(modes)}
    return {key: value for key, value in options.items() if value}


def _import(path: Path, engine: Engine) -> ModuleType:
    """Imports an engine's module; the one lazy import of heavy packages."""
    try:
        return importlib.import_module(engine.module)
    except ModuleNotFoundError as error:
        if error.name != engine:
            raise
        raise EngineMissing(
            f"'{path.name}' needs the package {engine}: pip install {engine}"
        ) from error
