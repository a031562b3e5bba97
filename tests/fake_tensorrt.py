"""A stand-in for TensorRT and for torch's CUDA, which behave as their documents say.

A plan is the ONNX file it was built from; running it computes that file on the CPU, in its types,
between the addresses that were set. `World` holds what a test wants to go wrong.
"""

import contextlib
import ctypes
import dataclasses
import enum
import importlib
import importlib.machinery
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx.reference import ReferenceEvaluator

from seg.runtimes import cuda_graph as cuda

MAGIC = b"plan:"


@dataclasses.dataclass
class World:
    """What the machine has, and what goes wrong on it."""

    gpu: bool = True
    parser_errors: tuple[tuple[str, str, str], ...] = ()
    build_fails: bool = False
    comes_out: str | None = None  # what the inspector reports for every engine
    spoiled: tuple[str, ...] = ()  # precision modes that compute something else
    nan: bool = False  # and that is not a number
    offset: float = 0.0  # what every score is too high
    foreign_cache: bool = False
    graph: object = None  # the CUDA graph that is being captured
    log: list[str] = dataclasses.field(default_factory=list)

    def did(self, what: str) -> int:
        return self.log.count(what)


def mode_of(model: onnx.ModelProto) -> str:
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    if onnx.TensorProto.BFLOAT16 in kinds:
        return "bfloat16"
    if onnx.TensorProto.FLOAT16 not in kinds:
        return "float32"
    is_mixed = any(node.output[0].endswith("__wide") for node in model.graph.node)
    return "float16-mixed" if is_mixed else "float16"


def module(world: World, version: str) -> ModuleType:
    """Makes the module `tensorrt`; names, signatures and answers are the real ones."""
    trt = ModuleType("tensorrt")
    trt.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)  # torch looks for one
    log = world.log.append

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

    class Builder:
        def __init__(self, logger):
            if not world.gpu:
                logger.log(ILogger.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.logger = logger

        def create_network(self, flags=0):
            assert flags == 1 << trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
            return SimpleNamespace(model=None)

        def create_builder_config(self):
            return Config()

        def create_optimization_profile(self):
            return Profile()

        def build_serialized_network(self, network, config):
            if world.build_fails:
                self.logger.log(ILogger.ERROR, "Error Code 10: Could not find any implementation")
                return None
            assert config.cache is not None
            assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED
            free = -1 in network.get_input(0).shape
            assert free == bool(config.profiles)
            log(f"built {mode_of(network.model)}")
            return MAGIC + network.model.SerializeToString()

    class OnnxParser:
        def __init__(self, network, logger):
            self.network = network

        def parse(self, model):
            network = self.network
            network.model = onnx.load_from_string(model)
            value = network.model.graph.input[0]
            dims = [d.dim_value or -1 for d in value.type.tensor_type.shape.dim]
            network.get_input = lambda index: SimpleNamespace(name=value.name, shape=dims)
            return not world.parser_errors

        @property
        def num_errors(self):
            return len(world.parser_errors)

        def get_error(self, index):
            operator, name, text = world.parser_errors[index]
            return SimpleNamespace(
                node_operator=lambda: operator, node_name=lambda: name, desc=lambda: text
            )

    class Profile:
        def set_shape(self, input, min, opt, max):
            assert input == "images" and min[2:] == opt[2:] == max[2:]
            log(f"profile {min[0]}..{max[0]} of {max[2]}x{max[3]}")
            log(f"tuned for {opt[0]}")

    class Config:
        cache = None

        def __init__(self):
            self.profiles = []

        def set_flag(self, flag):
            log(f"flag {flag.name}")

        def clear_flag(self, flag):
            log(f"no {flag.name}")

        def set_memory_pool_limit(self, pool, pool_size):
            log(f"{pool.name} {pool_size}")

        def add_optimization_profile(self, profile):
            self.profiles.append(profile)
            return len(self.profiles) - 1

        def create_timing_cache(self, serialized_timing_cache):
            log(f"timings {bytes(serialized_timing_cache)!r}")
            return SimpleNamespace(serialize=lambda: b"measured")

        def set_timing_cache(self, cache, ignore_mismatch):
            self.cache = cache
            return not world.foreign_cache

        def get_timing_cache(self):
            return self.cache

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger):
            if not world.gpu:
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.logger = logger

        def deserialize_cuda_engine(self, serialized_engine):
            if not serialized_engine.startswith(MAGIC):
                self.logger.log(ILogger.ERROR, "Serialization assertion\nmagicTag failed.")
                return None
            log(f"host code {self.engine_host_code_allowed}")
            return Engine(onnx.load_from_string(serialized_engine[len(MAGIC) :]))

    class Engine:
        def __init__(self, model):
            self.model = model
            graph = model.graph
            self.tensors = {graph.input[0].name: 0} | {value.name: 1 for value in graph.output}
            self.num_io_tensors = len(self.tensors)

        def get_tensor_name(self, index):
            return list(self.tensors)[index]

        def get_tensor_dtype(self, name):
            values = (*self.model.graph.input, *self.model.graph.output)
            kinds = {value.name: value.type.tensor_type.elem_type for value in values}
            is_half = kinds[name] == onnx.TensorProto.FLOAT16
            return trt.DataType.HALF if is_half else trt.DataType.FLOAT

        def get_tensor_mode(self, name):
            return list(trt.TensorIOMode)[self.tensors[name] + 1]

        def create_execution_context(self):
            return Context(self.model)

        def create_engine_inspector(self):
            names = {"float16": "Half", "bfloat16": "BFloat16", "float32": "Float"}
            kind = world.comes_out or names[mode_of(self.model).removesuffix("-mixed")]
            layer = f'{{"Name": "a "quoted" name", "Outputs": [{{"Format/Datatype": "{kind}"}}]}}'
            cast = '{"LayerType": "Cast", "Inputs": [{"Format/Datatype": "Float"}]}'
            text = f'{{"Layers": [{cast}, {layer}, {layer}, {{"Format/Datatype": "Int64"}}]}}'
            return SimpleNamespace(get_engine_information=lambda format: text)

    class Context:
        def __init__(self, model):
            self.mode, self.addresses = mode_of(model), {}
            self.run = _runner(model)
            self.outputs = [value.name for value in model.graph.output]
            self.dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
            log("context")

        def set_input_shape(self, name, shape):
            self.shape = tuple(shape)
            fits = [dim in (0, side) for dim, side in zip(self.dims, shape, strict=True)]
            return all(fits)  # a fixed side takes nothing else

        def get_tensor_shape(self, name):
            return self.run(np.zeros(self.shape, np.float32))[name].shape

        def set_tensor_address(self, name, memory):
            self.addresses[name] = memory
            return memory != 0

        def execute_async_v3(self, stream_handle):
            assert stream_handle == 7 and set(self.addresses) == {"images", *self.outputs}
            if world.graph is not None:
                world.graph.work.append(self._execute)
            else:
                self._execute()
            return True

        def _execute(self):
            made = self.run(_at(self.addresses["images"], self.shape).copy())
            for name, array in made.items():
                if self.mode in world.spoiled:
                    array = np.full_like(array, np.nan) if world.nan else array[:, ::-1]
                _at(self.addresses[name], array.shape)[:] = array + world.offset

    enums = {
        "NetworkDefinitionCreationFlag": ["STRONGLY_TYPED"],
        "BuilderFlag": ["TF32", "VERSION_COMPATIBLE"],
        "MemoryPoolType": ["WORKSPACE"],
        "ProfilingVerbosity": ["LAYER_NAMES_ONLY", "DETAILED"],
        "HardwareCompatibilityLevel": ["NONE", "AMPERE_PLUS"],
        "LayerInformationFormat": ["ONELINE", "JSON"],
        "TensorIOMode": ["NONE", "INPUT", "OUTPUT"],
        "DataType": ["FLOAT", "HALF"],
    }
    for name, members in enums.items():
        setattr(trt, name, enum.IntEnum(name, members, start=0))
    real = {"ICudaEngine": Engine, "IExecutionContext": Context, "IBuilderConfig": Config}
    real |= {"ITensor": object, "INetworkDefinition": object}
    for name, value in real.items():
        setattr(trt, name, value)
    for kind in (ILogger, Builder, OnnxParser, Runtime):
        setattr(trt, kind.__name__, kind)
    trt.__version__ = version
    return trt


