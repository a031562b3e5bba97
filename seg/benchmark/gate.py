"""The gate, for many artifacts at once: each against one reference, mask against mask."""

import dataclasses
from collections.abc import Sequence

from seg.benchmark.entries import Entry
from seg.evaluation.report import markdown_table
from seg.imaging.letterbox import Size
from seg.predictors.segmenter import Segmenter
from seg.results import UInt8
from seg.spec import ModelSpec
from seg.verification.parity import Parity, compare, compare_mask_graph
from seg.verification.tolerances import TOLERANCES

HEAD = (
    "artifact", "runs on", "pixels that agree", "flipped in the worst frame", "mask mIoU",
    "lowest mask IoU", "lowest boundary F", "lowest logit cosine", "gate", "verdict",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One artifact on one engine.

    Attributes:
        name: How it is called.
        engine: What really ran.
        precision: The row of `TOLERANCES` that it is held to.
        parity: What was found.
    """

    name: str
    engine: str
    precision: str
    parity: Parity

    @property
    def passes(self) -> bool:
        """Whether its masks are as near as its precision allows."""
        return self.parity.passes(self.precision)


def hold(entry: Entry, reference: Segmenter, frames: Sequence[UInt8]) -> Verdict:
    """Compares one artifact with the reference, on the artifact's own canvas.

    Args:
        entry: The artifact and what to run it on.
        reference: Takes any size, or the artifact's; its spec is put back afterwards.
        frames: uint8 `(H, W, 3)` BGR, at least one.

    Raises:
        SpecMismatch: The two have different canvases or classes.
        EngineMissing: What the entry asks for is not available.
    """
    runtime, own = reference.runtime, reference.runtime.spec
    graph = entry.graph_spec()
    try:
        if graph:
            runtime.spec = _fitted(own, graph, graph.input_hw)
            return Verdict(
                name=entry.name,
                engine="ONNX Runtime, raw frames to masks",
                precision=graph.precision,
                parity=compare_mask_graph(Segmenter(runtime), entry.path, frames),
            )
        with entry.open() as candidate:
            runtime.spec = _fitted(own, candidate.runtime.spec, candidate.input_hw)
            return Verdict(
                name=entry.name,
                engine=candidate.runtime.description,
                precision=candidate.runtime.precision,
                parity=compare(Segmenter(runtime), candidate, frames),
            )
    finally:
        runtime.spec = own


def _fitted(spec: ModelSpec, to: ModelSpec, input_hw: Size) -> ModelSpec:
    """Returns a spec that fits frames as another does; its own fixed canvas stays."""
    canvas = spec.canvas_hw or to.canvas_hw
    return dataclasses.replace(
        spec, input_hw=input_hw, canvas_hw=canvas, batch=spec.batch or to.batch
    )


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Returns the table for people, and the limits below it."""
    rows = []
    for one in verdicts:
        parity = one.parity
        row = [
            one.name,
            one.engine,
            f"{100 * parity.agreement:.4f} %",
            f"{100 * parity.worst_frame_disagreement:.4f} %",
            f"{parity.miou:.5f}",
            f"{parity.mask_iou:.5f}",
            f"{parity.boundary_f:.5f}",
            "" if parity.cosine is None else f"{parity.cosine:.7f}",
            one.precision,
            "passes" if one.passes else "**fails**",
        ]
        rows.append(row)
    used = {one.precision for one in verdicts}
    return "\n".join(
        [
            *markdown_table(HEAD, rows),
            "",
            *(f"- {name}: at least {TOLERANCES[name]}" for name in TOLERANCES if name in used),
        ]
    )
