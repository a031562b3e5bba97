"""What the commands share: flags, exit codes, signals and the one logging handler."""

from seg.cli.drawing import add_drawing_flags, check_paths_differ, overlay_of, show_results
from seg.cli.flags import add_imgsz, add_model_flags, hw, note, parser, positive, segmenter
from seg.cli.program import FAILED, INTERRUPTED, OK, run

__all__ = [
    "FAILED", "INTERRUPTED", "OK", "add_drawing_flags", "add_imgsz", "add_model_flags",
    "check_paths_differ", "hw", "note", "overlay_of", "parser", "positive", "run", "segmenter",
    "show_results",
]  # fmt: skip
