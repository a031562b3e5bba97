"""From a checkpoint, or a float32 ONNX file, to an ONNX file that passes the check at export."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from seg.exporting.onnx_graph import OPSET, export_spec, write_onnx
from seg.exporting.quantization import CALIBRATION_KEY, quantize
from seg.files.atomic import atomic_write
from seg.files.checksum import sha256_of
from seg.imaging.letterbox import Letterbox, Size
from seg.kinds import Precision
from seg.models.checkpoint import load_net
from seg.results import UInt8
from seg.runtimes.base import Runtime
from seg.runtimes.open import open_runtime
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec
from seg.verification.export_check import ExportReport, verify_export
from seg.video.sources import VideoFile


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OnnxOptions:
    """What the file is to be.

    Attributes:
        input_hw: Size that images are fitted into; None keeps the checkpoint's.
        aspect_of: A video; its aspect at the size that fits into `input_hw` is taken instead.
        batch: Number of images at once, where the canvas is fixed; None is 1.
        is_dynamic: DINOv2 takes any size, its positions resized in the graph.
        precision: Of the weights: float32, float16 or int8.
        output_kind: `logits`, or `mask` for a graph from raw frames to masks.
        opset: Of ONNX; 18 for TensorRT.
        calibration: Images to measure the ranges of int8 on.
    """

    input_hw: Size | None = None
    aspect_of: Path | None = None
    batch: int | None = None
    is_dynamic: bool = False
    precision: Precision = Precision.FLOAT32
    output_kind: str = "logits"
    opset: int = OPSET
    calibration: Sequence[Path] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OnnxExport:
    """What was written.

    Attributes:
        spec: What the file is.
        report: How far it is from its source.
        source: What the source ran on.
        num_calibrated: Number of images that ranges were measured on.
    """

    spec: ModelSpec
    report: ExportReport
    source: str
    num_calibrated: int = 0


def export_onnx(
    model: Path, output: Path, images: Sequence[UInt8], options: OnnxOptions
) -> OnnxExport:
    """Writes a file that passes the check at export, or none.

    Args:
        model: A checkpoint; for int8 also an ONNX file in float32, which is taken as it is.
        output: The ONNX file.
        images: To compare on, each uint8 `(H, W, 3)` BGR, at least one.
        options: What the file is to be.

    Raises:
        ArtifactError: The model is missing, foreign or damaged.
        SpecMismatch: It cannot become what the options ask for.
        ParityError: The results differ by more than rounding.
    """
    with contextlib.ExitStack() as stack:
        part = stack.enter_context(atomic_write(output))
        write = _copy_onnx if model.suffix == ".onnx" else _write_checkpoint
        source, spec = write(model, part, options)
        stack.enter_context(source)
        extra, num_calibrated = {}, 0
        if options.precision == Precision.INT8:
            calibration = quantize(part, part, options.calibration)
            extra[CALIBRATION_KEY] = json.dumps(calibration)
            num_calibrated = calibration["pictures"]
            spec = dataclasses.replace(spec, precision=Precision.INT8)
        report = verify_export(source, spec, part, images, extra)
    return OnnxExport(
        spec=spec, report=report, source=source.description, num_calibrated=num_calibrated
    )


def _write_checkpoint(model: Path, part: Path, options: OnnxOptions) -> tuple[Runtime, ModelSpec]:
    """Writes a checkpoint in the types of torch; returns the source and the file's spec."""
    net, own = load_net(model)
    input_hw = options.input_hw or own.input_hw
    if options.aspect_of:
        input_hw = fit_to_video(options.aspect_of, input_hw)
    is_int8 = options.precision == Precision.INT8
    spec = export_spec(
        own, model, input_hw, batch=options.batch, is_dynamic=options.is_dynamic,
        precision=Precision.FLOAT32 if is_int8 else options.precision,
        output_kind=options.output_kind,
    )  # fmt: skip
    write_onnx(net, spec, part, options.opset)
    return TorchRuntime(net, own, torch.device("cpu")), spec


def _copy_onnx(model: Path, part: Path, options: OnnxOptions) -> tuple[Runtime, ModelSpec]:
    """Copies an ONNX file of ours; returns it as the source, and its spec."""
    source = open_runtime(model, "cpu")
    shutil.copyfile(model, part)
    return source, dataclasses.replace(source.spec, source_sha256=sha256_of(model))


def fit_to_video(video: Path, box_hw: Size) -> Size:
    """Returns a video's aspect at the size that fits into a box."""
    with VideoFile(video) as source:
        return Letterbox.fit(source.frame_hw, box_hw, 1).image_hw
