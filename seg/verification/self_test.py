"""Self-test: a model's scores on one synthetic image against its source's, which its file carries.

The same file can run differently with other drivers, versions and machines. With the source's
scores in the file, any machine can check itself before it runs, without the source or a data set.
The image is computed, so no file carries a photo of somebody; it is full of edges and different in
each channel, so that a shift, a swap or a wrong mean changes the scores.
"""

import base64
import json
from typing import Any

import numpy as np

from seg.errors import ArtifactError, ParityError
from seg.imaging.letterbox import Size
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, UInt8
from seg.verification.tolerances import TOLERANCES

GOLDEN_KEY = "dinoseg.golden"
NUM_SAMPLES = 1024  # of each score map, spread evenly; 8 kB for two classes


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


def record(source: Segmenter) -> str:
    """Returns the source's scores on the image, JSON to be kept under `GOLDEN_KEY`."""
    shape, scores = _scores(source)
    text = base64.b64encode(scores.astype("<f4").tobytes()).decode("ascii")
    return json.dumps({"shape": shape, "scores": text})


def verify(segmenter: Segmenter) -> float:
    """Runs the image, at the model's own size, and compares the scores with the source's.

    Returns:
        Root mean square of the difference, in standard deviations of the source's scores.

    Raises:
        ArtifactError: The file carries no scores, or they are damaged.
        ParityError: The scores differ by more than the precision explains.
        EngineFailure: The engine failed.
    """
    runtime = segmenter.runtime
    expected = _read(runtime.metadata.get(GOLDEN_KEY))
    # Not the segmenter itself: it may fit frames into another size than the source did.
    shape, scores = _scores(Segmenter(runtime))
    if shape != expected["shape"]:
        raise ParityError(f"Expected scores of {expected['shape']}, got {shape}.")
    source = expected["scores"].reshape(scores.shape)
    deviation = float(np.sqrt(np.mean((source - source.mean(1, keepdims=True)) ** 2)))
    error = float(np.sqrt(np.mean((scores - source) ** 2))) / max(deviation, 1e-12)
    limit = TOLERANCES[runtime.precision].score_error
    if not error <= limit:
        raise ParityError(
            f"This engine does not compute what the model's source did: its scores are off by "
            f"{error:.2g} standard deviations; expected at most {limit:g} in {runtime.precision}. "
            f"It is {runtime.description}; choose a different --runtime or --precision, or export "
            "again."
        )
    return error


def _scores(segmenter: Segmenter) -> tuple[list[int], Float32]:
    """Returns the shape of the score maps `(C, h, w)`, and samples of them, `(C, n)`."""
    pixels, _ = segmenter.pack(synthetic_image(segmenter.runtime.spec.input_hw))
    logits = segmenter.logits(pixels)
    maps = logits.reshape(len(logits), -1)
    count = min(NUM_SAMPLES, maps.shape[1])
    return list(logits.shape), maps[:, np.linspace(0, maps.shape[1] - 1, count).astype(int)]


def _read(text: str | None) -> dict[str, Any]:
    if text is None:
        raise ArtifactError(
            "This model carries no scores of its source to verify against; "
            "files that export/to_onnx.py writes do."
        )
    try:
        values = json.loads(text)
        scores = np.frombuffer(base64.b64decode(values["scores"], validate=True), "<f4")
        channels, height, width = values["shape"]
        if len(scores) != channels * min(NUM_SAMPLES, height * width):
            raise ValueError("too few or too many")
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"The scores to verify against are damaged: {error}.") from error
    return {"shape": values["shape"], "scores": scores}
