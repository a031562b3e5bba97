"""What the commands share: flags, exit codes, signals and the one logging handler."""

from seg.cli.flags import add_imgsz, add_model_flags, hw, note, parser, positive, segmenter
from seg.cli.program import FAILED, INTERRUPTED, OK, run

__all__ = [
    "FAILED", "INTERRUPTED", "OK", "add_imgsz", "add_model_flags", "hw", "note", "parser",
    "positive", "run", "segmenter",
]  # fmt: skip
