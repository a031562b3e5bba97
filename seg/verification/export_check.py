"""The check at export: a file is compared with its source, and then carries the result."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from seg.imaging.letterbox import Letterbox, Size, hw_of
from seg.kinds import Precision
from seg.predictors.open import open_predictor
from seg.results import UInt8
from seg.runtimes import environment
from seg.runtimes.base import Runtime
from seg.runtimes.open import open_runtime
from seg.spec import METADATA_KEY, ModelSpec
from seg.verification import mask_graph, self_test
from seg.verification.fitted_runtime import FittedRuntime, ReferenceRuntime
from seg.verification.parity import Parity, agreement_of, compare

PARITY_KEY = "dinoseg.parity"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """How far an exported file is from its source.

    Attributes:
        parity: By task, on the same canvas: what engine and precision change.
        in_apps: By task, on the images to which the apps give the source another canvas than the
            file's: how far the file's results are from the source's there. Empty where there is no
            such image.
        rounded_padding: What padding in whole gray levels changes, where the file takes frames that
            another program padded; else None.
    """

    parity: Mapping[str, Parity]
    in_apps: Mapping[str, Parity] = dataclasses.field(default_factory=dict)
    rounded_padding: Parity | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for metadata; those of the first task stand alone."""
        (_, first), *others = self.parity.items()
        values = first.to_dict() | {task: parity.to_dict() for task, parity in others}
        if self.in_apps:
            values["in_apps"] = {task: one.to_dict() for task, one in self.in_apps.items()}
        if self.rounded_padding:
            values["rounded_padding"] = self.rounded_padding.to_dict()
        return values

    def lines(self, source: str) -> list[str]:
        """Returns the lines that a command reports."""
        lines = [f"compared with {source} on {parity}" for parity in self.parity.values()]
        if self.rounded_padding:
            lines.append(f"padding in whole gray levels: {self.rounded_padding}")
        lines += [
            "the fixed canvas: in the apps the source's canvas follows each image, and against "
            f"that the results on {parity}; --imgsz of your images' aspect avoids this"
            for parity in self.in_apps.values()
        ]
        return lines


def verify_export(
    source: Runtime,
    spec: ModelSpec,
    path: Path,
    images: Sequence[UInt8],
    extra: Mapping[str, str],
) -> ExportReport:
    """Compares the file's results with its source's, and writes what the self-test needs into it.

    That is the result, on what and by which versions it was found, and scores on the synthetic
    image: the source's, or the file's own where it is int8.

    Args:
        source: In float32, with its own canvas, as the apps open it.
        spec: What the file is.
        path: An ONNX file.
        images: To compare on, each uint8 `(H, W, 3)` BGR, at least one.
        extra: More metadata, by key.

    Raises:
        ParityError: They differ by more than rounding.
    """
    write_metadata(path, {METADATA_KEY: spec.to_json()})
    scores = self_test.record(ReferenceRuntime(source, spec.input_hw, spec.canvas_hw))
    if spec.input_kind == "frames":
        report = _compare_mask_graph(source, spec, path, images)
    else:
        with open_runtime(path, "cpu") as exported:
            report = compare_export(source, exported, images)
            # The synthetic image leaves the ranges that photos gave an int8 file. What it scores
            # there is not an error, and what every engine has to repeat.
            scores = self_test.record(exported) if spec.precision == Precision.INT8 else scores
    record = report.to_dict() | {
        "frames_sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
        "source": f"{spec.arch} on {source.description}",
        "device": environment.processor(),
        "versions": environment.versions(),
    }
    properties = {
        METADATA_KEY: spec.to_json(),
        PARITY_KEY: json.dumps(record),
        self_test.GOLDEN_KEY: scores,
    }
    write_metadata(path, properties | dict(extra))
    if spec.input_kind == "images":
        with open_runtime(path, "cpu") as exported:
            self_test.verify_scores(exported)
    return report


def compare_export(source: Runtime, exported: Runtime, images: Sequence[UInt8]) -> ExportReport:
    """Compares a runtime with its source on one canvas, and as the apps run the two.

    Raises:
        ParityError: On one canvas they differ by more than the precision explains.
    """
    tasks = dict.fromkeys(output.task for output in exported.spec.outputs)
    parity = {task: compare(source, exported, images, task) for task in tasks}
    for one in parity.values():
        one.require(exported.precision)
    in_apps = {}
    others = [i for i in images if _has_another_canvas(source, exported.spec, hw_of(i))]
    if others:
        fitted = FittedRuntime(source, exported.spec.input_hw)
        for task in tasks:
            predict, predict_exported = (
                open_predictor(one, task=task) for one in (fitted, exported)
            )
            pairs = [(predict(image), predict_exported(image)) for image in others]
            in_apps[task] = Parity(num_images=len(pairs), results=agreement_of(task)(pairs))
    return ExportReport(parity=parity, in_apps=in_apps)


def _compare_mask_graph(
    source: Runtime, spec: ModelSpec, path: Path, images: Sequence[UInt8]
) -> ExportReport:
    task = spec.outputs[0].task
    runs = mask_graph.run_mask_graph(path, spec, images)
    others = [r for r in runs if _has_another_canvas(source, spec, r.letterbox.frame_hw)]
    return ExportReport(
        parity={task: mask_graph.compare_bytes(source, spec, runs).require(spec.precision)},
        in_apps={task: mask_graph.compare_in_apps(source, spec, others)} if others else {},
        rounded_padding=mask_graph.compare_padding(source, spec, runs),
    )


def _has_another_canvas(source: Runtime, spec: ModelSpec, frame_hw: Size) -> bool:
    """Tells whether the apps give the source another canvas for such an image than the file's."""
    if source.spec.canvas_hw or not spec.canvas_hw or spec.fit != "letterbox":
        return False
    return Letterbox.fit(frame_hw, spec.input_hw, spec.stride).canvas_hw != spec.canvas_hw


def write_metadata(path: Path, properties: Mapping[str, str]) -> None:
    """Replaces the metadata of an ONNX file."""
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(properties))
    onnx.save(model, str(path))
