"""Building TensorRT engines: one way for TensorRT 10.3 to 11."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import tensorrt as trt

from seg.errors import ArtifactError, EngineFailure, EngineMissing, SpecMismatch
from seg.files.atomic import atomic_write
from seg.imaging.letterbox import Size
from seg.kinds import Precision
from seg.runtimes.trt import ErrorLog

FLOATS = (Precision.FLOAT16, Precision.BFLOAT16, Precision.FLOAT32)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """How to build.

    Attributes:
        workspace: MiB that building may take; None: all of the GPU's.
        timing_cache: File with what earlier builds measured; read where it exists, then written.
        version_compatible: Run on later versions of TensorRT too.
        hardware_compatible: Run on other GPUs from Ampere on too.
    """

    workspace: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False


def build(graph: bytes, canvas_hw: Size, batch: int, options: BuildOptions) -> bytes:
    """Builds a strongly typed engine: it computes in the types of the graph.

    Args:
        graph: A serialized ONNX model of one input, `(B, 3, H, W)`.
        canvas_hw: Size of the input.
        batch: Most images at once; the engine is fastest with this many.
        options: The rest.

    Raises:
        EngineMissing: TensorRT finds no GPU.
        EngineFailure: It cannot read the graph, or cannot build it.
        ArtifactError: The timing cache is of another GPU or TensorRT.
    """
    log = ErrorLog()
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # all that the bindings say without a GPU
        raise EngineMissing(
            f"TensorRT's builder does not start: no GPU, or no driver for it? {log.reason()}"
        ) from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        faults = []
        for index in range(parser.num_errors):
            fault = parser.get_error(index)
            faults.append(f"\n  {fault.node_operator()} '{fault.node_name()}': {fault.desc()}")
        raise EngineFailure(f"TensorRT {trt.__version__} cannot read the graph:{''.join(faults)}")
    config = _config(builder, options)
    _add_profile(builder, config, network.get_input(0), canvas_hw, batch)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineFailure(f"TensorRT could not build the engine: {log.reason()}")
    if options.timing_cache:
        with atomic_write(options.timing_cache) as part:
            part.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _config(builder: trt.Builder, options: BuildOptions) -> trt.IBuilderConfig:
    """Returns TensorRT's own form of the options."""
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the inspector has no types
    config.clear_flag(trt.BuilderFlag.TF32)  # float32 means float32
    if options.workspace:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace << 20)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    path = options.timing_cache
    cache = config.create_timing_cache(path.read_bytes() if path and path.exists() else b"")
    if cache is None or not config.set_timing_cache(cache, False):
        raise ArtifactError(
            f"{path} is of another GPU or TensorRT; choose a different --timing-cache."
        )
    return config


def _add_profile(
    builder: trt.Builder,
    config: trt.IBuilderConfig,
    images: trt.ITensor,
    canvas_hw: Size,
    batch: int,
) -> None:
    """Fixes height and width of a free graph, and gives the range of its batch."""
    if -1 not in tuple(images.shape):
        return
    one, most = (1, 3, *canvas_hw), (batch, 3, *canvas_hw)
    profile = builder.create_optimization_profile()
    profile.set_shape(images.name, one, most, most)
    if config.add_optimization_profile(profile) < 0:
        raise EngineFailure(f"TensorRT takes no input between {one} and {most}.")


def check_tensor_types(engine: trt.ICudaEngine, precision: Precision) -> dict[str, int]:
    """Counts the engine's tensors of each float type, as its inspector reports them.

    The inspector names a type as `Half`, or within words: `Channel major FP16 format where ...`.

    Raises:
        SpecMismatch: Most are not of `precision`, whatever the graph has.
    """
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    # Not parsed as JSON: the inspector does not always escape the names of layers.
    found = re.findall(r'"Format/Datatype":\s*"([^"]*)"', text)
    patterns = {one: rf"\b({'|'.join(one.tensorrt_names)})\b" for one in FLOATS}
    counts = Counter(
        one.value for name in found for one, pattern in patterns.items() if re.search(pattern, name)
    )
    if not counts or counts.most_common(1)[0][0] != precision:
        seen = ", ".join(f"{count} are {name}" for name, count in counts.items()) or "none is named"
        raise SpecMismatch(
            f"The graph is {precision}, and the engine came out different; of its tensors {seen}."
        )
    return dict(counts)
