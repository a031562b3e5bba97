"""From an ONNX file to a TensorRT engine that passes the check at export."""

import dataclasses
import hashlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx

from seg.errors import EngineFailure, ParityError, SpecMismatch
from seg.exporting.onnx_export import OnnxOptions, export_onnx
from seg.exporting.onnx_graph import takes_any_size
from seg.exporting.precision import convert_precision, has_fp32_ops
from seg.exporting.precision_modes import RENAMED, PrecisionMode
from seg.exporting.tensorrt import BuildOptions, build, check_tensor_types
from seg.files.atomic import atomic_write
from seg.files.checksum import sha256_of
from seg.imaging.letterbox import Size, round_up
from seg.kinds import Precision
from seg.models.checkpoint import load_net
from seg.results import UInt8
from seg.runtimes.base import Runtime
from seg.runtimes.engine_metadata import EngineMetadata, GpuEnvironment
from seg.runtimes.open import open_runtime
from seg.runtimes.trt import TrtRuntime, deserialize
from seg.spec import METADATA_KEY, ModelSpec
from seg.verification.export_check import compare_export
from seg.verification.fitted_runtime import FittedRuntime
from seg.verification.self_test import GOLDEN_KEY, record, verify_scores

log = logging.getLogger("dinoseg")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EngineRequest:
    """What the engine is to be.

    Attributes:
        model: The checkpoint or ONNX file that it is made from.
        input_hw: Size that images are fitted into; None keeps the model's.
        mode: What it computes in; None takes the first mode that passes.
        batch: Most images at once; None takes what the model fixes, else 1.
        options: How to build it.
    """

    model: Path
    input_hw: Size | None = None
    mode: PrecisionMode | None = None
    batch: int | None = None
    options: BuildOptions = dataclasses.field(default_factory=BuildOptions)

    def differences(self, metadata: EngineMetadata, here: GpuEnvironment) -> list[str]:
        """Returns why an engine is not what is asked for, a clause each."""
        made_from = (
            metadata.spec.source_sha256 if self.model.suffix == ".pt" else metadata.onnx_sha256
        )
        built = RENAMED.get(metadata.precision_mode, metadata.precision_mode)
        asked = {
            "its source": (made_from, sha256_of(self.model)),
            "the size": (metadata.spec.input_hw, self.input_hw or metadata.spec.input_hw),
            "the precision": (built, self.mode or built),
            "the batch": (metadata.batch, self.batch or metadata.spec.batch or 1),
            "--version-compatible": (metadata.version_compatible, self.options.version_compatible),
            "--hardware-compatible": (
                metadata.hardware_compatible,
                self.options.hardware_compatible,
            ),
        }
        changed = [f"{name} is another" for name, (was, now) in asked.items() if was != now]
        return metadata.incompatibilities(here) + changed

    def spec_of_engine(self, spec: ModelSpec) -> ModelSpec:
        """Returns the spec of the engine that an ONNX file becomes: of one canvas.

        Raises:
            SpecMismatch: The file is int8, or has another canvas or batch.
        """
        input_hw = self.input_hw or spec.input_hw
        canvas_hw = round_up(input_hw, spec.stride)
        if spec.precision == Precision.INT8:
            raise SpecMismatch(f"{self.model.name} is int8, for CPUs; take its float32 source.")
        if spec.canvas_hw not in (None, canvas_hw):
            raise SpecMismatch(
                f"{self.model.name} was exported for {spec.canvas_hw[1]}x{spec.canvas_hw[0]}, and "
                f"--imgsz asks for {canvas_hw[1]}x{canvas_hw[0]}: export it again, or take the .pt."
            )
        if spec.batch and self.batch not in (None, spec.batch):
            raise SpecMismatch(
                f"{self.model.name} was exported for batches of {spec.batch}, and --batch asks for "
                f"{self.batch}: omit --batch, or export it again with to_onnx.py --batch "
                f"{self.batch}."
            )
        return dataclasses.replace(spec, input_hw=input_hw, canvas_hw=canvas_hw)