def _runner(model):
    """Returns what runs a graph: images -> its outputs by name."""
    names = [value.name for value in model.graph.output]
    run = _session(model)
    return lambda images: dict(zip(names, run(images), strict=True))


def _session(model):
    if mode_of(model) == "bfloat16":  # ONNX Runtime's CPU has no bfloat16
        return lambda images: ReferenceEvaluator(model).run(None, {"images": images})
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options)
    return lambda images: session.run(None, {"images": images})


def _at(address, shape):
    size = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(address)).reshape(shape)


def cpu_torch(world: World) -> SimpleNamespace:
    """Makes a torch whose CUDA is this CPU; a graph records what runs while it is captured."""

    class CUDAGraph:
        def __init__(self):
            self.work = []

        def replay(self):
            world.log.append("replay")
            for run in self.work:
                run()

    @contextlib.contextmanager
    def graph(captured, stream):
        world.graph = captured
        yield
        world.graph = None

    cuda = SimpleNamespace(
        CUDAGraph=CUDAGraph,
        graph=graph,
        Stream=lambda: SimpleNamespace(
            cuda_stream=7, synchronize=lambda: world.log.append("synchronize")
        ),
        stream=lambda stream: contextlib.nullcontext(),
        synchronize=lambda: None,
        is_available=lambda: world.gpu,
        get_device_name=lambda: "Fake GPU",
        get_device_capability=lambda: (8, 7),
    )
    return SimpleNamespace(
        cuda=cuda,
        Tensor=torch.Tensor,
        device=torch.device,
        cat=torch.cat,
        empty=lambda shape, pin_memory=False, device=None: torch.full(shape, torch.nan),
    )


@contextlib.contextmanager
def installed(version: str = "10.3.0") -> Iterator[World]:
    """Puts the stand-ins where `import tensorrt` and the runtime find them."""
    world = World()
    ours = ("seg.runtimes.trt", "seg.exporting.tensorrt", "seg.exporting.engine_builder")
    before = {name: sys.modules.pop(name, None) for name in (*ours, "tensorrt")}
    sys.modules["tensorrt"] = module(world, version)
    try:
        cuda.CUDA = torch.device("cpu")
        importlib.import_module(ours[0]).torch = cuda.torch = cpu_torch(world)
        yield world
    finally:
        cuda.torch, cuda.CUDA = torch, torch.device("cuda")
        for name, value in before.items():
            sys.modules.pop(name, None)
            if value is not None:
                sys.modules[name] = value
