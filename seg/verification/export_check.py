"""Acceptance: an exported file is compared with its source, and then says so itself."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from seg.predictors.segmenter import Segmenter
from seg.results import UInt8
from seg.runtimes import environment as machine
from seg.spec import METADATA_KEY, ModelSpec
from seg.verification import self_test as golden
from seg.verification.parity import Parity, compare, compare_graph

PARITY_KEY = "dinoseg.parity"


def accept(
    source: Segmenter,
    spec: ModelSpec,
    path: Path,
    frames: Sequence[UInt8],
    extra: Mapping[str, str],
) -> Parity:
    """Compares the file's masks with its source's, and writes what `--verify` needs into the file.

    That is the result, on what and by which versions it was found, and scores on the golden
    picture: the source's, or the file's own where it is int8.

    Args:
        source: Float32, with the file's canvas.
        spec: What the file is.
        path: An ONNX file.
        frames: To compare on, at least one.
        extra: What else the file is to say of itself, by key.

    Raises:
        ParityError: They differ by more than rounding.
    """
    describe(path, {METADATA_KEY: spec.to_json()})
    if spec.input_kind == "frames":
        parity, scores = compare_graph(source, path, frames), golden.record(source)
    else:
        with Segmenter(path, device="cpu") as exported:
            parity = compare(source, exported, frames)
            # The golden picture leaves the ranges that photos gave an int8 file; what it scores
            # there is no error, and what every engine has to repeat.
            scores = golden.record(exported if spec.precision == "int8" else source)
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
        golden.GOLDEN_KEY: scores,
    }
    describe(path, properties | dict(extra))
    if spec.input_kind == "images":
        with Segmenter(path, device="cpu") as exported:
            golden.verify(exported)
    return parity


def describe(path: Path, properties: Mapping[str, str]) -> None:
    """Replaces what an ONNX file says of itself."""
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(properties))
    onnx.save(model, str(path))
