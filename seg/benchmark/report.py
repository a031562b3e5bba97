"""Results: rows, ratios, the Pareto front, and a recommendation for a target rate."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from seg.benchmark.interleave import PERCENTS, STAGES, Times
from seg.evaluation.report import markdown_table

COLUMNS = (*STAGES, "total")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkRow:
    """One candidate's result.

    Attributes:
        name: Its name.
        engine: What actually ran.
        imgsz: Width and height that frames were fitted into.
        times: Its times.
        iou: Foreground IoU of the same artifact, 0..1; None where it was not measured.
        interval: Bootstrap 95 % confidence interval of that IoU.
    """

    name: str
    engine: str
    imgsz: tuple[int, int]
    times: Times
    iou: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def fps(self) -> float:
        """Frames per second, end to end."""
        return self.times.fps

    def to_dict(self, baseline: "BenchmarkRow | None") -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "name": self.name,
            "engine": self.engine,
            "imgsz": list(self.imgsz),
            "fps": self.fps,
            "speedup": speedup(self, baseline),
            "first_frame_ms": self.times.first_ms,
            "num_frames": len(self.times.frames),
            "ms": {
                stage: dict(
                    zip((f"p{n}" for n in PERCENTS), self.times.percentiles(stage), strict=True)
                )
                for stage in COLUMNS
            },
            "foreground_iou": self.iou,
            "foreground_iou_95": list(self.interval) if self.interval else None,
        }


def speedup(row: BenchmarkRow, baseline: BenchmarkRow | None) -> float | None:
    """Returns how many times the baseline's frames per second a row reaches."""
    return row.fps / baseline.fps if baseline and baseline.fps else None


def pareto_front(rows: Sequence[BenchmarkRow]) -> list[BenchmarkRow]:
    """Returns the rows that no other row beats in both rate and IoU, the fastest first."""
    known = sorted((row for row in rows if row.iou is not None), key=_rate_first, reverse=True)
    kept: list[BenchmarkRow] = []
    for row in known:
        if not kept or (row.iou or 0.0) > (kept[-1].iou or 0.0):
            kept.append(row)
    return kept


def recommend(rows: Sequence[BenchmarkRow], target_fps: float) -> str:
    """Says which row to take for a rate, and what it costs in IoU.

    The most accurate that reaches the rate; without IoU, the one that sees the most pixels.
    """
    if not rows:
        return f"{target_fps:g} FPS: no model could be opened."
    enough = [row for row in rows if row.fps >= target_fps]
    if not enough:
        best = max(rows, key=lambda row: row.fps)
        return (
            f"{target_fps:g} FPS is out of reach here: the fastest is {best.name} with "
            f"{best.fps:.1f} FPS."
        )
    taken = max(enough, key=_value)
    text = f"{target_fps:g} FPS: take {taken.name} ({taken.engine}), {taken.fps:.1f} FPS"
    scores = [row.iou for row in rows if row.iou is not None]
    if taken.iou is None or not scores:
        return f"{text}; give --data to see what it costs in IoU."
    lost = max(scores) - taken.iou
    cost = f"{lost:.4f} below the best here" if lost > 0 else "the best here"
    return f"{text}, foreground IoU {taken.iou:.4f}, {cost}."


def markdown(
    rows: Sequence[BenchmarkRow], baseline: BenchmarkRow | None, about: Mapping[str, str]
) -> str:
    """Returns a Markdown table, with what it was measured on above it."""
    lines = [f"- {key}: {value}" for key, value in about.items()]
    # Without a GPU there are no transfers.
    columns = [stage for stage in COLUMNS if any(max(row.times.percentiles(stage)) for row in rows)]
    head = ["model", "engine", "size", *columns, "FPS", "against baseline", "IoU"]
    table = []
    for row in rows:
        ratio = speedup(row, baseline)
        cells = [
            row.name,
            row.engine,
            f"{row.imgsz[0]}x{row.imgsz[1]}",
            *(" / ".join(f"{ms:.1f}" for ms in row.times.percentiles(s)) for s in columns),
            f"{row.fps:.1f}",
            f"{ratio:.1f}x" if ratio else "",
            _score(row),
        ]
        table.append(cells)
    percents = " / ".join(f"p{n}" for n in PERCENTS)
    return "\n".join(
        [
            *lines,
            "",
            *markdown_table(head, table),
            "",
            f"Stages in ms, {percents}; FPS counts all of them, one after the other.",
        ]
    )


def _score(row: BenchmarkRow) -> str:
    if row.iou is None:
        return ""
    ends = f" ({row.interval[0]:.4f} to {row.interval[1]:.4f})" if row.interval else ""
    return f"{row.iou:.4f}{ends}"


def _rate_first(row: BenchmarkRow) -> tuple[float, float]:
    return row.fps, row.iou or 0.0


def _value(row: BenchmarkRow) -> tuple[float, int, float]:
    return row.iou or 0.0, row.imgsz[0] * row.imgsz[1], row.fps
