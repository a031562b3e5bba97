"""Self-test: a model's scores on one synthetic image against its source's, which its file carries.

The same file can run differently with other drivers, versions and machines. With the source's
scores in the file, any machine can check itself before it runs, without the source or a data set.
A checkpoint is the source: whatever device, precision or mode it runs with is compared with the
same weights in eager float32 on the CPU.
The image is computed, so no file carries a photo of somebody; it is full of edges and different in
each channel, so that a shift, a swap or a wrong mean changes the scores.
"""

import base64
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from seg.errors import ArtifactError, EngineFailure, ParityError
from seg.imaging.letterbox import Letterbox, Size
from seg.predictors.base import Predictor
from seg.results import Float32, UInt8
from seg.runtimes.base import Runtime
from seg.spec import MAX_LABELS, SEGMENTATION
from seg.verification.gpu_path import GpuPathCheck, check_gpu_path
from seg.verification.tolerances import TOLERANCES

GOLDEN_KEY = "dinoseg.golden"
NUM_SAMPLES = 1024  # of each score map, spread evenly; 8 kB for two classes
# Compares what a predictor does on a GPU with what it does on the CPU; None where it does nothing
# there. A task whose predictor has such a way adds its line.
GpuCheck = Callable[[Any, Callable[[Size], UInt8]], GpuPathCheck | None]
GPU_CHECKS: dict[str, GpuCheck] = {
    SEGMENTATION: check_gpu_path,
}
MAX_SAMPLES = 2**15  # of an output that has more maps than there can be classes


@dataclasses.dataclass(frozen=True, slots=True)
class SelfTest:
    """What a self-test found.

    Attributes:
        error: Root mean square of the difference between the scores and the source's, in standard
            deviations of the source's; of several outputs the largest.
        source: What the scores were compared with.
        gpu_path: What the GPU's own pre- and post-processing does differently from the CPU's; None
            where the engine has none.
    """

    error: float
    source: str
    gpu_path: GpuPathCheck | None = None

    def __str__(self) -> str:
        text = f"scores are off by {self.error:.1g} standard deviations from {self.source}"
        return f"{text}; {self.gpu_path}" if self.gpu_path else text


def synthetic_image(hw: Size) -> UInt8:
    """Computes the image, by integers alone so that it is the same everywhere.

    Blue: diagonal bands. Green: a checkerboard. Red: rings around a point off the center.

    Returns:
        uint8 `(*hw, 3)` BGR, a new array.
    """
    rows, columns = np.indices(hw)
    bands = (rows * 3 + columns * 5) // 2 % 256
    checks = (rows // 11 + columns // 7) % 2 * 150 + 40
    rings = ((rows - hw[0] // 3) ** 2 + (columns - hw[1] // 2) ** 2) // 61 % 256
    return np.stack([bands, checks, rings], 2).astype(np.uint8)


def record(source: Runtime) -> str:
    """Returns the source's scores on the image, JSON to be kept under `GOLDEN_KEY`."""
    return json.dumps({name: _encode(array) for name, array in _run(source).items()})


def verify(predictor: Predictor[Any]) -> SelfTest:
    """Runs the image, at the model's own size, and compares the scores with the source's.

    Where the predictor fits images and decodes scores on a GPU, that is compared with the CPU, too.

    Raises:
        ArtifactError: The file carries no scores, or they are damaged.
        ParityError: The scores or the results differ by more than the precision explains.
        EngineFailure: The engine failed, or returned what is not a number.
    """
    found = verify_scores(predictor.runtime)
    if check := GPU_CHECKS.get(predictor.task):
        found = dataclasses.replace(found, gpu_path=check(predictor, synthetic_image))
    return found


def verify_scores(runtime: Runtime) -> SelfTest:
    """Compares the scores alone; raises as `verify`."""
    expected, source = _expected(runtime)
    found = _run(runtime)
    shapes = {name: list(array.shape) for name, array in found.items()}
    recorded = {name: one["shape"] for name, one in expected.items()}
    if shapes != recorded:
        raise ParityError(f"Expected scores of shape {recorded}, got {shapes}.")
    errors = [0.0]
    for output in runtime.spec.outputs:
        error = _error(expected[output.name]["scores"], _sample(found[output.name]))
        limit = TOLERANCES[runtime.precision].largest_error(output.task)
        if not error <= limit:
            raise ParityError(
                "This engine does not compute what the model's source did: its scores are off by "
                f"{error:.2g} standard deviations; expected at most {limit:g} in "
                f"{runtime.precision}. It is {runtime.description}; choose a different --runtime "
                "or --precision, or export again."
            )
        errors.append(error)
    return SelfTest(max(errors), source)


def _expected(runtime: Runtime) -> tuple[dict[str, dict[str, Any]], str]:
    """Returns shape and samples of each output of the source, and what that is."""
    text = runtime.metadata.get(GOLDEN_KEY)
    if text is None and (reference := runtime.open_reference()):
        with reference:
            return _read(record(reference)), f"those of the same weights, {reference.description}"
    return _read(text), "the source's"


def _run(runtime: Runtime) -> dict[str, Float32]:
    """Returns the outputs for the synthetic image, each without its batch axis."""
    spec = runtime.spec
    letterbox = Letterbox.fit(spec.input_hw, spec.input_hw, spec.stride, spec.canvas_hw)
    outputs = runtime.run(letterbox.pack(synthetic_image(spec.input_hw), spec.pad_rgb))
    if not all(np.isfinite(array).all() for array in outputs.values()):
        raise EngineFailure(f"Not every score is finite: {runtime.description}.")
    return {name: array[0] for name, array in outputs.items()}


def _sample(array: Float32) -> Float32:
    """Returns samples of each map of `(C, ...)`, or all of a vector, as `(C, n)`."""
    maps = array.reshape(len(array) if array.ndim > 1 else 1, -1)
    most = NUM_SAMPLES if len(maps) <= MAX_LABELS else max(1, MAX_SAMPLES // len(maps))
    count = min(most, maps.shape[1])
    return maps[:, np.linspace(0, maps.shape[1] - 1, count).astype(int)]


def _error(source: Float32, scores: Float32) -> float:
    deviation = float(np.sqrt(np.mean((source - source.mean(1, keepdims=True)) ** 2)))
    return float(np.sqrt(np.mean((scores - source) ** 2))) / max(deviation, 1e-12)


def _encode(array: Float32) -> dict[str, Any]:
    samples = _sample(array).astype("<f4").tobytes()
    return {"shape": array.shape, "scores": base64.b64encode(samples).decode("ascii")}


def _read(text: str | None) -> dict[str, dict[str, Any]]:
    """Returns shape and samples of each recorded output."""
    if text is None:
        raise ArtifactError(
            "This model carries no scores of its source to verify against; "
            "files that export/ writes do."
        )
    try:
        values = json.loads(text)
        if "shape" in values:  # files of older versions, which had one output
            values = {"logits": values}
        if not values:
            raise ValueError("there are none")
        return {name: _decode(**value) for name, value in values.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ArtifactError(f"The scores to verify against are damaged: {error}.") from error


def _decode(shape: list[int], scores: str) -> dict[str, Any]:
    blank = _sample(np.empty(shape, np.float32))
    values = np.frombuffer(base64.b64decode(scores, validate=True), "<f4")
    return {"shape": shape, "scores": values.reshape(blank.shape)}
