"""Report: the numbers of a finished run, human-readable and as JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a run did and how fast; as a string, one line.

    Attributes:
        num_read: Frames that were read.
        num_frames: Frames that were processed and that every sink took.
        num_dropped: Frames of a live source that came while the model was busy.
        damage: What the source lacks, in one line; empty for a whole one.
        wall_s: Seconds from the first frame asked for to the last sink closed.
        stages: Milliseconds that each stage took; several stages run at the same time.
        peak_mb: The most memory that the process had, 10^6 bytes; None where nobody says it.
        unit: What one frame is called.
        ages_ms: Of each frame of a live source, the milliseconds from when it was decoded until
            every sink had it; empty for others.
    """

    num_read: int = 0
    num_frames: int = 0
    num_dropped: int = 0
    damage: str = ""
    wall_s: float = 0.0
    stages: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    peak_mb: float | None = None
    unit: str = "frame"
    ages_ms: Sequence[float] = ()

    @property
    def fps(self) -> float:
        """Frames per second, end to end; 0.0 for no frame."""
        return self.num_frames / self.wall_s if self.wall_s > 0 else 0.0

    def __str__(self) -> str:
        rate = "FPS" if self.unit == "frame" else f"{self.unit}s/s"
        line = f"{self._count(self.num_frames)} in {self.wall_s:.1f} s"
        if self.num_frames:
            line += f": {self.fps:.1f} {rate} end to end ({', '.join(self.stages)})"
        if self.num_dropped:
            line += f"; {self._count(self.num_dropped)} dropped to stay live"
        return line

    def table(self) -> str:
        """Returns the line, and below it what was read and how long each stage took."""
        lines = [str(self)]
        if percentiles := self._percentiles():
            width = max(map(len, percentiles))
            lines.append(f"{'':{width}}  p50 ms  p95 ms")
            lines += [
                f"{name:{width}}  {p50:6.1f}  {p95:6.1f}"
                for name, (p50, p95) in percentiles.items()
            ]
        counts = f"read {self.num_read}, written {self.num_frames}, dropped {self.num_dropped}"
        memory = f"; peak memory {self.peak_mb:.0f} MB" if self.peak_mb else ""
        if self.ages_ms:
            p50, p95 = _percentiles(self.ages_ms)
            lines.append(f"{self.unit} age, decoded to shown: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
        return "\n".join([*lines, f"{self.unit}s: {counts}{memory}"])

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as JSON has them; the keys name their units."""
        return {
            f"{self.unit}s_read": self.num_read,
            f"{self.unit}s_written": self.num_frames,
            f"{self.unit}s_dropped": self.num_dropped,
            "damage": self.damage or None,
            "wall_s": round(self.wall_s, 3),
            f"{self.unit}s_per_s": round(self.fps, 2),
            "stages": {
                name: _as_ms(percentiles) for name, percentiles in self._percentiles().items()
            },
            f"{self.unit}_age": _as_ms(_percentiles(self.ages_ms)) if self.ages_ms else None,
            "peak_memory_mb": self.peak_mb and round(self.peak_mb, 1),
        }

    def _percentiles(self) -> dict[str, tuple[float, float]]:
        """Returns each stage's median and 95th percentile in milliseconds."""
        return {name: _percentiles(times) for name, times in self.stages.items() if times}

    def _count(self, number: int) -> str:
        return f"{number} {self.unit}{'' if number == 1 else 's'}"


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    """Returns the median and the 95th percentile."""
    return float(np.percentile(times, 50)), float(np.percentile(times, 95))


def _as_ms(percentiles: tuple[float, float]) -> dict[str, float]:
    p50, p95 = percentiles
    return {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2)}
