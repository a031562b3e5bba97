"""Quantization: the same ONNX graph in 8-bit integers, after training, from a few images.

Weights get a scale for each channel; what flows between the layers gets one for each tensor,
measured on images. The file stays one ONNX graph with QuantizeLinear and DequantizeLinear around
its layers, which ONNX Runtime and OpenVINO both turn into integer arithmetic.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as in seg/runtimes/ort.py

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from seg.errors import SpecMismatch
from seg.files.checksum import sha256_of
from seg.imaging.fits import FITS
from seg.imaging.image_io import read_image
from seg.imaging.letterbox import hw_of
from seg.kinds import Precision
from seg.progress import track
from seg.results import Float32
from seg.runtimes.open import open_runtime
from seg.spec import ModelSpec

CALIBRATION_KEY = "dinoseg.calibration"
MAX_IMAGES = 100  # more change nothing but the wait
# Where the time goes. A Relu is here so that a convolution's range is measured behind it, which
# doubles the steps that are left. Sums, LayerNormalization, Softmax and Gelu stay float: they cost
# little, and a residual stream has outliers that 256 steps lose.
LAYERS = ("Conv", "MatMul", "Gemm")
OPERATORS = (*LAYERS, "Relu")


def quantize(source: Path, target: Path, images: Sequence[Path]) -> dict[str, Any]:
    """Writes a float32 model in 8-bit integers.

    The last layer stays float: outlines would show the steps of its scores. MatMul is quantized
    where its second factor is a weight, so the two inside an attention stay float as well.

    Args:
        source: An ONNX file that `open_runtime` opens, in float32.
        target: Where the other goes; without metadata.
        images: Files like those to come, at least one; of more than `MAX_IMAGES`, so many are
            taken, spread evenly. The range of a tensor is the mean of each image's, so an odd one
            cannot stretch it.

    Returns:
        How it was calibrated, plain values for `CALIBRATION_KEY`.

    Raises:
        SpecMismatch: The source is not float32, or has no layer to quantize.
    """
    count = min(MAX_IMAGES, len(images))
    taken = [images[i] for i in np.linspace(0, len(images) - 1, count).astype(int)]
    with open_runtime(source, "cpu") as runtime:
        spec = runtime.spec
    if spec.precision != Precision.FLOAT32:
        raise SpecMismatch(
            f"'{source.name}' is {spec.precision}; int8 is made from a file in float32."
        )
    with tempfile.TemporaryDirectory() as folder:
        inferred = Path(folder) / "inferred.onnx"
        quant_pre_process(source, inferred, skip_symbolic_shape=True)
        _quantize(inferred, target, _pack(spec, taken))
    digests = "\n".join(sha256_of(path) for path in taken)
    return {
        "pictures": count,
        "pictures_sha256": hashlib.sha256(digests.encode()).hexdigest(),
        "ranges": "mean of each image's least and largest",
    }


def _pack(spec: ModelSpec, images: Sequence[Path]) -> Iterator[Float32]:
    """Yields each image as the network gets it from the apps, as often as its batch wants."""
    for path in track(images, "measuring ranges"):
        image = read_image(path)
        fit = FITS[spec.fit].fit(hw_of(image), spec.input_hw, spec.stride, spec.canvas_hw)
        yield np.repeat(fit.pack(image, spec.pad_rgb), spec.batch or 1, 0)


def _quantize(source: Path, target: Path, batches: Iterator[Float32]) -> None:
    graph = onnx.load(str(source)).graph
    weights = {tensor.name for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in LAYERS]
    # The last layer, and the products inside an attention, whose factors are both computed.
    floats = {node.name for node in layers if node.input[1] not in weights or node is layers[-1]}
    if len(floats) == len(layers):
        raise SpecMismatch("The graph has no layer to quantize before its last one.")
    logger = logging.getLogger()
    logger.addFilter(_is_not_preprocessing_hint)
    try:
        quantize_static(
            source,
            target,
            _Reader(graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            # With signed activations OpenVINO's masks differ from ONNX Runtime's (2026.4, 1.31).
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=sorted(floats),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
        )
    finally:
        logger.removeFilter(_is_not_preprocessing_hint)


def _is_not_preprocessing_hint(record: logging.LogRecord) -> bool:
    """Drops the library's advice to pre-process, which comes although that was done."""
    return "pre-processing" not in record.getMessage()


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands batches to the calibration, one after the other."""

    def __init__(self, name: str, batches: Iterator[Float32]) -> None:
        self._name, self._batches = name, batches

    def get_next(self) -> dict[str, Float32] | None:
        """Returns the next, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}
