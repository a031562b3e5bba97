"""Checks of the engines and the GPU: a network of one operator runs, or the import succeeds."""

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from seg.doctor.check import Check, first_line
from seg.errors import ArtifactError, EngineFailure, EngineMissing, SegError
from seg.kinds import Device, Engine
from seg.runtimes import environment
from seg.runtimes.open import open_runtime

# The smallest network that every engine opens: one Slice, the first two channels as scores of
# images of 16 x 16.
TWO_CHANNELS = Path(__file__).with_name("two_channels.onnx")


def check_gpu() -> Check:
    """Asks the driver for the GPUs."""
    try:
        gpus = environment.query_gpus("name", "driver_version", "memory.total")
    except EngineMissing as error:
        return Check("gpu", "absent", str(error))
    except EngineFailure as error:
        return Check("gpu", "fail", str(error))
    return Check("gpu", "ok", "; ".join(gpus))


def check_engine(engine: Engine) -> Iterator[Check]:
    """Runs a network on an engine that reads ONNX, also on CUDA; imports any other."""
    try:
        if ".onnx" not in engine.suffixes:
            yield Check(engine, "ok", _import(engine))
            return
        yield Check(engine, "ok", _run(engine, Device.AUTO))
    except (SegError, ImportError, PackageNotFoundError) as error:
        absent = isinstance(error, EngineMissing | ModuleNotFoundError | PackageNotFoundError)
        yield Check(engine, "absent" if absent else "fail", first_line(error))
        return
    if Device.CUDA not in engine.devices:
        return
    try:
        yield Check(f"{engine} on cuda", "ok", _run(engine, Device.CUDA))
    except SegError as error:
        yield Check(f"{engine} on cuda", "absent", first_line(error))


def _import(engine: Engine) -> str:
    module = importlib.import_module(engine.module)
    device = f", device {module.pick_device('auto')}" if engine == Engine.TORCH else ""
    return f"{engine} {version(engine)}{device}"


def _run(engine: Engine, device: Device) -> str:
    """Returns what the engine says ran."""
    images = np.linspace(0, 1, 3 * 16 * 16, dtype=np.float32).reshape(1, 3, 16, 16)
    with open_runtime(TWO_CHANNELS, device, engine) as runtime:
        logits = runtime.run(images)["logits"]
        if not np.allclose(logits, images[:, :2], atol=0.01):
            raise ArtifactError(f"{engine} returns wrong values on a network of one operator.")
        return runtime.description
