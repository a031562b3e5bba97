"""Damage: what a recording lost, counted while it is read."""

import dataclasses

TAIL_S = 0.5  # a shorter end that seems to be missing may be a container's rounding


@dataclasses.dataclass(slots=True)
class Damage:
    """What is wrong with a recording; false while nothing is.

    Attributes:
        undecodable: Packets that the decoder refused.
        flawed: Frames that were decoded with errors: parts of them are wrong.
        unread: Frames that the file lists and does not hold.
        tail_s: Seconds missing at the end, as far as the container tells.
        gaps: How often frames are missing in the middle of a damaged container.
        gap_s: Seconds missing there.
        is_cut: Whether reading failed before the end.
    """

    undecodable: int = 0
    flawed: int = 0
    unread: int = 0
    tail_s: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0
    is_cut: bool = False

    def __bool__(self) -> bool:
        counts = self.undecodable, self.flawed, self.unread, self.gaps, self.is_cut
        return any(counts) or self.tail_s > TAIL_S

    def describe(self, name: str, num_frames: int) -> str:
        """Returns one line for the user; empty where nothing is wrong."""
        if not self:
            return ""
        parts = []
        if lost := self.undecodable + self.unread:
            parts.append(f"{_frames(lost)} could not be read")
        if self.flawed:
            parts.append(f"{_frames(self.flawed)} came with errors")
        if self.gaps:
            places = "1 place" if self.gaps == 1 else f"{self.gaps} places"
            parts.append(f"{self.gap_s:.2f} s are missing in {places}")
        if self.tail_s >= 0.05:
            parts.append(f"its last {self.tail_s:.1f} s are missing")
        if not parts:
            parts.append("reading failed before its end")
        return (
            f"{name} is cut or damaged: {', '.join(parts)}. "
            f"{_frames(num_frames)} could be read. Copy or download it again."
        )


def _frames(number: int) -> str:
    return f"{number} frame{'' if number == 1 else 's'}"
