"""What the commands share: flags, exit codes, signals and the one logging handler."""

from seg.cli.flags import (
    FAILED,
    INTERRUPTED,
    OK,
    add_imgsz,
    add_model_flags,
    hw,
    note,
    parser,
    positive,
    run,
    segmenter,
)

__all__ = [
    "FAILED", "INTERRUPTED", "OK", "add_imgsz", "add_model_flags", "hw", "note", "parser",
    "positive", "run", "segmenter",
]  # fmt: skip
