"""The check at export: a file is compared with its source, and then carries the result."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from seg.predictors.segmenter import Segmenter
from seg.results import UInt8
from seg.runtimes import environment as machine
from seg.spec import METADATA_KEY, ModelSpec
from seg.verification import self_test
from seg.verification.parity import Parity, compare, compare_mask_graph

PARITY_KEY = "dinoseg.parity"


def verify_export(
    source: Segmenter,
    spec: ModelSpec,
    path: Path,
    frames: Sequence[UInt8],
    extra: Mapping[str, str],
) -> Parity:
    """Compares the file's masks with its source's, and writes what the self-test needs into it.

    That is the result, on what and by which versions it was found, and scores on the test image:
    the source's, or the file's own where it is int8.

    Args:
        source: Float32, with the file's canvas.
        spec: What the file is.
        path: An ONNX file.
        frames: To compare on, at least one.
        extra: More metadata, by key.

    Raises:
        ParityError: They differ by more than rounding.
    """
    write_metadata(path, {METADATA_KEY: spec.to_json()})
    if spec.input_kind == "frames":
        parity, scores = compare_mask_graph(source, path, frames), self_test.record(source)
    else:
        with Segmenter(path, device="cpu") as exported:
            parity = compare(source, exported, frames)
            # The test image leaves the ranges that photos gave an int8 file. What it scores there
            # is not an error, and what every engine has to repeat.
            scores = self_test.record(exported if spec.precision == "int8" else source)
    parity.require(spec.precision)
    record = parity.to_dict() | {
        "frames_sha256": [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames],
        "source": source.description,
        "device": machine.cpu(),
        "versions": machine.versions(),
    }
    properties = {
        METADATA_KEY: spec.to_json(),
        PARITY_KEY: json.dumps(record),
        self_test.GOLDEN_KEY: scores,
    }
    write_metadata(path, properties | dict(extra))
    if spec.input_kind == "images":
        with Segmenter(path, device="cpu") as exported:
            self_test.verify(exported)
    return parity


def write_metadata(path: Path, properties: Mapping[str, str]) -> None:
    """Replaces the metadata of an ONNX file."""
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(properties))
    onnx.save(model, str(path))
