"""TensorRT: `.engine`, built by export/to_trt.py, on the GPU that it was built for."""

from collections.abc import Mapping
from pathlib import Path

import tensorrt as trt

from seg.errors import ArtifactError, EngineFailure, EngineMissing, ShapeError
from seg.imaging.letterbox import Letterbox
from seg.kinds import Device
from seg.results import Float32
from seg.runtimes.base import Runtime
from seg.runtimes.engine_metadata import EngineCard, Machine
from seg.spec import ModelSpec

try:
    import torch

    from seg.runtimes.cuda_graph import CUDA, Replay
    from seg.runtimes.on_device import DeviceFrames
except ModuleNotFoundError as error:  # pragma: no cover
    raise EngineMissing("TensorRT's buffers are torch's: pip install torch, with CUDA") from error


class Log(trt.ILogger):  # type: ignore[misc]
    """Keeps TensorRT's errors, which its calls answer with None or False and no reason."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: list[str] = []

    def log(self, severity: object, msg: str) -> None:
        """Takes one message; TensorRT calls it."""
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(msg)

    def reason(self) -> str:
        """Returns the last errors on one line."""
        return " ".join(" ".join(self.errors[-3:]).split()) or "TensorRT gave no reason."


class _Lane:
    """Everything for one batch size: context, buffers on both sides, and the CUDA graph."""

    def __init__(
        self, engine: trt.ICudaEngine, names: tuple[str, str], spec: ModelSpec, batch: int
    ):
        images, logits = names
        self.context: trt.IExecutionContext = engine.create_execution_context()
        if self.context is None:
            raise EngineFailure("TensorRT cannot make a context: is the GPU's memory full?")
        assert spec.canvas_hw is not None
        shape = (batch, 3, *spec.canvas_hw)
        if not self.context.set_input_shape(images, shape):
            raise ShapeError(f"The engine takes no input of {shape}.")
        self._replay = Replay(shape, tuple(self.context.get_tensor_shape(logits)))
        for name, buffer in ((images, self._replay.images), (logits, self._replay.logits)):
            if not self.context.set_tensor_address(name, buffer.data_ptr()):
                raise EngineFailure(f"TensorRT takes no buffer for '{name}'.")
        self._replay.capture(self._enqueue)
        self.run, self.on_device = self._replay.run, self._replay.on_device

    @property
    def enqueued_s(self) -> float:
        """As of `Replay`."""
        return self._replay.enqueued_s

    def _enqueue(self) -> None:
        if not self.context.execute_async_v3(self._replay.stream.cuda_stream):
            raise EngineFailure("TensorRT refused to run the engine.")


class TrtRuntime(Runtime):
    """An engine on the GPU, replayed as a CUDA graph.

    Args:
        engine: One input and one output, both float32; shapes fixed but for the batch.
        card: What the engine is.
    """

    def __init__(self, engine: trt.ICudaEngine, card: EngineCard) -> None:
        self.spec, self.batch, self.precision = card.spec, card.batch, card.spec.precision
        self.metadata = card.metadata
        self._engine: trt.ICudaEngine | None = engine
        self._names = _names(engine)
        self._least = card.spec.batch or 1  # a fixed batch takes no fewer
        self._lanes = {self._least: self._lane(self._least)}
        self.description = f"{card.machine}, {card.rung}, CUDA graph"

    def _lane(self, batch: int) -> _Lane:
        try:
            return _Lane(self._engine, self._names, self.spec, batch)
        except RuntimeError as error:
            raise EngineFailure(f"CUDA failed: {error}") from error

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        if self._engine is None:
            raise EngineFailure("This runtime was closed.")
        batch = len(images)
        if not 1 <= batch <= self.batch:
            raise ShapeError(
                f"This engine takes 1 to {self.batch} pictures at once; got {batch}. "
                "Build it with export/to_trt.py --batch."
            )
        lane = self._lanes.get(batch) or self._lanes.setdefault(batch, self._lane(batch))
        try:
            logits, self.enqueued_s = lane.run(images), lane.enqueued_s
            return {"logits": logits}
        except RuntimeError as error:
            raise EngineFailure(f"CUDA failed: {error}") from error

    def frames(self, letterbox: Letterbox) -> DeviceFrames:
        """As of `Runtime`."""
        # Where the batch is fixed, the one frame is repeated; it costs what an empty place does.
        run = self._lanes[self._least].on_device
        return DeviceFrames(letterbox, self.spec.pad_rgb, CUDA, run)

    def close(self) -> None:
        """Drops graphs, contexts and engine, in this order."""
        self._lanes = {}
        self._engine = None


def _names(engine: trt.ICudaEngine) -> tuple[str, str]:
    """Returns the names of the input and the output."""
    found: dict[object, list[str]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        if engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
            raise ArtifactError(f"The engine's '{name}' is not float32; build it again.")
        found[engine.get_tensor_mode(name)].append(name)
    inputs, outputs = found.values()
    if len(inputs) != 1 or outputs != ["logits"]:
        raise ArtifactError(f"The engine maps {inputs} to {outputs}; expected images to logits.")
    return inputs[0], outputs[0]


def machine() -> Machine:
    """Returns what runs here; raises EngineMissing where torch sees no GPU."""
    if not torch.cuda.is_available():
        raise EngineMissing("TensorRT needs an NVIDIA GPU, and torch sees none here.")
    capability = ".".join(map(str, torch.cuda.get_device_capability()))
    return Machine(
        tensorrt=trt.__version__, gpu=torch.cuda.get_device_name(), capability=capability
    )


def load(plan: bytes, card: EngineCard) -> TrtRuntime:
    """Makes a runtime of an engine in memory; raises EngineFailure where TensorRT cannot."""
    return TrtRuntime(deserialize(plan, card.version_compatible), card)


def deserialize(plan: bytes, host_code: bool) -> trt.ICudaEngine:
    """Turns a plan into an engine.

    Args:
        plan: What the builder returned.
        host_code: A version-compatible plan carries a runtime of its own, which is executed.

    Raises:
        EngineFailure: TensorRT has no GPU to work on, or cannot read the plan.
    """
    log = Log()
    try:
        runtime = trt.Runtime(log)
    except TypeError as error:  # how the bindings say that there is no runtime
        raise EngineFailure(f"TensorRT does not start: {log.reason()}") from error
    if host_code:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineFailure(f"TensorRT cannot read the engine: {log.reason()}")
    return engine


def open_file(path: Path, device: Device) -> TrtRuntime:
    """Opens an `.engine` that `export/to_trt.py` wrote; raises as `open_runtime` does."""
    here, card = machine(), EngineCard.read(path)
    if reasons := card.foreign(here):
        raise ArtifactError(
            f"{path.name} does not run here: {'; '.join(reasons)}. "
            "Build it again on this machine: export/to_trt.py --rebuild."
        )
    return load(path.read_bytes(), card)
