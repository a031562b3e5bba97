"""TensorRT: `.engine`, built by export/to_trt.py, on the GPU that it was built for."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import tensorrt as trt

from seg.errors import ArtifactError, EngineFailure, EngineMissing, ShapeError
from seg.kinds import Device
from seg.results import Float32
from seg.runtimes.base import Runtime
from seg.runtimes.engine_metadata import EngineMetadata, GpuEnvironment
from seg.spec import ModelSpec

try:
    import torch
    from torch import Tensor

    from seg.runtimes.cuda_graph import CUDA, CudaGraphRunner
except ModuleNotFoundError as error:  # pragma: no cover
    raise EngineMissing("TensorRT's buffers are torch's: pip install torch, with CUDA") from error


class ErrorLog(trt.ILogger):  # type: ignore[misc]
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


class _BatchContext:
    """Everything for one batch size: context, buffers on both sides, and the CUDA graph."""

    def __init__(self, engine: trt.ICudaEngine, names: "_Names", spec: ModelSpec, batch: int):
        self._context: trt.IExecutionContext = engine.create_execution_context()
        if self._context is None:
            raise EngineFailure("TensorRT cannot make a context: is the GPU's memory full?")
        assert spec.canvas_hw is not None
        shape = (batch, 3, *spec.canvas_hw)
        if not self._context.set_input_shape(names.images, shape):
            raise ShapeError(f"The engine takes no input of {shape}.")
        shapes = {name: tuple(self._context.get_tensor_shape(name)) for name in names.outputs}
        self.graph = CudaGraphRunner(shape, shapes)
        for name, buffer in ((names.images, self.graph.images), *self.graph.outputs.items()):
            if not self._context.set_tensor_address(name, buffer.data_ptr()):
                raise EngineFailure(f"TensorRT takes no buffer for '{name}'.")
        self.graph.capture(self._enqueue)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self.graph.stream.cuda_stream):
            raise EngineFailure("TensorRT refused to run the engine.")


class TrtRuntime(Runtime):
    """An engine on the GPU, replayed as a CUDA graph.

    Args:
        engine: One input and the spec's outputs, all float32; shapes fixed but for the batch.
        metadata: What the engine is.
    """

    offers_tensors = True

    def __init__(self, engine: trt.ICudaEngine, metadata: EngineMetadata) -> None:
        description = f"{metadata.machine}, {metadata.precision_mode}, CUDA graph"
        super().__init__(
            metadata.spec,
            description,
            metadata.spec.precision,
            metadata.onnx_metadata,
            max_batch=metadata.batch,
        )
        self.device = CUDA
        self._engine: trt.ICudaEngine | None = engine
        self._names = _names(engine, metadata.spec)
        self._contexts: dict[int, _BatchContext] = {}
        self._context(metadata.spec.batch or 1)

    def run_tensors(self, images: Tensor) -> dict[str, Tensor]:
        """As of `seg.predictors.gpu_segmentation.TensorRuntime`."""
        size = self.spec.batch or self.max_batch or 1
        parts = [self._run_part(images[i : i + size]) for i in range(0, len(images), size)]
        if len(parts) == 1:
            return parts[0]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _run_part(self, images: Tensor) -> dict[str, Tensor]:
        with self._lock:
            self._check_open()
            return self._context(self.spec.batch or len(images)).run_tensors(images)

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        graph = self._context(len(images))
        try:
            arrays, self.enqueued_s = graph.run(images), graph.enqueued_s
            return arrays
        except RuntimeError as error:
            raise EngineFailure(f"CUDA failed: {error}") from error

    def _context(self, batch: int) -> CudaGraphRunner:
        """Returns the graph for a batch size; records it the first time."""
        if batch not in self._contexts:
            try:
                self._contexts[batch] = _BatchContext(self._engine, self._names, self.spec, batch)
            except RuntimeError as error:
                raise EngineFailure(f"CUDA failed: {error}") from error
        return self._contexts[batch].graph

    def close(self) -> None:
        """Drops graphs, contexts and engine, in this order."""
        with self._lock:
            super().close()
            self._contexts = {}
            self._engine = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Names:
    """Names of an engine's tensors."""

    images: str
    outputs: tuple[str, ...]


def _names(engine: trt.ICudaEngine, spec: ModelSpec) -> _Names:
    """Returns the names of the input and the outputs, which are those of the spec."""
    found: dict[object, list[str]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        if engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
            raise ArtifactError(f"The engine's '{name}' is not float32; build it again.")
        found[engine.get_tensor_mode(name)].append(name)
    inputs, outputs = found.values()
    expected = [output.name for output in spec.outputs]
    if len(inputs) != 1 or sorted(outputs) != sorted(expected):
        raise ArtifactError(
            f"The engine maps {inputs} to {outputs}; expected images to {expected}. Build it again."
        )
    return _Names(inputs[0], tuple(outputs))


def gpu_environment() -> GpuEnvironment:
    """Returns what runs here; raises EngineMissing where torch finds no GPU."""
    if not torch.cuda.is_available():
        raise EngineMissing("TensorRT needs an NVIDIA GPU, and torch found none.")
    capability = ".".join(map(str, torch.cuda.get_device_capability()))
    return GpuEnvironment(
        tensorrt=trt.__version__, gpu=torch.cuda.get_device_name(), capability=capability
    )


def load(plan: bytes, metadata: EngineMetadata) -> TrtRuntime:
    """Makes a runtime of an engine in memory; raises EngineFailure where TensorRT cannot."""
    return TrtRuntime(deserialize(plan, metadata.version_compatible), metadata)


def deserialize(plan: bytes, host_code: bool) -> trt.ICudaEngine:
    """Turns a plan into an engine.

    Args:
        plan: What the builder returned.
        host_code: A version-compatible plan carries a runtime of its own, which is executed.

    Raises:
        EngineFailure: TensorRT has no GPU to work on, or cannot read the plan.
    """
    log = ErrorLog()
    try:
        runtime = trt.Runtime(log)
    except TypeError as error:  # all that the bindings raise without a GPU
        raise EngineFailure(f"TensorRT does not start: {log.reason()}") from error
    if host_code:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineFailure(f"TensorRT cannot read the engine: {log.reason()}")
    return engine


def open_file(path: Path, device: Device) -> TrtRuntime:
    """Opens an `.engine` that `export/to_trt.py` wrote; raises as `open_runtime` does."""
    here, metadata = gpu_environment(), EngineMetadata.read(path)
    if reasons := metadata.incompatibilities(here):
        raise ArtifactError(
            f"{path.name} does not run here: {'; '.join(reasons)}. "
            "Build it again on this machine: export/to_trt.py --rebuild."
        )
    return load(path.read_bytes(), metadata)
