"""Parity of many artifacts at once: each against one reference, mask against mask."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from seg.benchmark.entries import Entry
from seg.evaluation.report import markdown_table
from seg.results import UInt8
from seg.runtimes.base import Runtime
from seg.spec import ModelSpec
from seg.verification import mask_graph
from seg.verification.fitted_runtime import FittedRuntime
from seg.verification.mask_agreement import MaskAgreement
from seg.verification.parity import Parity, compare
from seg.verification.tolerances import TOLERANCES

HEAD = (
    "artifact", "runs on", "pixels that agree", "differ in the worst image", "mask mIoU",
    "lowest mask IoU", "lowest boundary F", "lowest cosine of scores", "precision", "verdict",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One artifact on one engine.

    Attributes:
        name: What the table calls it.
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

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        values = {field: getattr(self, field) for field in ("name", "engine", "precision")}
        return values | {"passes": self.passes, "parity": self.parity.to_dict()}


def check(entry: Entry, reference: Runtime, images: Sequence[UInt8]) -> Verdict:
    """Compares one artifact with the reference, on the artifact's own canvas.

    Args:
        entry: The artifact and what to run it on.
        reference: Takes any size, or the artifact's.
        images: uint8 `(H, W, 3)` BGR, at least one.

    Raises:
        SpecMismatch: The two have different canvases or classes.
        EngineMissing: What the entry asks for is not available.
    """
    graph = entry.graph_spec()
    if graph:
        return _check_mask_graph(entry, graph, reference, images)
    with entry.open() as candidate:
        fitted = FittedRuntime(candidate.runtime, candidate.input_hw)
        return Verdict(
            name=entry.name,
            engine=candidate.runtime.description,
            precision=candidate.runtime.precision,
            parity=compare(reference, fitted, images),
        )


def _check_mask_graph(
    entry: Entry, spec: ModelSpec, reference: Runtime, images: Sequence[UInt8]
) -> Verdict:
    runs = mask_graph.run_mask_graph(entry.path, spec, images)
    return Verdict(
        name=entry.name,
        engine="ONNX Runtime, raw frames to masks",
        precision=spec.precision,
        parity=mask_graph.compare_bytes(reference, spec, runs),
    )


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Returns the table, and below it the limits that were used."""
    used = {one.precision for one in verdicts}
    limits = (f"- {name}: at least {TOLERANCES[name]}" for name in TOLERANCES if name in used)
    return "\n".join([*markdown_table(HEAD, _rows(verdicts)), "", *limits])


def _rows(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, ...]]:
    for one in verdicts:
        masks, cosine = one.parity.results, one.parity.cosine
        assert isinstance(masks, MaskAgreement)
        yield (
            one.name,
            one.engine,
            f"{100 * masks.agreement:.4f} %",
            f"{100 * masks.worst_image_disagreement:.4f} %",
            f"{masks.miou:.5f}",
            f"{masks.mask_iou:.5f}",
            f"{masks.boundary_f:.5f}",
            "" if cosine is None else f"{cosine:.7f}",
            one.precision,
            "passes" if one.passes else "**fails**",
        )
