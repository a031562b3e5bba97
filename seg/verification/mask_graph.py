"""Comparing an ONNX graph from raw frames to masks with its source.

Another program feeds such a graph: it fits frames into the corner of the canvas and pads them in
whole gray levels. Masks are compared on the canvas, where the graph has them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seg.errors import ParityError
from seg.imaging.letterbox import Letterbox, hw_of
from seg.predictors.segmenter import Segmenter
from seg.results import Mask, UInt8
from seg.runtimes.base import Runtime
from seg.runtimes.ort import run_graph
from seg.spec import ModelSpec
from seg.verification.fitted_runtime import FittedRuntime
from seg.verification.mask_agreement import compare_masks
from seg.verification.parity import Parity
from seg.verification.tolerances import ROUNDED_PADDING


@dataclasses.dataclass(frozen=True, slots=True)
class GraphRun:
    """What a graph made of one frame.

    Attributes:
        letterbox: From the frame to the canvas.
        canvas: What the graph was given, uint8 `(*canvas_hw, 3)` BGR.
        masks: What it returned for each place of its batch, uint8 `(B, *canvas_hw)`.
    """

    letterbox: Letterbox
    canvas: UInt8
    masks: UInt8

    @property
    def is_padded(self) -> bool:
        """Whether the fitted frame leaves a part of the canvas free."""
        return self.letterbox.image_hw != self.letterbox.canvas_hw

    def fitted(self, canvas: UInt8) -> UInt8:
        """Returns the part of the canvas that is not padding."""
        height, width = self.letterbox.image_hw
        return canvas[:height, :width]


def run_mask_graph(path: Path, spec: ModelSpec, images: Sequence[UInt8]) -> list[GraphRun]:
    """Runs a graph on the CPU, on frames fitted as its spec says.

    Args:
        path: An ONNX file.
        spec: Of that file.
        images: Each uint8 `(H, W, 3)` BGR.
    """
    runs = []
    for image in images:
        letterbox = Letterbox.fit(hw_of(image), spec.input_hw, spec.stride, spec.canvas_hw)
        canvas = letterbox.pack_bytes(image, spec.pad_rgb)
        masks = run_graph(path, np.stack([canvas] * (spec.batch or 1)))
        runs.append(GraphRun(letterbox, canvas, masks))
    return runs


def compare_bytes(source: Runtime, spec: ModelSpec, runs: Sequence[GraphRun]) -> Parity:
    """Gives the source the same bytes, the padding included: what engine and precision change."""
    assert spec.canvas_hw is not None
    predict = Segmenter(FittedRuntime(source, spec.canvas_hw, spec.canvas_hw))
    pairs = []
    for run in runs:
        expected = predict(run.canvas)
        pairs += [(expected, Mask(mask, spec.classes)) for mask in run.masks]
    return Parity(num_images=len(runs), results=compare_masks(pairs))


def compare_padding(source: Runtime, spec: ModelSpec, runs: Sequence[GraphRun]) -> Parity | None:
    """Gives the source the exact mean color as padding: what rounding it to bytes changes.

    Returns:
        Parity of the padded frames; None where there is none.

    Raises:
        ParityError: It changes more than `ROUNDED_PADDING` allows.
    """
    padded = [run for run in runs if run.is_padded]
    if not padded:
        return None
    predict = Segmenter(FittedRuntime(source, spec.input_hw, spec.canvas_hw))
    found = compare_masks(_pairs(predict, spec, padded))
    parity = Parity(num_images=len(padded), results=found)
    if found.agreement < ROUNDED_PADDING:
        raise ParityError(
            f"Padding in whole gray levels changes the masks: {parity}. Expected that at least "
            f"{100 * ROUNDED_PADDING:g} % of the pixels agree; export with --output-kind logits."
        )
    return parity


def compare_in_apps(source: Runtime, spec: ModelSpec, runs: Sequence[GraphRun]) -> Parity:
    """Lets the source choose the canvas for each frame, as the apps do."""
    predict = Segmenter(FittedRuntime(source, spec.input_hw))
    return Parity(num_images=len(runs), results=compare_masks(_pairs(predict, spec, runs)))


def _pairs(
    predict: Callable[[UInt8], Mask], spec: ModelSpec, runs: Sequence[GraphRun]
) -> list[tuple[Mask, Mask]]:
    """Returns the masks of the fitted frames, without the padding: the source's and the graph's."""
    return [
        (predict(run.fitted(run.canvas)), Mask(run.fitted(run.masks[0]), spec.classes))
        for run in runs
    ]