@contextmanager
def onnx_for_engine(request: EngineRequest, images: Sequence[UInt8]) -> Iterator[Path]:
    """Gives the ONNX file: the model itself, or what a checkpoint is exported to.

    Args:
        request: A batch is fixed in the file where the canvas is.
        images: To compare the export on.
    """
    if request.model.suffix != ".pt":
        yield request.model
        return
    is_free = takes_any_size(load_net(request.model)[1])
    options = OnnxOptions(
        input_hw=request.input_hw, batch=None if is_free else request.batch, opset=18
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        made = export_onnx(request.model, path, images, options)
        for line in made.report.lines(made.source):
            log.info("ONNX: %s", line)
        yield path


class EngineBuilder:
    """Builds engines of one ONNX file and compares each with it.

    Args:
        path: The ONNX file.
        reference: The same on another engine.
        images: To compare on, each uint8 `(H, W, 3)` BGR, at least one.
        request: What the engine is to be.
        here: Where it is built.

    Raises:
        SpecMismatch: The file cannot become that.
    """

    def __init__(
        self,
        path: Path,
        reference: Runtime,
        images: Sequence[UInt8],
        request: EngineRequest,
        here: GpuEnvironment,
    ) -> None:
        self.request, self.here, self.images, self.reference = request, here, images, reference
        self.spec = request.spec_of_engine(reference.spec)
        self.batch = request.batch or self.spec.batch or 1
        self.onnx_sha256, self.model = sha256_of(path), onnx.load(str(path))
        fitted = FittedRuntime(reference, self.spec.input_hw, self.spec.canvas_hw)
        # The ONNX file's parity record stays; its scores give way to those on the engine's canvas.
        carried = {key: text for key, text in reference.metadata.items() if key != METADATA_KEY}
        self.metadata = carried | {GOLDEN_KEY: record(fitted)}

    def build_first_passing(self) -> tuple[bytes, EngineMetadata]:
        """Returns the first engine whose results are its source's, and what it is.

        Raises:
            ParityError: There is none.
            SpecMismatch: An engine is not of the precision that it was built for.
        """
        modes = self._modes()
        for mode in modes:
            try:
                return self._build(mode)
            except (EngineFailure, ParityError) as error:
                if len(modes) == 1:
                    raise
                log.info("%s: %s", mode, error)
        raise ParityError("No precision gives the source's results; the reasons are above.")

    def _modes(self) -> list[PrecisionMode]:
        """Returns the modes to try; a file in a narrow type has one, its own."""
        if self.spec.precision != Precision.FLOAT32:
            return [PrecisionMode(self.spec.precision)]
        if self.request.mode:
            return [self.request.mode]
        has_mixed = has_fp32_ops(self.model)
        return [mode for mode in PrecisionMode if has_mixed or not mode.keeps_float32]

    def _build(self, mode: PrecisionMode) -> tuple[bytes, EngineMetadata]:
        """Builds in one mode and compares."""
        log.info("%s: building, which takes minutes", mode)
        options, is_wide = self.request.options, self.spec.precision == Precision.FLOAT32
        graph = convert_precision(self.model, mode) if is_wide else self.model
        assert self.spec.canvas_hw is not None
        plan = build(graph.SerializeToString(), self.spec.canvas_hw, self.batch, options)
        engine = deserialize(plan, options.version_compatible)
        metadata = EngineMetadata(
            spec=dataclasses.replace(self.spec, precision=mode.precision),
            machine=self.here,
            plan_sha256=hashlib.sha256(plan).hexdigest(),
            onnx_sha256=self.onnx_sha256,
            precision_mode=mode.value,
            tensors=check_tensor_types(engine, mode.precision),
            batch=self.batch,
            parity={},
            version_compatible=options.version_compatible,
            hardware_compatible=options.hardware_compatible,
            onnx_metadata=self.metadata,
        )
        with TrtRuntime(engine, metadata) as built:
            report = compare_export(self.reference, built, self.images)
            verify_scores(built)
        for line in report.lines("ONNX Runtime"):
            log.info("%s: %s", mode, line)
        return plan, dataclasses.replace(metadata, parity=report.to_dict())


def build_engine(
    output: Path, request: EngineRequest, images: Sequence[UInt8], here: GpuEnvironment
) -> EngineMetadata:
    """Writes an engine and its metadata, or nothing; raises as `EngineBuilder` does."""
    with onnx_for_engine(request, images) as path, open_runtime(path, "cpu") as reference:
        builder = EngineBuilder(path, reference, images, request, here)
        plan, metadata = builder.build_first_passing()
    with atomic_write(output) as part:
        part.write_bytes(plan)
    metadata.write(output)
    return metadata
